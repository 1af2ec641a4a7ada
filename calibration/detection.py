"""Finding a printed board in a picture, and telling which board it is when it is not the one looked for."""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.board import (
    DICTIONARY_SIZES,
    MARKER_MODULES,
    MARKER_PART,
    Bytes,
    Markers,
    Pattern,
    charuco,
    dictionary,
)

Floats = NDArray[np.float64]

MIN_CORNERS: Final = 8
"""With fewer corners of a ChArUco board than these a view fixes neither a tilt nor a distortion."""
_MIN_ACROSS: Final = 3
_BENT: Final = 0.2
"""Corners further than this part of a square from any flat board, seen by any lens, are not this board's."""
_CLEAR: Final = (1 - MARKER_PART) / 2
_REFINED_PX: Final = 8
_WINDOW: Final = 0.35
_FEW_MARKERS: Final = 4
_SMALLEST: Final = (4, 4)
"""Corners of a checkerboard that is none of the tiles of a pool."""
_LARGEST_GUESSED: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A board in one picture.

    Corners (N, 2) in pixels with their numbers (N,), as in `Pattern.corners_mm`; `rise_px` is how many pixels the edges
    take from black to white, 2 where they are perfectly sharp; `label` says which picture it was.
    """

    corners_img_px: Floats
    ids: NDArray[np.int64]
    rise_px: float
    label: str = ""


class Finder:
    """Looks for one board in pictures."""

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        self._charuco = cv2.aruco.CharucoDetector(charuco(pattern)) if pattern.kind == "charuco" else None

    def view(self, luma: Bytes, label: str = "") -> View | None:
        """The board in a picture (H, W) uint8, as shown; None when it is not there or too little of it."""
        found = self._charuco_corners(luma) if self._charuco is not None else self._checkerboard_corners(luma)
        if found is None or not self._is_flat(*found):
            return None
        corners, ids = found
        rise_px = _rise_px(luma, corners, self._axes(corners, ids))
        return View(corners, ids, rise_px, label)

    def _charuco_corners(self, luma: Bytes) -> tuple[Floats, NDArray[np.int64]] | None:
        assert self._charuco is not None
        corners, ids, _, _ = self._charuco.detectBoard(luma)
        if ids is None or len(ids) < MIN_CORNERS:
            return None
        numbers = np.asarray(ids, dtype=np.int64).ravel()
        across = self.pattern.columns - 1
        if min(len(np.unique(numbers % across)), len(np.unique(numbers // across))) < _MIN_ACROSS:
            return None
        places = np.asarray(corners, dtype=np.float64).reshape(-1, 2)
        return _refined(luma, places), numbers

    def _checkerboard_corners(self, luma: Bytes) -> tuple[Floats, NDArray[np.int64]] | None:
        size = (self.pattern.columns - 1, self.pattern.rows - 1)
        found, corners = cv2.findChessboardCornersSB(luma, size)
        if not found:
            return None
        return np.asarray(corners, dtype=np.float64).reshape(-1, 2), np.arange(size[0] * size[1])

    def _is_flat(self, corners: Floats, ids: NDArray[np.int64]) -> bool:
        """Whether a cubic map of the board reaches all corners: perspective and lens are smooth, mistakes are not."""
        board = self.pattern.corners_mm[ids]
        scaled = (board - board.mean(axis=0)) / np.abs(np.ptp(board, axis=0)).max()
        homography, _ = cv2.findHomography(scaled, corners)
        if homography is None:
            return False
        flat = cv2.perspectiveTransform(scaled[:, None], homography)[:, 0]
        x, y = scaled.T
        terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3], axis=1)
        order = terms.shape[1] if len(ids) >= 2 * terms.shape[1] else 3
        bend, *_ = np.linalg.lstsq(terms[:, :order], corners - flat, rcond=None)
        left = corners - flat - terms[:, :order] @ bend
        side = np.sqrt(abs(np.linalg.det(self._axes(corners, ids))))
        return bool(np.abs(left).max() < _BENT * side)

    def _axes(self, corners: Floats, ids: NDArray[np.int64]) -> Floats:
        """How far in the picture one square goes: columns (2, 2) along x and y of the board, pixels."""
        board = self.pattern.corners_mm[ids] / self.pattern.square_mm
        terms = np.column_stack([board, np.ones(len(board))])
        affine, *_ = np.linalg.lstsq(terms, corners, rcond=None)
        return np.asarray(affine[:2].T)


def _refined(luma: Bytes, corners: Floats) -> Floats:
    """Corners to a fraction of a pixel, within a window that ends before the markers do.

    OpenCV has done so already; but before version 5 what it gives is half a pixel off.
    """
    apart = np.linalg.norm(corners[:, None] - corners, axis=-1) + np.diag(np.full(len(corners), np.inf))
    reach = max(2, min(_REFINED_PX, int(_CLEAR * apart.min())))  # of the smallest square: a fisheye's differ
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 40, 1e-3)
    start = corners.astype(np.float32).reshape(-1, 1, 2)
    return np.asarray(cv2.cornerSubPix(luma, start, (reach, reach), (-1, -1), stop), dtype=np.float64).reshape(-1, 2)


def _rise_px(luma: Bytes, corners: Floats, axes: Floats) -> float:
    """Contrast over the steepest slope of the less sharp of the two edges at each corner; the median of all corners."""
    side = np.linalg.norm(axes, axis=0)
    reach = max(2, int(_WINDOW * side.min()))
    u, v, _, _ = cv2.boundingRect(corners.astype(np.float32))
    left, top = max(u - reach - 2, 0), max(v - reach - 2, 0)
    right, bottom = (corners.max(axis=0) + reach + 3).astype(int)
    part = luma[top:bottom, left:right].astype(np.float32)
    slopes = np.stack([cv2.Sobel(part, cv2.CV_32F, *axis, ksize=3, scale=1 / 8) for axis in ((1, 0), (0, 1))], axis=-1)
    along = np.abs(slopes @ (axes / side).astype(np.float32))
    rises = []
    for column, row in np.rint(corners - (left, top)).astype(int):
        window = np.s_[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
        contrast = float(np.ptp(part[window]))
        steepest = float(along[window].max(axis=(0, 1)).min())
        rises.append(contrast / max(steepest, 1e-3))
    return float(np.median(rises))


def board_in(luma: Bytes) -> str | None:
    """Which board is in the picture, whatever was looked for, in words; None if there is none."""
    return charuco_in(luma) or _checkerboard_in(luma)


def charuco_in(luma: Bytes) -> str | None:
    """Which ChArUco board is in the picture, in words; None if there are hardly any markers."""
    found: list[tuple[int, Markers, Any, Any]] = []
    for family in MARKER_MODULES:
        detector = cv2.aruco.ArucoDetector(dictionary(family, DICTIONARY_SIZES[-1]))
        corners, ids, _ = detector.detectMarkers(luma)
        if ids is not None:
            found.append((len(ids), family, corners, np.asarray(ids).ravel()))
    if not found or max(found, key=lambda one: one[0])[0] < _FEW_MARKERS:
        return None
    _, best, corners, ids = max(found, key=lambda one: one[0])
    columns = _columns(np.array([corner.reshape(4, 2).mean(axis=0) for corner in corners]), ids)
    across = f", {columns} squares wide" if columns else ""
    return f"a ChArUco board with {best} markers{across} and {int(ids.max()) + 1} or more markers"


def _columns(centres: Floats, ids: NDArray[np.int64]) -> int | None:
    """Number of squares in a row of the ChArUco board whose markers lie so; None if none fits."""
    best: tuple[float, int] | None = None
    for columns in range(3, _LARGEST_GUESSED + 1):
        rows = -(-2 * (int(ids.max()) + 1) // columns) + 1
        places = [(x, y) for y in range(rows) for x in range(columns) if (x + y) % 2 == 1]
        if len(places) <= ids.max():
            continue
        board = np.array(places, dtype=np.float64)[ids]
        homography, _ = cv2.findHomography(board, centres)
        if homography is None:
            continue
        left = cv2.perspectiveTransform(board[:, None], homography)[:, 0] - centres
        error = float(np.sqrt(np.mean(left**2)) / np.ptp(centres, axis=0).max())
        best = min(best or (np.inf, 0), (error, columns))
    return best[1] if best is not None and best[0] < 0.02 else None


def _checkerboard_in(luma: Bytes) -> str | None:
    flags = cv2.CALIB_CB_LARGER | cv2.CALIB_CB_EXHAUSTIVE
    found, _, meta = cv2.findChessboardCornersSBWithMeta(luma, _SMALLEST, flags)
    if not found or meta is None or min(meta.shape[:2]) < _SMALLEST[0]:
        return None
    longer, shorter = sorted((int(side) + 1 for side in meta.shape[:2]), reverse=True)
    return f"a checkerboard of {longer} x {shorter} squares"
