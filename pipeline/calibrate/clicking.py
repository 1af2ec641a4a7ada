"""A picture to click points in: the picture as PNG, the same with a grid of pixels to read them off, the list to fill
in, and a page for the browser that makes the list out of clicks. Nothing of it needs a server or the network.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from calibration.templates import Mark
from pipeline.calibrate.points import write_points
from pipeline.config import Config
from pipeline.edges.lettering import write
from pipeline.edges.output import make_folder, whole_file
from pipeline.edges.overlay import bgr_of
from pipeline.errors import OutputError, SourceError
from pipeline.sources import open_source

Bytes = npt.NDArray[np.uint8]

_STEP_PX: Final = 50
_BOLD: Final = 2
"""Every second line is numbered."""
_PAGE: Final = Path(__file__).with_name("clicking.html")


def picture_at(uri: str, at_s: float) -> Bytes:
    """The picture (H, W, 3) BGR of a video, an image folder or a camera at a second. Raises SourceError."""
    source = open_source(uri, Config())
    try:
        for picture in source.pictures():
            if picture.t_media_ns * 1e-9 >= at_s - 1e-6:
                return bgr_of(picture)
    finally:
        source.close()
    raise SourceError(f"{source.info.name}: ends before {at_s:g} s; choose an earlier --at")


def write_clicking(points: Path, picture: Bytes, marks: Sequence[Mark]) -> list[Path]:
    """Write the list `points` and beside it picture, grid and page; what was written. Raises OutputError.

    A list that is there already stays as it is: somebody has filled it in.
    """
    make_folder(points.parent)
    plain, grid, page = plain_beside(points), points.with_suffix(".grid.png"), points.with_suffix(".html")
    write_png(plain, picture)
    write_png(grid, with_grid(picture))
    with whole_file(page) as part:
        part.write_text(_filled_page(plain.name, points.name, picture, marks), encoding="utf-8")
    written = [page, plain, grid]
    if not points.exists():
        write_points(points, marks)
        written.append(points)
    return written


def plain_beside(points: Path) -> Path:
    """Where the picture of a list of points lies."""
    return points.with_suffix(".png")


def write_png(path: Path, picture: Bytes) -> None:
    """Write a picture BGR, whole or not at all. Raises OutputError."""
    done, encoded = cv2.imencode(".png", picture)
    if not done:
        raise OutputError(f"{path}: the picture cannot be encoded")
    with whole_file(path) as part:
        part.write_bytes(encoded.tobytes())


def with_grid(picture: Bytes) -> Bytes:
    """The picture with lines every 50 pixels, every second one numbered along all edges."""
    height, width = picture.shape[:2]
    lines = picture.copy()
    for u in range(0, width, _STEP_PX):
        lines[:, u] = _line_colour(u)
    for v in range(0, height, _STEP_PX):
        lines[v, :] = _line_colour(v)
    drawn: Bytes = np.asarray(cv2.addWeighted(lines, 0.5, picture, 0.5, 0), dtype=np.uint8)
    size = max(12, height // 72)
    for u in range(0, width, _STEP_PX * _BOLD):
        for v in (0, height - size - 6):
            write(drawn, str(u), (u + 2, v), size)
    for v in range(_STEP_PX * _BOLD, height - size, _STEP_PX * _BOLD):
        for u in (2, width - 3 * size):
            write(drawn, str(v), (u, v), size)
    return drawn


def _line_colour(position: int) -> tuple[int, int, int]:
    return (255, 255, 255) if position % (_STEP_PX * _BOLD) == 0 else (190, 190, 120)


def _filled_page(picture: str, points: str, pixels: Bytes, marks: Sequence[Mark]) -> str:
    height, width = pixels.shape[:2]
    rows = [{"name": mark.name, "what": mark.what, "world": mark.world_m if mark.own else None} for mark in marks]
    given = {"picture": picture, "points": points, "width": width, "height": height, "marks": rows}
    # A name with </script> in it must not end the script.
    return _PAGE.read_text(encoding="utf-8").replace("/*GIVEN*/", json.dumps(given).replace("</", "<\\/"))
