"""Rendered boards: exact where they should be, and good enough to measure a calibration on."""

import numpy as np
import pytest

from calibration.board import Pattern
from calibration.camera import Camera
from calibration.detection import Finder
from training.synth.boards import Renderer, Shot, focal_error, pictures, random_camera, random_shots, texture

SMALL = Camera(480, 270, 420.0, (240.0, 134.0), (-0.2, 0.04, 0.001, 0.0), model="opencv")
PATTERN = Pattern()


def test_corners_lie_where_the_camera_projects_them():
    """Without blur and noise; a large board so that the corners are far from each other."""
    rng = np.random.default_rng(0)
    renderer, finder = Renderer(SMALL, PATTERN), Finder(PATTERN)
    corners = np.column_stack([PATTERN.corners_mm, np.zeros(len(PATTERN.corners_mm))])
    errors = []
    for shot in random_shots(rng, SMALL, PATTERN, 9):
        view = finder.view(renderer.luma(Shot(shot.cam_from_board, 0.5, 0.0, 0.0, 0.0), rng))
        if view is not None:
            exact = SMALL.project(corners[view.ids] @ shot.cam_from_board[:3, :3].T + shot.cam_from_board[:3, 3])
            errors.append(view.corners_img_px - exact)
    offsets = np.concatenate(errors)
    assert len(errors) >= 6
    assert np.abs(offsets.mean(axis=0)).max() < 0.02, "not even a fiftieth of a pixel to one side"
    assert np.sqrt((offsets**2).sum(axis=1).mean()) < 0.25, "of squares of 13 pixels"


def test_the_print_has_its_white_margin():
    sheet = texture(Pattern("checkerboard", 5, 4))
    assert sheet.shape == (5 * 64, 6 * 64)
    assert sheet[10, 10] > 0.9
    assert sheet[40, 40] < 0.1


def test_a_board_beyond_the_picture_is_not_in_it():
    pose = np.eye(4)
    pose[:3, 3] = (5000.0, 0.0, 600.0)
    _, inside = Renderer(SMALL, PATTERN)._board(pose)
    assert not inside.any()


def test_pictures_are_the_same_for_the_same_seed():
    first, second = (np.stack(list(pictures(5, SMALL, PATTERN, 2))) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.uint8
    assert not np.array_equal(first, np.stack(list(pictures(6, SMALL, PATTERN, 2))))


@pytest.mark.parametrize("model", ["opencv", "fisheye"])
def test_random_cameras_are_cameras(model):
    for seed in range(50):
        assert random_camera(np.random.default_rng(seed), model).model == model


@pytest.mark.slow
@pytest.mark.parametrize("model", ["opencv", "fisheye"])
@pytest.mark.parametrize("seed", [21, 22])
def test_the_focal_length_is_right_within_three_tenths_of_a_percent(seed, model):
    assert focal_error(seed, model=model) < 0.003
