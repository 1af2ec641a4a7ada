"""Gravity as a camera sees it, against the camera itself: a body that falls, drawn frame by frame."""

import numpy as np
import pytest

from calibration.camera import Camera
from calibration.venue import Board, Calibration
from flight.pull import BEFORE_BOARD_M, Pull

CAMERA = Camera(1920, 1080, 1500.0, (959.5, 539.5))


def placed(position_m, target_m, roll_rad=0.0):
    """world_from_cam (4, 4) of a camera that looks at a point."""
    forward = np.subtract(target_m, position_m)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    pose = np.eye(4)
    cos, sin = np.cos(roll_rad), np.sin(roll_rad)
    pose[:3, :3] = np.stack([cos * right + sin * down, cos * down - sin * right, forward], 1)
    pose[:3, 3] = position_m
    return pose


def seen(pose, points_world_m):
    return CAMERA.project((np.asarray(points_world_m) - pose[:3, 3]) @ pose[:3, :3])


def calibration(pose, height_m=10.0):
    return Calibration(CAMERA, world_from_cam=pose, board=Board("platform", height_m, 3.0, 6.0))


@pytest.mark.parametrize("roll", [0.0, 0.2])
@pytest.mark.parametrize("place", [(0.9, 0.0, 1.0), (0.9, 0.0, -4.0), (0.9, 0.0, -9.0)])
def test_what_falls_is_drawn_as_the_camera_draws_it(place, roll) -> None:
    pose = placed((1.0, -15.0, 2.0), (0.9, 0.0, -4.0), roll)
    pull = Pull(CAMERA, calibration(pose))
    at_rest = seen(pose, place)
    metre = pull.metre_px(tuple(at_rest))
    depth = ((np.asarray(place) - pose[:3, 3]) @ pose[:3, :3])[2]
    assert metre == pytest.approx(1500.0 / depth, rel=1e-9)
    step = 1e-3
    u = [seen(pose, np.add(place, [0, 0, -9.81 * t * t / 2])) for t in (0.0, step, 2 * step)]
    accelerated = (u[2] - 2 * u[1] + u[0]) / step**2
    np.testing.assert_allclose(pull.pull_px_s2(tuple(at_rest), metre), accelerated, rtol=0.01, atol=2.0)


def test_a_body_a_metre_off_the_line_is_placed_within_the_stated_share() -> None:
    pose = placed((1.0, -15.0, 2.0), (0.9, 0.0, -4.0))
    metre = Pull(CAMERA, calibration(pose)).metre_px(tuple(seen(pose, (BEFORE_BOARD_M, 1.0, -3.0))))
    assert metre == pytest.approx(1500.0 / 16.0, rel=0.08)


def test_nobody_meets_the_water_above_it() -> None:
    pose = placed((1.0, -15.0, 2.0), (0.9, 0.0, -4.0))
    pull = Pull(CAMERA, calibration(pose))
    assert [pull.may_enter(tuple(seen(pose, (0.9, 0.0, z)))) for z in (1.0, -4.0, -8.0, -9.0, -9.9)] == [
        False, False, False, True, True,
    ]  # fmt: skip
    assert Pull().may_enter((0.0, 0.0))
    assert Pull(CAMERA, Calibration(CAMERA, world_from_cam=pose)).may_enter(tuple(seen(pose, (0.9, 0, 1))))


def test_without_a_world_only_the_direction_is_known() -> None:
    down = np.array([0.1, 0.98, 0.17])
    pull = Pull(CAMERA, Calibration(CAMERA, gravity_cam=down / np.linalg.norm(down)))
    assert pull.metre_px((500.0, 500.0)) is None
    u, v = pull.pull_px_s2(CAMERA.centre_px, 100.0)
    assert u / v == pytest.approx(0.1 / 0.98)


def test_without_a_camera_gravity_acts_straight_down() -> None:
    pull = Pull()
    assert pull.pull_px_s2((123.0, 45.0), 50.0) == (0.0, pytest.approx(9.81 * 50))
    assert pull.metre_px((123.0, 45.0)) is None


def test_a_ray_along_the_line_of_the_dives_tells_nothing() -> None:
    pose = np.eye(4)
    pose[:3, :3] = np.array([[0, 1.0, 0], [1.0, 0, 0], [0, 0, -1.0]])  # from above, straight down
    pose[:3, 3] = (BEFORE_BOARD_M, 0.0, 20.0)
    pull = Pull(CAMERA, calibration(pose))
    assert pull.metre_px(CAMERA.centre_px) is None
    assert pull.may_enter(CAMERA.centre_px)
