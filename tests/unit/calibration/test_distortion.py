"""Distortion models against OpenCV's own projection, and their inverses."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calibration.camera import Camera, CameraError
from calibration.distortion import turning_angle, turning_radius

OPENCV = Camera(1920, 1080, 1100.0, (950.0, 545.0), (-0.21, 0.06, 0.0012, -0.0008, -0.01), 1.001, "opencv")
FISHEYE = Camera(1280, 720, 420.0, (635.0, 362.0), (0.03, -0.012, 0.004, -0.001), 0.999, "fisheye")


def points(count: int = 500, widest: float = 1.2) -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.column_stack([rng.uniform(-widest, widest, (count, 2)), np.ones(count)]) * rng.uniform(
        0.5, 20, (count, 1)
    )


def test_opencv_is_opencvs_projection():
    inside = points(widest=0.8)
    expected, _ = cv2.projectPoints(inside, np.zeros(3), np.zeros(3), OPENCV.intrinsics, np.array(OPENCV.distortion))
    np.testing.assert_allclose(OPENCV.project(inside), expected[:, 0], atol=1e-9)


def test_fisheye_is_opencvs_fisheye():
    seen = points(widest=3.0)
    k = FISHEYE.intrinsics
    expected, _ = cv2.fisheye.projectPoints(seen[None], np.zeros(3), np.zeros(3), k, np.array(FISHEYE.distortion))
    np.testing.assert_allclose(FISHEYE.project(seen), expected[0], atol=1e-9)


def test_a_fisheye_sees_its_axis_at_the_centre():
    np.testing.assert_allclose(FISHEYE.project((0.0, 0.0, 2.0)), FISHEYE.centre_px)
    np.testing.assert_allclose(FISHEYE.unproject(FISHEYE.centre_px), (0, 0, 1), atol=1e-12)


def test_a_fisheye_without_coefficients_still_bends():
    camera = Camera(1000, 1000, 300.0, (499.5, 499.5), model="fisheye")
    at_45_deg = camera.project((1.0, 0.0, 1.0))
    np.testing.assert_allclose(at_45_deg, (499.5 + 300 * math.pi / 4, 499.5))


@pytest.mark.parametrize("camera", [OPENCV, FISHEYE], ids=["opencv", "fisheye"])
def test_every_pixel_comes_back(camera):
    u, v = np.meshgrid(np.linspace(-0.5, camera.width - 0.5, 41), np.linspace(-0.5, camera.height - 0.5, 31))
    pixels = np.stack([u, v], axis=-1)
    rays = camera.unproject(pixels)
    seen = np.isfinite(rays).all(axis=-1)
    np.testing.assert_allclose(camera.project(rays[seen] * 7.0), pixels[seen], atol=1e-6)
    radius = np.hypot(*np.moveaxis(pixels - camera.centre_px, -1, 0)) / camera.focal_px
    assert seen[radius < 1.5].all()


bend = st.floats(-0.3, 0.3)
slight = st.floats(-0.005, 0.005)


@given(bend, bend, slight, slight, st.floats(-0.1, 0.1), st.floats(0, 1), st.floats(0, 1))
def test_opencv_undoes_itself(k1, k2, p1, p2, k3, across, down):
    try:
        camera = Camera(1920, 1080, 1500.0, (959.5, 539.5), (k1, k2, p1, p2, k3), model="opencv")
    except CameraError:
        assume(False)
    pixel = np.array([across * 1919, down * 1079])
    np.testing.assert_allclose(camera.project(camera.unproject(pixel, 3.0)), pixel, atol=1e-6)


@given(slight, slight, slight, slight, st.floats(0, 2 * math.pi), st.floats(0, 1.5))
def test_fisheye_undoes_itself(k1, k2, k3, k4, around, angle):
    try:
        camera = Camera(2000, 2000, 600.0, (999.5, 999.5), (k1, k2, k3, k4), model="fisheye")
    except CameraError:
        assume(False)
    ray = np.array([math.sin(angle) * math.cos(around), math.sin(angle) * math.sin(around), math.cos(angle)])
    np.testing.assert_allclose(camera.unproject(camera.project(ray), ray[2]), ray, atol=1e-7)


def test_what_lies_beyond_the_fold_is_not_in_the_picture():
    barrel = Camera(1920, 1080, 1500.0, (959.5, 539.5), (-0.2,), model="opencv")
    radius = turning_radius(barrel.distortion)
    assert radius == pytest.approx(math.sqrt(1 / 0.6))
    beyond = np.array([1.6 * radius, 0.0, 1.0])
    by_opencv, _ = cv2.projectPoints(
        beyond[None], np.zeros(3), np.zeros(3), barrel.intrinsics, np.array(barrel.distortion)
    )
    assert 0 < by_opencv[0, 0, 0] < 1920, "OpenCV brings it back into the picture"
    assert np.isnan(barrel.project(beyond)).all()


def test_a_pixel_behind_a_fisheye_has_no_ray():
    camera = Camera(2000, 1000, 300.0, (999.5, 499.5), model="fisheye")
    assert np.isnan(camera.normalised((1995.0, 499.5))).all()
    assert turning_angle(camera.distortion) == math.pi / 2


@pytest.mark.parametrize(
    ("model", "distortion"), [("opencv", (-0.9,)), ("fisheye", (-0.4, 0.0, 0.0, 0.0)), ("h36m", (-3.0, 0, 0, 0, 0))]
)
def test_folds_are_refused(model, distortion):
    with pytest.raises(CameraError, match="folds the picture"):
        Camera(1920, 1080, 800.0, (959.5, 539.5), distortion, model=model)


def test_tangential_terms_of_the_models_differ():
    numbers = {"width": 1920, "height": 1080, "focal_px": 1500.0, "centre_px": (959.5, 539.5)}
    h36m = Camera(**numbers, distortion=(0, 0, 0, 0.01, 0.0), model="h36m")
    opencv = Camera(**numbers, distortion=(0, 0, 0.01, 0.0, 0), model="opencv")
    point = (0.3, 0.2, 1.0)
    assert np.abs(h36m.project(point) - opencv.project(point)).max() > 0.5


def test_short_lists_are_filled_and_long_ones_refused():
    numbers = {"width": 640, "height": 480, "focal_px": 500.0, "centre_px": (320.0, 240.0)}
    assert Camera(**numbers, distortion=(0.01, 0.02), model="opencv").distortion == (0.01, 0.02, 0.0, 0.0, 0.0)
    assert Camera(**numbers, model="fisheye").distortion == (0.0, 0.0, 0.0, 0.0)
    with pytest.raises(CameraError, match="distortion of 4"):
        Camera(**numbers, distortion=(0.0,) * 5, model="fisheye")
    with pytest.raises(CameraError, match="h36m, opencv, fisheye"):
        Camera(**numbers, model="rational")
