"""A placed camera proved by eye: the board, the water and the points drawn over the picture they were clicked in."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from calibration.extrinsics import Placement
from calibration.store import Calibration
from calibration.templates import Template
from pipeline.calibrate.clicking import write_png
from pipeline.calibrate.scene_plot import outline
from pipeline.edges.lettering import PAPER, text_size, write

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

_BOARD: Final[Colour] = (40, 190, 255)
_WATER: Final[Colour] = (230, 200, 120)
_AXES: Final[tuple[Colour, ...]] = ((40, 40, 214), (44, 160, 44), (180, 119, 31))
_SEEN: Final[Colour] = (255, 255, 255)
_WRONG: Final[Colour] = (60, 60, 255)
_PIECES: Final = 64
_DARKENED: Final = 0.75
_FAR_PX: Final = 20000


def write_placed(
    path: Path,
    picture: Bytes,
    calibration: Calibration,
    placement: Placement,
    template: Template | None,
    clicked: Floats,
) -> None:
    """Write the drawing (PNG), whole or not at all; `clicked` (L, 2) are the points left out. Raises OutputError."""
    write_png(path, drawn(picture, calibration, placement, template, clicked))


def drawn(
    picture: Bytes, calibration: Calibration, placement: Placement, template: Template | None, clicked: Floats
) -> Bytes:
    """The picture (H, W, 3) BGR with everything over it."""
    canvas: Bytes = np.asarray(picture * _DARKENED, dtype=np.uint8)
    for ends, colour, width in _lines(calibration, template):
        _line(canvas, placement, ends, colour, width)
    size = max(13, picture.shape[0] // 60)
    labels = _Labels(canvas, size)
    points, residuals = placement.points, placement.pose.residuals_px
    for name, seen, off in zip(points.names, points.img_px, residuals, strict=True):
        cv2.circle(canvas, _pixel(seen), size // 2, _SEEN, 2, cv2.LINE_AA)
        cv2.drawMarker(canvas, _pixel(seen - off), _BOARD, cv2.MARKER_CROSS, size, 1, cv2.LINE_AA)
        labels.write(f"{name} {np.linalg.norm(off):.1f} px", seen, PAPER)
    for (name, off_px), seen in zip(placement.left_out.items(), clicked, strict=True):
        cv2.drawMarker(canvas, _pixel(seen), _WRONG, cv2.MARKER_TILTED_CROSS, size, 2, cv2.LINE_AA)
        labels.write(f"{name} left out: {off_px:.0f} px off", seen, _WRONG)
    words = "circles: as clicked; crosses: as the camera expects; board and water as calibrated, water lines 1 m apart"
    write(canvas, words, (10, 8), size, PAPER)
    return canvas


class _Labels:
    """Names beside points, each below those that are there already."""

    def __init__(self, canvas: Bytes, size_px: int) -> None:
        self._canvas, self._size_px = canvas, size_px
        self._taken: list[tuple[int, int, int]] = []

    def write(self, text: str, beside: Floats, colour: Colour) -> None:
        """Write right of a pixel, or left of it where the picture ends."""
        wide, high = text_size(text, self._size_px)
        u, v = _pixel(beside)
        left = u + self._size_px if u + self._size_px + wide < self._canvas.shape[1] else u - self._size_px - wide
        top = v - high // 2
        while any(left < end and begin < left + wide and abs(top - other) < high for begin, end, other in self._taken):
            top += 1
        self._taken.append((left, left + wide, top))
        write(self._canvas, text, (left, top), self._size_px, colour)


def _pixel(place: Floats) -> tuple[int, int]:
    return round(float(place[0])), round(float(place[1]))


def _lines(calibration: Calibration, template: Template | None) -> Iterator[tuple[Floats, Colour, int]]:
    """Lines of the world (2, 3), metres."""
    board = calibration.board
    if board is not None:
        z = board.water_z_m
        yield from ((line, _WATER, 1) for line in _water(z))
        top = outline(board)
        thick = 0.0 if template is None or template.thickness_m is None else template.thickness_m
        for corners in (top, top - (0.0, 0.0, thick)) if thick else (top,):
            yield from ((corners[[k, (k + 1) % 4]], _BOARD, 2) for k in range(4))
        if thick:
            yield from ((np.stack([corner, corner - (0.0, 0.0, thick)]), _BOARD, 2) for corner in top)
        yield np.array([(0.0, 0.0, 0.0), (0.0, 0.0, z)]), _BOARD, 1
    for axis, colour in zip(np.eye(3), _AXES, strict=True):
        yield np.stack([np.zeros(3), axis]), colour, 3


def _water(z: float) -> Iterator[Floats]:
    for x in np.arange(-2.0, 7.0):
        yield np.array([(x, -3.0, z), (x, 3.0, z)])
    for y in np.arange(-3.0, 4.0):
        yield np.array([(-2.0, y, z), (6.0, y, z)])


def _line(canvas: Bytes, placement: Placement, ends_m: Floats, colour: Colour, width: int) -> None:
    """In pieces, for a lens may bend it and it may go behind the camera."""
    points = np.linspace(ends_m[0], ends_m[1], _PIECES)
    pixels = placement.pose.projected(points)
    for first, second in itertools.pairwise(pixels):
        if np.isfinite([first, second]).all() and np.abs([first, second]).max() < _FAR_PX:
            cv2.line(canvas, _pixel(first), _pixel(second), colour, width, cv2.LINE_AA)
