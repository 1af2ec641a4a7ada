"""Boards in rendered pictures: where the corners are, how sharp they look, and which board it is."""

import functools

import numpy as np
import pytest

from calibration.board import Pattern
from calibration.camera import Camera
from calibration.detection import Finder, board_in, charuco_in
from tests.unit.calibration.board_views import pose
from training.synth.boards import Renderer, Shot

CAMERA = Camera(960, 540, 1000.0, (480.0, 268.0), (-0.15, 0.03, 0.0005, -0.0004), model="opencv")
CHARUCO, CHECKERS = Pattern(), Pattern("checkerboard", 8, 6, 30.0)


renderer = functools.cache(Renderer)


@functools.cache
def picture(pattern, place=(0.5, 0.5), blur_px=0.7, smear_px=0.0):
    cam_from_board = pose(CAMERA, pattern, place, 0.55, (25.0, 10.0))
    shot = Shot(cam_from_board, blur_px, smear_px)
    return renderer(CAMERA, pattern).luma(shot, np.random.default_rng(4)), cam_from_board


def exact(pattern, cam_from_board, ids):
    corners = np.column_stack([pattern.corners_mm, np.zeros(len(pattern.corners_mm))])[ids]
    return CAMERA.project(corners @ cam_from_board[:3, :3].T + cam_from_board[:3, 3])


@pytest.mark.parametrize("pattern", [CHARUCO, CHECKERS], ids=["charuco", "checkerboard"])
def test_corners_are_found_to_a_fraction_of_a_pixel(pattern):
    luma, cam_from_board = picture(pattern)
    view = Finder(pattern).view(luma, "one")
    assert view.label == "one"
    assert len(view.ids) == len(pattern.corners_mm)
    found = view.corners_img_px
    if pattern.kind == "checkerboard" and np.abs(found[0] - exact(pattern, cam_from_board, [0])).max() > 50:
        found = found[::-1]  # a checkerboard looks the same upside down
    assert np.linalg.norm(found - exact(pattern, cam_from_board, view.ids), axis=1).max() < 0.4


def test_a_part_of_a_charuco_board_is_enough():
    luma, cam_from_board = picture(CHARUCO, place=(0.95, 0.5))
    view = Finder(CHARUCO).view(luma)
    assert 8 <= len(view.ids) < 35
    assert np.linalg.norm(view.corners_img_px - exact(CHARUCO, cam_from_board, view.ids), axis=1).max() < 0.4


def test_a_picture_without_a_board_has_none():
    noise = np.random.default_rng(0).integers(0, 255, (540, 960)).astype(np.uint8)
    assert Finder(CHARUCO).view(noise) is None
    assert Finder(CHECKERS).view(noise) is None
    assert board_in(noise) is None


def test_blur_and_smear_are_seen_in_the_edges():
    sharp, blurred, smeared = (
        Finder(CHARUCO).view(picture(CHARUCO, **shot)[0]).rise_px
        for shot in ({"blur_px": 0.5}, {"blur_px": 1.6}, {"blur_px": 0.5, "smear_px": 2.0})
    )
    assert 2.0 <= sharp < 3.0
    assert blurred > 1.5 * sharp
    assert smeared > 1.1 * sharp


@pytest.mark.parametrize(
    "wanted", [Pattern(columns=7, rows=6), Pattern(markers="4x4"), Pattern(columns=9, rows=4)], ids=str
)
def test_another_charuco_board_is_told(wanted):
    luma, _ = picture(CHARUCO)
    if wanted.columns != CHARUCO.columns or wanted.markers != CHARUCO.markers:
        assert Finder(wanted).view(luma) is None
    assert board_in(luma) == "a ChArUco board with 5x5 markers, 9 squares wide and 27 or more markers"


def test_another_checkerboard_is_told():
    luma, _ = picture(CHECKERS)
    assert Finder(Pattern("checkerboard", 9, 6)).view(luma) is None
    assert charuco_in(luma) is None
    assert board_in(luma) == "a checkerboard of 8 x 6 squares"
