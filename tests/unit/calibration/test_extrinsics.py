"""Cameras placed by points: as exactly as announced, wrong clicks named, and refusals that say what is missing."""

import numpy as np
import pytest

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.extrinsics import Points, placed
from calibration.store import Calibration
from calibration.templates import template

FOCAL_PX = 1500.0
CAMERA = Camera(1920, 1080, FOCAL_PX, (955.0, 545.0), (-0.12, 0.05, 0.0005, -0.0004), model="opencv")
CLICK_PX = 1.5


def looking(place_m, target_m) -> np.ndarray:
    """cam_from_world (4, 4) of a level camera at a place that looks at another."""
    forward = np.subtract(target_m, place_m) / np.linalg.norm(np.subtract(target_m, place_m))
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    turn = np.stack([right, np.cross(forward, right), forward])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn, -turn @ place_m
    return pose


def view(place_m, target_m, world_m, camera=CAMERA):
    pose = looking(np.asarray(place_m, float), np.asarray(target_m, float))
    return camera.project(world_m @ pose[:3, :3].T + pose[:3, 3])


def board_points(name, place_m, noise_px=0.0, seed=0, camera=CAMERA) -> Points:
    row = template(name)
    world = np.array([mark.world_m for mark in row.marks])
    pixels = view(place_m, (0, 0, -row.board.height_m / 2), world, camera)
    pixels += np.random.default_rng(seed).normal(0, noise_px, pixels.shape)
    return Points(tuple(mark.name for mark in row.marks), world, pixels)


PLACE = np.array([4.0, -13.0, -2.0])


@pytest.mark.parametrize("name", ["springboard-1", "springboard-3", "platform-5", "platform-10"])
def test_exact_points_give_the_exact_place(name) -> None:
    place = np.add(PLACE, (0, 0, 2.5))
    found = placed(board_points(name, place), CAMERA)
    np.testing.assert_allclose(found.world_from_cam[:3, 3], place, atol=1e-4)
    expected = np.linalg.inv(looking(place, (0, 0, -template(name).board.height_m / 2)))
    np.testing.assert_allclose(found.world_from_cam, expected, atol=1e-4)
    assert found.left_out == {} and found.pose.rms_px < 1e-3


def test_the_announced_deviation_is_the_true_one() -> None:
    errors, announced = [], []
    for seed in range(40):
        found = placed(board_points("platform-7.5", PLACE, CLICK_PX, seed), CAMERA)
        errors.append(found.world_from_cam[:3, 3] - PLACE)
        announced.append(found.place_sd_m)
    scaled = np.array(errors) / np.array(announced)
    assert 0.75 < np.sqrt((scaled**2).mean()) < 1.3
    assert np.linalg.norm(errors, axis=1).max() < 0.3


@pytest.mark.parametrize("index", range(0, 11, 2))
def test_one_wrong_click_is_named_and_left_out(index) -> None:
    good = board_points("platform-5", PLACE, CLICK_PX, seed=index)
    pixels = good.img_px.copy()
    pixels[index] += (-31.0, 30.0)
    found = placed(Points(good.names, good.world_m, pixels), CAMERA)
    assert list(found.left_out) == [good.names[index]]
    assert found.left_out[good.names[index]] == pytest.approx(43, abs=10)
    np.testing.assert_allclose(found.world_from_cam[:3, 3], PLACE, atol=0.4)


def test_with_six_points_a_wrong_click_is_refused_by_name() -> None:
    good = board_points("platform-10", PLACE, 0.5).without(4, 5, 8, 9, 10)
    pixels = good.img_px.copy()
    pixels[good.names.index("pool-edge-left")] += (60.0, -45.0)
    with pytest.raises(CalibrationError, match=r"is \d+ px from where the others put it: clicked wrongly\?"):
        placed(Points(good.names, good.world_m, pixels), CAMERA)


def test_the_focal_length_is_found_too() -> None:
    guess = Camera(1920, 1080, 900.0, CAMERA.centre_px)
    plain = Camera(1920, 1080, FOCAL_PX, CAMERA.centre_px)
    found = placed(board_points("platform-10", PLACE, CLICK_PX, 3, plain), guess, fit_focal=True)
    assert found.pose.camera.focal_px == pytest.approx(FOCAL_PX, rel=0.03)
    assert abs(found.pose.camera.focal_px - FOCAL_PX) < 3 * found.focal_sd_px
    np.testing.assert_allclose(found.world_from_cam[:3, 3], PLACE, atol=0.5)


GROUND = np.array([(0.0, 0.0, 0.0), (4.0, 0.0, 0.0), (4.0, 3.0, 0.0), (0.0, 3.0, 0.0), (2.0, 1.5, 0.0)])


def ground_points(count, noise_px=0.0) -> Points:
    pixels = view((1.0, -7.0, 2.2), (2.0, 1.0, 0.5), GROUND[:count])
    pixels += np.random.default_rng(5).normal(0, noise_px, pixels.shape)
    return Points(tuple(f"mark {k}" for k in range(count)), GROUND[:count], pixels)


@pytest.mark.parametrize("count", [4, 5])
def test_four_points_of_the_ground_do(count) -> None:
    found = placed(ground_points(count, 1.0), CAMERA, ground=True)
    np.testing.assert_allclose(found.world_from_cam[:3, 3], (1.0, -7.0, 2.2), atol=0.15)
    assert found.world_from_cam[2, 3] > 0, "above the ground"
    down = Calibration(CAMERA, found.world_from_cam).gravity_cam
    np.testing.assert_allclose(
        down, looking(np.array([1, -7, 2.2]), np.array([2, 1, 0.5]))[:3, :3] @ (0, 0, -1), atol=0.02
    )


def test_too_few_or_degenerate_points_say_what_to_add() -> None:
    good = board_points("platform-10", PLACE)
    with pytest.raises(CalibrationError, match="5 points are not enough"):
        placed(good.without(*range(5, 11)), CAMERA)
    line = np.column_stack([np.linspace(0, 5, 7), np.zeros(7), np.zeros(7)])
    names = tuple("abcdefg")
    with pytest.raises(CalibrationError, match="on one line"):
        placed(Points(names, line, view(PLACE, (2, 0, 0), line)), CAMERA)
    with pytest.raises(CalibrationError, match="does not tell the focal length"):
        placed(ground_points(5), CAMERA, fit_focal=True, ground=True)
    with pytest.raises(CalibrationError, match="far outside the picture"):
        placed(Points(good.names, good.world_m, good.img_px + 9000), CAMERA)
    tilted = Points(good.names[:6], good.world_m[:6], good.img_px[:6])
    with pytest.raises(CalibrationError, match="same z"):
        placed(tilted, CAMERA, ground=True)


def test_a_plane_seen_from_far_has_two_answers_and_is_refused() -> None:
    """A small flat patch far away looks the same tilted towards the camera or away from it."""
    flat = np.array([(x, y, 0.0) for x in (0.0, 0.5, 1.0) for y in (0.0, 0.5)])
    pixels = view((0.5, -30.0, 14.0), (0.5, 0.2, 0.0), flat) + np.random.default_rng(0).normal(0, 1.0, (6, 2))
    with pytest.raises(CalibrationError, match=r"fit two places of the camera.*off their plane"):
        placed(Points(tuple("abcdef"), flat, pixels), CAMERA)


def test_another_board_than_said_is_refused() -> None:
    seen = board_points("platform-10", PLACE)
    other = np.array([mark.world_m for mark in template("platform-5").marks])
    with pytest.raises(CalibrationError, match=r"clicked wrongly|is it this board"):
        placed(Points(seen.names, other, seen.img_px), CAMERA)


def test_names_must_be_different() -> None:
    with pytest.raises(CalibrationError, match="twice"):
        Points(("a", "a"), np.zeros((2, 3)), np.zeros((2, 2)))
