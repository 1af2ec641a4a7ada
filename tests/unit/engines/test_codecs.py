"""Codecs against numbers known by hand, against OpenCV's warp, and against the clock."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import codecs
from engines.contracts import STN_PX, encoder

J = 17


def test_the_maps_have_the_contracts_shape():
    maps = codecs.encode_heatmaps(np.full((2, J, 2), 90.0))
    assert maps.shape[1:] == encoder("w32").outputs[0].shape[1:]
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps.sum(axis=(-2, -1)), 1, rtol=1e-5)


def test_joints_without_a_place_have_no_target():
    maps = codecs.encode_heatmaps([[90.0, 300.0], [-1.0, 5.0], [np.nan, 5.0], [90.0, 128.0]])
    np.testing.assert_allclose(maps.sum(axis=(-2, -1)), [0, 0, 0, 1], rtol=1e-5)


def test_the_crop_of_a_box_follows_its_longer_side():
    tall = codecs.crop_of_box((100, 100, 160, 300), 1.25)
    assert tall.centre_img_px == (130, 200)
    assert tall.height_px == 250
    assert codecs.crop_of_box((0, 0, 300, 60), 1.0).height_px == 400
    turned = codecs.crop_of_box((0, 0, 300, 60), 1.0, np.pi / 2)
    assert turned.height_px == pytest.approx(300)


@pytest.mark.parametrize("numbers", [((0, 0), 0), ((0, 0), -3), ((np.nan, 0), 3), ((0, 0), np.inf)])
def test_a_crop_without_size_or_place_is_refused(numbers):
    with pytest.raises(ValueError, match="finite numbers and a height above 0"):
        codecs.Crop(*numbers)


def _blob(width, height, u, v):
    y, x = np.mgrid[:height, :width]
    return (255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 18)).astype(np.float32)


def _centroid(picture):
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    return np.array([(picture * x).sum(), (picture * y).sum()]) / picture.sum()


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0])
def test_warped_pixels_lie_where_the_homography_says(angle):
    crop = codecs.Crop((300.0, 200.0), 200.0, angle)
    matrix = codecs.img_from_crop(crop)
    picture = _blob(640, 480, 290.3, 221.6)
    warped = cv2.warpAffine(
        picture, matrix[:2], (codecs.CROP_W, codecs.CROP_H), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    np.testing.assert_allclose(codecs.transformed(_centroid(warped), matrix), [290.3, 221.6], atol=0.05)


def test_the_whole_picture_squeezes_as_resize_does():
    window = codecs.window_of_picture(640, 480)
    picture = _blob(640, 480, 401.0, 122.0)
    squeezed = cv2.resize(picture, (STN_PX, STN_PX), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(
        codecs.transformed(_centroid(squeezed), codecs.img_from_window(window)), [401, 122], atol=0.05
    )


def test_theta_of_the_window_itself_is_one():
    window = codecs.window_of_picture(1920, 1080)
    np.testing.assert_allclose(codecs.theta_of_box(window, window), [1, 1, 0, 0], atol=1e-12)
    assert codecs.box_of_theta([0.5, 0.5, -0.5, 0.5], (0, 0, 400, 200)) == (0, 100, 200, 200)


def test_keypoints_are_halves_of_the_crops_height():
    crop = codecs.Crop((100.0, 50.0), 80.0, 1.0)
    np.testing.assert_allclose(codecs.normalised_keypoints([[140, 50], [100, 10]], crop), [[1, 0], [0, -1]], atol=1e-7)


@given(st.integers(9, 40), st.integers(0, 39), st.integers(0, 2**31))
def test_a_parabola_in_time_is_left_as_it_is(frames: int, at: int, seed: int) -> None:
    """Positions under constant acceleration pass unchanged wherever they stand in the window."""
    at = min(at, frames - 1)
    start, speed, bend = np.random.default_rng(seed).normal(0, 1, (3, 17, 3))
    t = np.arange(frames)[:, None, None] / 50
    poses = (start + speed * t + bend * t**2).astype(np.float32)
    assert codecs.fitted(poses, at) == pytest.approx(poses[at], abs=1e-4)


def test_trembling_is_taken_out_and_the_newest_frame_left_alone() -> None:
    poses = np.random.default_rng(1).normal(0, 0.03, (60, 17, 3)).astype(np.float32)
    middle = np.stack([codecs.fitted(poses, at) for at in range(4, 51)])
    assert middle.std() < 0.55 * poses.std()
    assert np.diff(middle, n=2, axis=0).std() < 0.2 * np.diff(poses, n=2, axis=0).std()
    assert (codecs.fitted(poses, 59) == poses[59]).all() and (codecs.fitted(poses, 58) == poses[58]).all()
    assert (codecs.fitted(poses, 0) == poses[0]).all()
