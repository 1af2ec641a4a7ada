"""Printed boards: their geometry is OpenCV's, whatever is said about it."""

import cv2
import numpy as np
import pytest

from calibration.board import MARKER_MODULES, Pattern, charuco
from calibration.errors import CalibrationError


@pytest.mark.parametrize(("columns", "rows"), [(9, 6), (7, 5), (5, 8)])
@pytest.mark.parametrize("markers", MARKER_MODULES)
def test_what_is_black_is_what_opencv_draws(columns, rows, markers):
    modules = MARKER_MODULES[markers]
    side = 8 * modules  # a marker is three quarters of its square: each of its fields has 6 pixels
    pattern = Pattern("charuco", columns, rows, float(side), markers)
    drawn = np.full((rows * side, columns * side), 255, np.uint8)
    for x, y, width, height in pattern.black_mm.round().astype(int):
        drawn[y : y + height, x : x + width] = 0
    np.testing.assert_array_equal(drawn, charuco(pattern).generateImage((columns * side, rows * side)))


def test_corners_are_opencvs_corners():
    pattern = Pattern(columns=7, rows=5, square_mm=35.0)
    np.testing.assert_allclose(charuco(pattern).getChessboardCorners()[:, :2], pattern.corners_mm)


def test_a_checkerboard_has_black_and_white_squares_in_turn():
    pattern = Pattern("checkerboard", 4, 3, 10.0)
    drawn = np.ones((30, 40))
    for x, y, width, height in pattern.black_mm.astype(int):
        drawn[y : y + height, x : x + width] = 0
    np.testing.assert_array_equal(drawn[5::10, 5::10], [[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]])


def test_a_large_board_takes_a_larger_family_with_the_same_first_markers():
    small, large = charuco(Pattern(columns=9, rows=6)), charuco(Pattern(columns=20, rows=12))
    assert len(large.getIds()) == 120
    first = [cv2.aruco.generateImageMarker(board.getDictionary(), 7, 70) for board in (small, large)]
    np.testing.assert_array_equal(*first)


@pytest.mark.parametrize(
    ("numbers", "says"),
    [({"columns": 2}, "3 to 30"), ({"rows": 31}, "3 to 30"), ({"square_mm": 0.0}, "larger than 0")],
)
def test_boards_that_cannot_be_are_refused(numbers, says):
    with pytest.raises(CalibrationError, match=says):
        Pattern(**numbers)


def test_a_board_says_what_it_is():
    assert str(Pattern()) == "ChArUco board with 5x5 markers, 9 x 6 squares of 28 mm"
    assert str(Pattern("checkerboard", 10, 7, 36.5)) == "checkerboard, 10 x 7 squares of 36.5 mm"
