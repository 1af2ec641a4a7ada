"""How a crop sees the athlete: plain, or as a virtual camera; exact there and back."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from calibration.camera import Camera, CameraError
from calibration.rotation import virtual_from_cam
from engines import codecs
from engines.codecs import Crop, transformed
from engines.contracts import CROP_H, CROP_W
from engines.view import View, Views, view_of, view_of_box
from models import view as inside_the_networks

CAMERA = Camera(1920, 1080, 1300.0, (955.0, 548.0), pixel_aspect=1.02)
BENT = Camera(1920, 1080, 1100.0, (955.0, 548.0), (-0.2, 0.05, 0.0005, -0.0004, 0.0), model="opencv")
MIDDLE = np.array([(CROP_W - 1) / 2, (CROP_H - 1) / 2])

centres = st.tuples(st.floats(0, 1919), st.floats(0, 1079))
heights = st.floats(40, 700)
cameras = st.sampled_from([CAMERA, BENT])


def spots(seed: int, count: int = 17) -> np.ndarray:
    """Places in a crop, pixels."""
    return np.random.default_rng(seed).uniform((0, 0), (CROP_W - 1, CROP_H - 1), (count, 2))


def map_of(view: View) -> np.ndarray:
    """K_crop^-1 (u, v, 1) of the pixels of the crop: what PersPose encodes, in the camera that takes the crop."""
    v, u = np.indices((CROP_H, CROP_W), float)
    rays = view.camera.unproject(transformed(np.stack([u, v], -1), view.img_from_crop))
    turn = np.eye(3) if view.virtual_from_cam is None else view.virtual_from_cam
    rays = rays @ turn.T
    return rays[..., :2] / rays[..., 2:]


@given(centres, heights, st.integers(0, 99))
def test_of_a_guessed_camera_the_crop_is_a_plain_rectangle(centre, height, seed):
    crop, joints = Crop(centre, height), spots(seed)
    view = view_of((*centre, height), CAMERA, known=False)
    np.testing.assert_array_equal(view.img_from_crop, codecs.img_from_crop(crop))
    np.testing.assert_array_equal(view.keypoints(joints), codecs.normalised_keypoints(joints, crop))
    np.testing.assert_array_equal(view.box, codecs.box_token(crop, CAMERA))
    np.testing.assert_array_equal(view.cam_from_view(np.ones((17, 3))), np.ones((17, 3), np.float32))
    box = (10.0, 20.0, 60.0, 150.0)
    assert view_of_box(box, 1.25, CAMERA, known=False).crop == codecs.crop_of_box(box, 1.25)


@given(cameras, centres, heights, st.integers(0, 99))
def test_crop_to_picture_and_back_is_exact(camera, centre, height, seed):
    view, places = view_of((*centre, height), camera, known=True), spots(seed)
    seen = transformed(places, view.img_from_crop)
    np.testing.assert_allclose(transformed(seen, np.linalg.inv(view.img_from_crop)), places, atol=1e-5)
    np.testing.assert_allclose(transformed(MIDDLE, view.img_from_crop), centre, atol=1e-5)


@given(centres, heights, st.integers(0, 99))
def test_a_place_in_the_crop_is_the_keypoint_of_that_place(centre, height, seed):
    """Without distortion the crop is exactly what the virtual camera sees."""
    view, places = view_of((*centre, height), CAMERA, known=True), spots(seed)
    keypoints = view.keypoints(transformed(places, view.img_from_crop))
    np.testing.assert_allclose(keypoints, (places - MIDDLE) / (CROP_H / 2), atol=1e-5)


@given(cameras, centres, heights, st.integers(0, 99))
def test_poses_come_back(camera, centre, height, seed):
    view = view_of((*centre, height), camera, known=True)
    pose = np.random.default_rng(seed).normal(0, 0.5, (5, 17, 3))
    np.testing.assert_allclose(view.cam_from_view(view.view_from_cam(pose)), pose, atol=1e-5)
    assert view.cam_from_view(pose).dtype == np.float32


@given(cameras, centres, st.integers(0, 99))
def test_keypoints_and_pose_are_those_of_the_turned_camera(camera, centre, seed):
    """Of a body anywhere in the picture, distortion and all: project it with the virtual camera instead."""
    body = camera.unproject(centre, 9.0) + np.random.default_rng(seed).normal(0, 0.3, (17, 3))
    view = view_of((*centre, 300.0), camera, known=True)
    turned = view.view_from_cam(body).astype(float)
    expected = turned[:, :2] / turned[:, 2:] / (view.box[2] / 2)
    np.testing.assert_allclose(view.keypoints(camera.project(body)), expected, atol=2e-5)
    assert view.box[:2].tolist() == [0, 0]
    assert view.box[2] == pytest.approx(300.0 / (camera.focal_px * camera.pixel_aspect))


@pytest.mark.parametrize("off_axis_deg", [10, 20, 30])
@pytest.mark.parametrize("way_deg", [0, 90, 200])
@pytest.mark.parametrize("half_m", [(0.3, 0.9), (0.9, 0.3)], ids=["upright", "lying"])
def test_an_athlete_fills_the_crop_alike_wherever_in_the_picture(off_axis_deg, way_deg, half_m):
    camera = Camera(4000, 4000, 1300.0, (1999.5, 1999.5))
    half_u, half_v = half_m
    body = np.array([(half_u, 0, 8.0), (-half_u, 0, 8.0), (0, half_v, 8.0), (0, -half_v, 8.0)])
    angle, way = math.radians(off_axis_deg), math.radians(way_deg)
    ray = (math.sin(angle) * math.cos(way), math.sin(angle) * math.sin(way), math.cos(angle))
    straight = around(camera, body)
    past, plain = (around(camera, body @ virtual_from_cam(ray), known) for known in (True, False))
    assert past.box[2] == pytest.approx(straight.box[2], rel=0.03)
    assert plain.box[2] > straight.box[2] / math.cos(angle) * 0.99  # drawn larger, the further off the axis
    looked_at = past.cam_from_view([0, 0, 1.0]) @ ray
    assert math.degrees(math.acos(min(1.0, looked_at))) < 0.5


def around(camera, body, known=True):
    pixels = camera.project(body)
    (left, top), (right, bottom) = pixels.min(0), pixels.max(0)
    return view_of_box((left, top, right, bottom), 1.25, camera, known)


@given(centres, heights)
def test_the_map_of_the_perspective_is_one_number(centre, height):
    """In every turned camera the map is the same ramp times the token's third number: nothing else to encode."""
    view = view_of((*centre, height), CAMERA, known=True)
    v, u = np.indices((CROP_H, CROP_W), float)
    ramp = (np.stack([u, v], -1) - MIDDLE) / CROP_H
    np.testing.assert_allclose(map_of(view), ramp * view.box[2], atol=1e-6)


def test_of_plain_crops_the_map_is_more_than_one_number():
    one, other = (map_of(view_of((u, 500.0, 300.0), CAMERA, known=False)) for u in (955.0, 1700.0))
    assert np.abs(one - other)[..., 0].min() > 0.5


@given(centres, heights, st.integers(0, 99))
def test_what_the_networks_turn_themselves_is_the_same_turn(centre, height, seed):
    """Of a plain crop they turn keypoints and pose by the token's bearing (`models.view`): the same camera."""
    camera = Camera(1920, 1080, 1300.0, (955.0, 548.0))
    view, joints = view_of((*centre, height), camera, known=True), transformed(spots(seed), np.diag([9, 4, 1.0]))
    ray = camera.unproject(centre)
    plain = view_of((*centre, height * float(np.linalg.norm(ray))), camera, known=False)
    told = torch.from_numpy(plain.box[None])
    turned = inside_the_networks.keypoints_in_view(torch.from_numpy(plain.keypoints(joints)[None]), told)
    scale = 1 + np.abs(view.keypoints(joints))
    np.testing.assert_allclose(turned[0].numpy() / scale, view.keypoints(joints) / scale, atol=2e-4)
    pose = np.random.default_rng(seed).normal(0, 0.5, (17, 3)).astype(np.float32)
    back = inside_the_networks.from_view(torch.from_numpy(pose[None]), inside_the_networks.view_of(told))
    np.testing.assert_allclose(back[0].numpy(), view.cam_from_view(pose), atol=1e-5)


def test_distortion_bends_the_crop_a_little_and_the_way_back_not_at_all():
    view = view_of((1700.0, 850.0, 250.0), BENT, known=True)
    places = np.stack(np.meshgrid(np.linspace(0, CROP_W - 1, 7), np.linspace(0, CROP_H - 1, 7)), -1).reshape(-1, 2)
    keypoints = view.keypoints(transformed(places, view.img_from_crop))
    bent_px = np.linalg.norm(keypoints * (CROP_H / 2) + MIDDLE - places, axis=1)
    assert 0.5 < bent_px.max() < 12  # in the corner: a wide lens, and a crop far out
    inner = np.abs(places - MIDDLE).max(1) < CROP_W / 4
    assert bent_px[inner].max() < 2.5
    rays = view.camera.unproject(transformed(places, view.img_from_crop)) @ view.virtual_from_cam.T
    np.testing.assert_allclose(keypoints * view.box[2] / 2, rays[:, :2] / rays[:, 2:], atol=1e-6)


def test_where_no_ray_ends_there_is_a_crop_all_the_same():
    fisheye = Camera(1000, 1000, 300.0, (499.5, 499.5), (0.0, 0.0, 0.0, 0.0), model="fisheye")
    outside = view_of((2600.0, 500.0, 200.0), fisheye, known=True)
    assert outside.virtual_from_cam is None
    assert np.isfinite(outside.box).all()
    rim = view_of((940.0, 500.0, 200.0), fisheye, known=True)
    assert np.isfinite(rim.keypoints([(960.0, 500.0), (1200.0, 500.0)])).all()


def test_a_smaller_stream_of_the_calibrated_camera():
    views = Views(CAMERA, 25.0)
    assert views.known
    assert views.camera(1920, 1080) == CAMERA
    small = views.camera(960, 540)
    np.testing.assert_allclose((CAMERA.project([1.0, 0.5, 7.0]) + 0.5) / 2 - 0.5, small.project([1.0, 0.5, 7.0]))
    whole, half = (
        view_of((u, v, h), camera, True).box
        for u, v, h, camera in (
            (1500.5, 300.5, 200.0, CAMERA),
            (750.0, 150.0, 100.0, small),
        )
    )
    np.testing.assert_allclose(whole, half, rtol=1e-6)
    with pytest.raises(CameraError, match="1440x1080, the camera was calibrated with 1920x1080"):
        views.camera(1440, 1080)


def test_nothing_known_is_a_guess():
    views = Views(None, 25.0)
    assert not views.known
    assert views.camera(640, 480) == Camera.guessed(640, 480, 25.0)
    assert views.of_crop((300.0, 200.0, 160.0), 640, 480).virtual_from_cam is None
    assert views.of_box((0, 0, 10, 20), 1.25, 640, 480).crop == codecs.crop_of_box((0, 0, 10, 20), 1.25)
