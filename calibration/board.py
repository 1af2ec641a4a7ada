"""Printed calibration boards: what is on them, in millimetres, and where they are found in a picture.

A board of `columns` x `rows` squares is a checkerboard, or a ChArUco board: a checkerboard with a marker in each white
square, so that a part of it is enough. Board axes are x right and y down along the print, origin at its top-left
corner, millimetres. The corners are those where four squares meet, numbered row by row.
"""

import functools
from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Kind = Literal["charuco", "checkerboard"]
Markers = Literal["4x4", "5x5", "6x6", "7x7"]

MARKER_PART: Final = 0.75
"""Side of a marker over that of its square: the white around it keeps the corners of the squares clean."""
_SIDES: Final = (3, 30)
DICTIONARY_SIZES: Final = (50, 100, 250, 1000)
MARKER_MODULES: Final[dict[Markers, int]] = {"4x4": 6, "5x5": 7, "6x6": 8, "7x7": 9}
"""Black and white fields along a marker's side, its black border included."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A printed board; `markers` says which family stands in the squares of ChArUco. Raises CalibrationError."""

    kind: Kind = "charuco"
    columns: int = 9
    rows: int = 6
    square_mm: float = 28.0
    markers: Markers = "5x5"

    def __post_init__(self) -> None:
        low, high = _SIDES
        if not (low <= self.columns <= high and low <= self.rows <= high):
            raise CalibrationError(f"expected {low} to {high} columns and rows; got {self.columns} x {self.rows}")
        if not self.square_mm > 0:
            raise CalibrationError(f"expected squares larger than 0 mm; got {self.square_mm:g}")

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height of all squares together."""
        return self.columns * self.square_mm, self.rows * self.square_mm

    @property
    def corners_mm(self) -> Floats:
        """Corners ((columns - 1) (rows - 1), 2) where four squares meet, row by row."""
        y, x = np.mgrid[1 : self.rows, 1 : self.columns]
        return np.stack([x, y], axis=-1).reshape(-1, 2) * self.square_mm

    @property
    def black_mm(self) -> Floats:
        """What is printed black: rectangles (N, 4) as x, y, width, height."""
        squares = [
            (column * self.square_mm, row * self.square_mm, self.square_mm, self.square_mm)
            for row, column in np.ndindex(self.rows, self.columns)
            if (row + column) % 2 == 0
        ]
        return np.array(squares + (_black_of_markers(self) if self.kind == "charuco" else []))

    def __str__(self) -> str:
        name = f"ChArUco board with {self.markers} markers" if self.kind == "charuco" else "checkerboard"
        return f"{name}, {self.columns} x {self.rows} squares of {self.square_mm:g} mm"


def _black_of_markers(pattern: Pattern) -> list[tuple[float, float, float, float]]:
    modules = MARKER_MODULES[pattern.markers]
    side = pattern.square_mm * MARKER_PART / modules
    board = charuco(pattern)
    black = []
    for corners, number in zip(np.asarray(board.getObjPoints()), np.ravel(board.getIds()), strict=True):
        picture = cv2.aruco.generateImageMarker(board.getDictionary(), int(number), modules)
        x, y = corners[0, :2]
        black += [(x + i * side, y + j * side, side, side) for j, i in np.argwhere(picture == 0)]
    return black


@functools.lru_cache(maxsize=64)
def charuco(pattern: Pattern) -> cv2.aruco.CharucoBoard:
    """OpenCV's board with these squares. Raises CalibrationError when there are not enough markers for it."""
    needed = pattern.columns * pattern.rows // 2
    size = next((size for size in DICTIONARY_SIZES if size >= needed), 0)
    if not size:
        raise CalibrationError(f"a board of {pattern.columns} x {pattern.rows} squares has too many markers")
    square = pattern.square_mm
    size_in_squares = (pattern.columns, pattern.rows)
    return cv2.aruco.CharucoBoard(size_in_squares, square, square * MARKER_PART, dictionary(pattern.markers, size))


def dictionary(markers: Markers, size: int) -> cv2.aruco.Dictionary:
    """OpenCV's family of so many markers; a larger one begins with those of a smaller."""
    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{markers.upper()}_{size}"))
