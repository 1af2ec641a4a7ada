"""Skeletons drawn from the side and from the front, and a strip of them."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import BONES, LEFT, RIGHT
from pipeline.edges import dive_svg as svg
from pipeline.edges.dive_scene import HEAD, NOSE, Scene
from pipeline.edges.dive_text import number

Floats = NDArray[np.float64]

STRIP_PX: Final = 194.0
"""Height of the strip."""
_FEET_PX: Final = 128.0
_HEAD_SIZE: Final = 0.7
"""Radius of a head as a share of the distance between its two joints."""


@dataclass(frozen=True, slots=True)
class View:
    """Which axis of the flight goes across the drawing, and which one, with sign, towards the viewer."""

    across: int
    towards: int
    sign: float

    def nearness(self, joints_m: Floats) -> Floats:
        """How near (17,) each joint of (17, 3) is to the viewer."""
        return np.asarray(self.sign * joints_m[:, self.towards])


SIDE: Final = View(across=0, towards=1, sign=-1.0)
"""From the body's right; it flies to the right."""
FRONT: Final = View(across=1, towards=0, sign=1.0)
"""As one sees it towards whom it flies."""


def pose(scene: Scene, row: int, across: svg.Scale, up: svg.Scale, view: View) -> str:
    """The skeleton of a frame in one view, nearer bones on top; empty where the pose is not known."""
    joints_m = scene.joints_m[row]
    if not np.isfinite(joints_m).all():
        return ""
    x, y = across.all(joints_m[:, view.across]), up.all(joints_m[:, 2])
    near = view.nearness(joints_m)
    bones: list[tuple[float, str]] = []
    halo: list[str] = []
    for a, b in BONES:
        if b != HEAD:
            kind = "left" if b in LEFT else "right" if b in RIGHT else "trunk"
            bones.append((float(near[a] + near[b]), svg.line(x[a], y[a], x[b], y[b], kind)))
            halo.append(svg.line(x[a], y[a], x[b], y[b], "halo"))
    radius = _HEAD_SIZE * scene.head_m * abs(up(0) - up(1))
    head = svg.disc((x[HEAD] + x[NOSE]) / 2, (y[HEAD] + y[NOSE]) / 2, radius, "head")
    bones.append((float(near[HEAD] + near[NOSE]), head))
    return svg.group([*halo, *(element for _, element in sorted(bones))], "pose")


def strip(scene: Scene, hip_deg: Floats, knee_deg: Floats) -> str:
    """The poses of the moments beside each other, from the side, each with its time and its angles at hip and knee.

    `hip_deg` and `knee_deg` (T,). Empty where no pose is known.
    """
    posed = [moment for moment in scene.moments if np.isfinite(scene.joints_m[moment.row]).all()]
    if not posed:
        return ""
    bodies = scene.joints_m[[moment.row for moment in posed]][..., [SIDE.across, 2]]
    low, high = bodies.min(axis=1), bodies.max(axis=1)
    cell = svg.WIDE_PX / len(posed)
    room = np.array([cell - 14, _FEET_PX - 14])
    scale = float((room / np.maximum((high - low).max(axis=0), 0.1)).min())
    parts: list[str] = []
    for column, moment in enumerate(posed):
        x, (middle, level) = (column + 0.5) * cell, ((low + high) / 2)[column].tolist()
        across = svg.Scale(middle, middle + 1, x, x + scale)
        up = svg.Scale(level, level + 1, _FEET_PX / 2, _FEET_PX / 2 - scale)
        parts.append(pose(scene, moment.row, across, up, SIDE))
        parts.append(svg.text(x, _FEET_PX + 16, moment.name, "name", "middle"))
        parts.append(svg.text(x, _FEET_PX + 31, f"{number(moment.t_s - scene.start_s, 2)} s", "tick", "middle"))
        hip, knee = float(hip_deg[moment.row]), float(knee_deg[moment.row])
        if math.isfinite(hip + knee):
            parts.append(svg.text(x, _FEET_PX + 46, f"hip {number(hip, 0)}°", "tick", "middle"))
            parts.append(svg.text(x, _FEET_PX + 61, f"knee {number(knee, 0)}°", "tick", "middle"))
    return svg.drawing(svg.WIDE_PX, STRIP_PX, parts, "The pose at each moment, from the side")
