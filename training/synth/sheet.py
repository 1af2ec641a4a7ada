"""Contact sheets: rendered samples with their labels drawn, for the eye."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from engines.skeleton import BONES, LEFT, RIGHT
from training.synth import generate, motion, panorama

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


def write(out: Path, kind: str, seed: int, groups: int, mocap: Path | None, hdri: Path | None = None) -> None:
    """Write a sheet of `groups` rows: above each row of drawn samples, the same samples bare (crops only).

    Raises ValueError for an unknown kind, MocapError and NoGraphicsError as the generator does.
    """
    if kind not in ("crops", "scenes"):
        raise ValueError(f"--kind {kind}: unknown; choose crops or scenes")
    make = generate.crop_group if kind == "crops" else generate.scene_group
    recorded = motion.read_mocap(mocap) if mocap is not None else None
    panoramas = panorama.read(hdri) if hdri is not None else ()
    rows = []
    for group in range(groups):
        samples = make(seed, group, recorded, panoramas)
        bare = {"box": None, "visible": []}
        if kind == "crops":
            rows.append(np.concatenate([drawn(jpg, bare) for _, jpg, _ in samples], 1))
        rows.append(np.concatenate([drawn(jpg, label) for _, jpg, label in samples], 1))
    out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(out), np.concatenate(rows)):
        raise ValueError(f"{out}: cannot be written as a picture; use a name ending in .png or .jpg")
