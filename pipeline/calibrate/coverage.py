"""The picture that is rewritten while a live camera is watched: what the board has covered, and what to do next."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from calibration.detection import View
from calibration.views import ENOUGH_VIEWS, covered
from pipeline.edges.lettering import PAPER, write
from pipeline.edges.output import whole_file
from pipeline.errors import OutputError

Bytes = npt.NDArray[np.uint8]

WIDTH_PX: Final = 960
_COVERED: Final = (110, 190, 60)
_NOW: Final = (40, 170, 255)
_EMPTY: Final = (60, 60, 220)
_LINE_PX: Final = 26


def write_coverage(path: Path, luma: Bytes, now: View | None, views: Sequence[View], advice: Sequence[str]) -> None:
    """Write the picture (PNG), whole or not at all. Raises OutputError."""
    done, encoded = cv2.imencode(".png", drawn(luma, now, views, advice))
    if not done:
        raise OutputError(f"{path}: the picture cannot be encoded")
    with whole_file(path) as part:
        part.write_bytes(encoded.tobytes())


def drawn(luma: Bytes, now: View | None, views: Sequence[View], advice: Sequence[str]) -> Bytes:
    """The live picture darkened, BGR: boards seen so far, the one seen now, ninths that are empty, and the advice."""
    height, width = luma.shape
    scale = WIDTH_PX / width
    small = cv2.resize(luma, (WIDTH_PX, round(height * scale)), interpolation=cv2.INTER_AREA)
    picture: Bytes = np.repeat((small * 0.55).astype(np.uint8)[..., None], 3, axis=-1)
    _tint_empty(picture, covered(views, (width, height)))
    layer = picture.copy()
    for view in views:
        hull = cv2.convexHull((view.corners_img_px * scale).astype(np.float32)).astype(np.int32)
        cv2.fillConvexPoly(layer, hull, _COVERED)
    picture = np.asarray(cv2.addWeighted(layer, 0.35, picture, 0.65, 0), dtype=np.uint8)
    for view, colour, radius in [*((view, _COVERED, 1) for view in views), *(((now, _NOW, 3),) if now else ())]:
        for u, v in np.rint(view.corners_img_px * scale).astype(int):
            cv2.circle(picture, (int(u), int(v)), radius, colour, -1, cv2.LINE_AA)
    return _with_words(picture, len(views), now is not None, advice)


def _tint_empty(picture: Bytes, counts: npt.NDArray[np.int64]) -> None:
    """Ninths of the picture without a single corner get a red frame."""
    height, width = picture.shape[:2]
    for row, column in np.argwhere(counts == 0):
        first = (int(column * width / 3) + 3, int(row * height / 3) + 3)
        last = (int((column + 1) * width / 3) - 4, int((row + 1) * height / 3) - 4)
        cv2.rectangle(picture, first, last, _EMPTY, 2)


def _with_words(picture: Bytes, count: int, seen: bool, advice: Sequence[str]) -> Bytes:
    lines = [f"{count} of {ENOUGH_VIEWS} views; the board is {'seen' if seen else 'not seen'} now", *advice]
    if not advice:
        lines.append("that will do")
    foot = np.full((_LINE_PX * len(lines) + 12, picture.shape[1], 3), 24, np.uint8)
    for index, line in enumerate(lines):
        write(foot, line, (12, 6 + index * _LINE_PX), 17, _NOW if index == 1 else PAPER, bold=index == 1)
    return np.vstack([picture, foot])
