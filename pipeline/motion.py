"""What moves in the picture, seen on its thumbnail: where to look for an athlete first, and whether a box ever lived.

A detector of single pictures may take a table or a platform for an athlete, and go on taking it; but a table never
moves. While the camera itself moves nothing is known, and everything counts as moving.
"""

import math
from collections import deque
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engines.contracts import STN_PX
from pipeline.messages import Box

APART_S: Final = 0.12
"""Pictures that are compared are at most so far apart: a swaying athlete moves by a cell, a diver not out of sight."""
STEP: Final = 14.0
"""Change of a cell's brightness, of 255, that is neither noise nor the codec's doing."""
CAMERA_SHARE: Final = 0.3
CAMERA_CELLS: Final = 0.3
"""A camera that moves changes more of the picture than this share, or shifts it by more than so many cells: a slow
pan changes only edges."""
_HANN: Final = cv2.createHanningWindow((STN_PX, STN_PX), cv2.CV_32F)
_SMALLEST_BLOB: Final = 5
_LARGEST_BLOB: Final = 0.7
"""Cells of the smallest blob, and side of the largest as a share of the picture's."""

Cells = npt.NDArray[np.uint8]


class Motion:
    """Cells of the thumbnail that differ from a moment ago."""

    def __init__(self) -> None:
        self._past: deque[tuple[float, Cells]] = deque()
        self._moving: Cells = np.zeros((STN_PX, STN_PX), np.uint8)
        self.camera_rests = True
        """Whether what moves is in the picture, and not the picture itself."""
        self._blobs: tuple[Box, ...] = ()
        self._here: tuple[Box, ...] = ()

    def saw(self, thumbnail: npt.NDArray[np.uint8], t_s: float) -> None:
        """Take in the thumbnail (128, 128, 3) of the moment `t_s`."""
        grey = np.asarray(cv2.cvtColor(thumbnail, cv2.COLOR_RGB2GRAY), np.uint8)
        while len(self._past) > 1 and self._past[1][0] <= t_s - APART_S:
            self._past.popleft()
        if self._past:
            before = self._past[0][1]
            self._moving = _changed(before, grey)
            self.camera_rests = self._moving.mean() <= CAMERA_SHARE and _shift(before, grey) <= CAMERA_CELLS
            self._blobs = _blobs(self._moving) if self.camera_rests else ()
            between = min(self._past, key=lambda past: abs(past[0] - t_s + APART_S / 2))[1]
            self._here = _blobs(self._moving & _changed(between, grey)) if self._blobs else ()
        self._past.append((t_s, grey))

    def blobs(self, width: int, height: int) -> tuple[Box, ...]:
        """What moves, as boxes in a picture of this size, `img`, largest first; none while the camera moves."""
        return _in_picture(self._blobs, width, height)

    def bodies(self, width: int, height: int) -> tuple[Box, ...]:
        """As `blobs`, but where it is now, without where it was: what changed since a moment ago, and since half of
        that again. Of who moves slowly these are edges only."""
        return _in_picture(self._here, width, height)

    def share(self, box_img_px: Box, width: int, height: int) -> float:
        """Share 0..1 of the box that moves."""
        if not self.camera_rests:
            return 1.0
        left, top, right, bottom = (np.array(box_img_px) + 0.5) * STN_PX / np.array([width, height, width, height])
        cells = self._moving[max(0, int(top)) : int(bottom) + 1, max(0, int(left)) : int(right) + 1]
        return float(cells.mean()) if cells.size else 0.0


def _changed(before: Cells, after: Cells) -> Cells:
    """Cells that differ by more than noise, 0 or 1."""
    change = after.astype(np.int16) - before
    change -= np.int16(np.median(change))  # a lamp or the exposure changes all of it
    moving: Cells = (np.abs(change) > STEP).view(np.uint8)
    return moving


def _in_picture(blobs: tuple[Box, ...], width: int, height: int) -> tuple[Box, ...]:
    scale = np.array([width, height, width, height]) / STN_PX
    return tuple(_box(np.array(blob) * scale - 0.5) for blob in blobs)


def _shift(before: Cells, after: Cells) -> float:
    """Cells by which the picture as a whole moved."""
    (across, down), _ = cv2.phaseCorrelate(before.astype(np.float32), after.astype(np.float32), _HANN)
    return math.hypot(across, down)


def _blobs(moving: Cells) -> tuple[Box, ...]:
    """Connected cells, a gap of one cell forgiven, largest first; edges in cells."""
    joined = cv2.dilate(moving, np.ones((3, 3), np.uint8))
    x, y, wide, high = cv2.boundingRect(joined)  # most of the picture rests and need not be searched
    if not wide:
        return ()
    part = np.s_[y : y + high, x : x + wide]
    _, labels, rows, _ = cv2.connectedComponentsWithStats(joined[part])
    counts = np.bincount(labels[moving[part].view(np.bool_)], minlength=len(rows))
    found = [
        (counts[label], (x + left, y + top, x + left + across, y + top + down))
        for label, (left, top, across, down, _) in enumerate(rows.tolist())
        if label and counts[label] >= _SMALLEST_BLOB and max(across, down) <= _LARGEST_BLOB * STN_PX
    ]
    return tuple(blob for _, blob in sorted(found, reverse=True))


def _box(edges: npt.NDArray[np.float64]) -> Box:
    left, top, right, bottom = (float(edge) for edge in edges)
    return left, top, right, bottom
