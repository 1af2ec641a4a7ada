"""Contact sheets: rendered samples with their labels drawn, for the eye."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from engines.skeleton import BONES, LEFT, RIGHT
from training.synth import generate
from training.synth.athletes import Sources

Array = npt.NDArray[Any]

_SIDE_PX: Final = 288
_GREEN: Final = (80, 220, 60)
_RED: Final = (40, 40, 230)


def drawn(jpg: bytes, label: dict[str, Any], side: int = _SIDE_PX) -> Array:
    """One sample as BGR picture [side, side, 3] with skeleton (right yellow, left cyan; hidden joints red) and box."""
    image = cv2.imdecode(np.frombuffer(jpg, np.uint8), cv2.IMREAD_COLOR)
    scale = side / len(image)
    image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    box = label.get("box_crop_px", label.get("box_px"))
    if box is not None:
        x0, y0, x1, y1 = (round((v + 0.5) * scale) for v in box)
        cv2.rectangle(image, (x0, y0), (x1, y1), (200, 60, 200), 1)
    joints = label.get("joints_crop_px")
    if joints is None:
        return image
    points = [(round((x + 0.5) * scale), round((y + 0.5) * scale)) for x, y in joints]
    for parent, joint in BONES:
        colour = (0, 230, 255) if joint in RIGHT else (255, 220, 0) if joint in LEFT else (255, 255, 255)
        cv2.line(image, points[parent], points[joint], colour, 1, cv2.LINE_AA)
    for point, seen in zip(points, label["visible"], strict=True):
        cv2.circle(image, point, 3, _GREEN if seen else _RED, -1, cv2.LINE_AA)
    return image


def real(folder: Path, count: int, side: int = _SIDE_PX) -> list[Array]:
    """`count` pictures of a folder and its subfolders, evenly chosen, each cut to its middle square: BGR.

    Raises ValueError when the folder holds fewer readable ones.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
    chosen = files[:: max(1, len(files) // count)][:count]
    images = [image for image in map(cv2.imread, map(str, chosen)) if image is not None]
    if len(images) < count:
        raise ValueError(f"{folder}: {len(images)} pictures of the {count} wanted; give a folder with more")
    return [_square(image, side) for image in images]


def _square(image: Array, side: int) -> Array:
    height, width = image.shape[:2]
    size = min(height, width)
    top, left = (height - size) // 2, (width - size) // 2
    part = image[top : top + size, left : left + size]
    return np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA))


def write(out: Path, kind: str, seed: int, groups: int, sources: Sources, beside: Path | None = None) -> None:
    """Write a sheet of `groups` rows: above each row of drawn samples, the same samples bare (crops only).

    With real pictures in `beside` each row of bare samples has a row of those below it instead.

    Raises ValueError for an unknown kind, a name that is no picture's or too few real pictures, NoGraphicsError as
    the generator does.
    """
    if kind not in ("crops", "scenes"):
        raise ValueError(f"--kind {kind}: unknown; choose crops or scenes")
    if not cv2.haveImageWriter(str(out)):
        raise ValueError(f"{out}: not the name of a picture; use one ending in .png or .jpg")
    out.parent.mkdir(parents=True, exist_ok=True)  # before the long work
    rows = []
    bare: dict[str, Any] = {"box": None, "visible": []}
    photographs = real(beside, groups * generate.PER_GROUP) if beside is not None else []
    for group in range(groups):
        samples = generate.make_group(kind, seed, group, sources)  # type: ignore[arg-type]
        if kind == "crops" or beside is not None:
            rows.append(np.concatenate([drawn(jpg, bare) for _, jpg, _ in samples], 1))
        if beside is not None:
            first = group * generate.PER_GROUP
            rows.append(np.concatenate(photographs[first : first + generate.PER_GROUP], 1))
        else:
            rows.append(np.concatenate([drawn(jpg, label) for _, jpg, label in samples], 1))
    if not cv2.imwrite(str(out), np.concatenate(rows)):
        raise ValueError(f"{out}: cannot be written; choose another place or make room")
