"""Virtual cameras and the way back."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration import rotation
from calibration.camera import Camera

CAMERA = Camera.guessed(1920, 1080, 40.0)
pixels = st.tuples(st.floats(0, 1919), st.floats(0, 1079))
rays = st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.just(1.0))


@given(rays)
def test_the_smallest_rotation_takes_the_ray_to_the_axis(ray):
    turn = rotation.virtual_from_cam(ray)
    length = np.linalg.norm(ray)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    np.testing.assert_allclose(turn @ ray, [0, 0, length], atol=1e-12)
    angle = math.acos(min(1.0, max(-1.0, (np.trace(turn) - 1) / 2)))
    assert angle == pytest.approx(math.acos(min(1.0, 1 / length)), abs=1e-6)


@pytest.mark.parametrize("ray", [(0, 0, 0), (0, 0, -1), (1, 0, 0), (math.nan, 0, 1)])
def test_a_ray_that_does_not_point_forward_is_refused(ray):
    with pytest.raises(ValueError, match="points forward"):
        rotation.virtual_from_cam(ray)


@given(pixels, st.integers(0, 1000))
def test_poses_come_back(centre, seed):
    pose = np.random.default_rng(seed).normal(0, 0.5, (17, 3))
    turn = rotation.virtual_from_cam_at(CAMERA, centre)
    back = rotation.cam_from_virtual_pose(rotation.virtual_from_cam_pose(pose, turn), turn)
    np.testing.assert_allclose(back, pose, atol=1e-5)
    np.testing.assert_allclose(back, pose, atol=1e-12)


@given(pixels, st.floats(50, 800), st.floats(-3, 3), st.integers(0, 1000))
def test_the_crop_is_the_virtual_cameras_picture(centre, height, angle, seed):
    """Project with the virtual camera, and through the homography: the same pixel of the real picture."""
    rng = np.random.default_rng(seed)
    turn = rotation.virtual_from_cam_at(CAMERA, centre)
    subject = CAMERA.unproject(centre, 12.0)
    points = subject + rng.normal(0, 0.4, (17, 3))
    virtual = rotation.virtual_from_cam_pose(points, turn)
    scale = 256 / height
    offset = CAMERA.focal_px * virtual[:, :2] / virtual[:, 2:] * scale
    cos, sin = math.cos(angle), math.sin(angle)
    crop = offset @ np.array([[cos, -sin], [sin, cos]]) + [95.5, 127.5]
    matrix = rotation.img_from_perspective_crop(CAMERA, turn, height, (256, 192), angle)
    mapped = cv2.perspectiveTransform(crop[None], matrix)[0]
    np.testing.assert_allclose(mapped, CAMERA.project(points), atol=1e-5)
    np.testing.assert_allclose(cv2.perspectiveTransform(mapped[None], np.linalg.inv(matrix))[0], crop, atol=1e-5)


def test_on_the_axis_it_is_the_plain_crop():
    matrix = rotation.img_from_perspective_crop(CAMERA, np.eye(3), 512.0, (256, 192))
    np.testing.assert_allclose(matrix, [[2, 0, 959.5 - 191], [0, 2, 539.5 - 255], [0, 0, 1]], atol=1e-9)


BENT = [
    Camera(1920, 1080, 1100.0, (955.0, 548.0), (-0.2, 0.05, 0.0005, -0.0004, 0.0), model="opencv"),
    Camera(1920, 1080, 900.0, (955.0, 548.0), (-0.02, 0.004, 0.0, 0.0), pixel_aspect=1.05, model="fisheye"),
]


@pytest.mark.parametrize("camera", [CAMERA, *BENT], ids=["pinhole", "opencv", "fisheye"])
@given(centre=pixels)
def test_the_homography_touches_the_true_map_where_the_virtual_camera_looks(camera, centre):
    """A hundredth of a focal length aside, distortion is off by its curvature alone; without it, by nothing."""
    turn = rotation.virtual_from_cam_at(camera, centre)
    aside = np.array([[0, 0, 1], [0.01, 0, 1], [0, 0.01, 1], [-0.01, 0, 1], [0, -0.01, 1]])
    true = camera.project(rotation.cam_from_virtual_pose(aside, turn))
    mapped = cv2.perspectiveTransform(aside[None, :, :2], rotation.img_from_virtual(camera, turn))[0]
    np.testing.assert_allclose(mapped[0], centre, atol=1e-6)
    np.testing.assert_allclose(mapped, true, atol=1e-6 if camera is CAMERA else 0.5)


def test_a_person_facing_the_camera_off_axis_is_turned_back():
    """Seen alike in its crop, a person off axis stands turned by the bearing of the crop."""
    centre = (1800.0, 539.5)
    ray = CAMERA.unproject(centre)
    facing = np.array([0.0, 0.0, -1.0])
    turned = rotation.undo_implicit_rotation(facing, CAMERA, centre)
    np.testing.assert_allclose(turned, -ray / np.linalg.norm(ray), atol=1e-12)
