"""Hair that leaves the head: ponytails, buns, loose hair, as one bent tube that hangs or flies."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.synth.body import Body, BodyModel

Array = npt.NDArray[Any]

RINGS: Final = 8
AROUND: Final = 8
COUNT: Final = RINGS * AROUND


@dataclass(frozen=True)
class Tail:
    """Hair as a bent tube. In units of the head: `root` (back, up) from the eyes' height on the midline of the skull;
    `length_m`, `width_m` and `depth_m` in metres; `hang` a unit vector of the world that the hair gives way to,
    `stiff` (0-1) the share of its length that sticks out first; `taper` thickness at the end.
    """

    root: tuple[float, float]
    length_m: float
    width_m: float
    depth_m: float
    hang: Array
    stiff: float
    taper: float


def random_tail(rng: np.random.Generator, style: str) -> Tail:
    """Hair of this style: `pony`, `bun` or `loose`. Half of it hangs, half flies in any direction."""
    hang = np.array([0, 0, -1.0])
    if rng.random() < 0.5:
        hang = hang * rng.uniform(0, 0.8) + rng.normal(0, 0.6, 3)
    hang = hang / np.linalg.norm(hang)
    if style == "bun":
        size = rng.uniform(0.03, 0.05)
        return Tail((0.075, rng.uniform(0.0, 0.10)), size * 1.3, size, size, hang, 1.0, 0.8)
    if style == "pony":
        thick = rng.uniform(0.018, 0.035)
        up = rng.uniform(0.0, 0.09)
        length, stiff = rng.uniform(0.12, 0.40), rng.uniform(0.1, 0.4)
        return Tail((0.07, up), length, thick, thick, hang, stiff, rng.uniform(0.15, 0.8))
    length, wide, deep = rng.uniform(0.16, 0.45), rng.uniform(0.06, 0.10), rng.uniform(0.035, 0.06)
    return Tail((0.035, 0.03), length, wide, deep, hang, 0.15, rng.uniform(0.4, 1.1))


def faces() -> Array:
    """Triangles [F, 3] of a tail's tube, its end closed."""
    triangles = []
    for ring in range(RINGS - 1):
        for k in range(AROUND):
            a, b = ring * AROUND + k, ring * AROUND + (k + 1) % AROUND
            triangles += [(a, b, a + AROUND), (b, b + AROUND, a + AROUND)]
    return np.array(triangles, np.int32)


def skull_motion(rest_m: Array, posed_m: Array) -> tuple[Array, Array]:
    """The rotation [3, 3] and shift [3] that move the skull's points [N, 3] from rest to where they are (Kabsch)."""
    centre, moved = rest_m.mean(0), posed_m.mean(0)
    u, _, vt = np.linalg.svd((posed_m - moved).T @ (rest_m - centre))
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = u * sign @ vt
    return rotation, moved - rotation @ centre


def tube(model: BodyModel, body: Body, tail: Tail, rotation: Array, shift: Array) -> tuple[Array, Array]:
    """Vertices and normals [64, 3] of the tail on a head moved by `rotation` and `shift` (world, metres)."""
    eye = body.bone_heads_m[model.index["eye.L"]]
    size = float(body.vertices_m[:, 2].max() - eye[2]) / 0.114
    back, up = tail.root
    root = rotation @ (np.array([0.0, eye[1] + 0.085, eye[2]]) + size * np.array([0, back, up])) + shift
    out = rotation @ np.array([0, 0.9, 0.25 * (1 if up > 0.03 else -1)])
    across = rotation @ np.array([1.0, 0, 0])
    s = np.linspace(0, 1, RINGS)
    bend = np.clip((s - 0.4 * tail.stiff) / max(tail.stiff, 0.05), 0, 1)[:, None] if tail.stiff < 1 else 0 * s[:, None]
    direction = out * (1 - bend) + tail.hang * bend
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-6)
    steps = direction * tail.length_m / (RINGS - 1)
    centres = root + np.concatenate([np.zeros((1, 3)), np.cumsum(steps[:-1], 0)])
    side = _carried(direction, across)
    other = np.cross(direction, side)
    thick = np.sin(np.pi * np.clip(0.12 + 0.6 * s, 0, 1)) ** 0.7 * (1 - (1 - tail.taper) * s)
    thick[-1] *= 0.3
    angle = np.linspace(0, 2 * np.pi, AROUND, endpoint=False)
    spoke = np.cos(angle)[None, :, None] * side[:, None] * tail.width_m
    spoke = spoke + np.sin(angle)[None, :, None] * other[:, None] * tail.depth_m
    points = centres[:, None] + spoke * thick[:, None, None]
    normal = np.cos(angle)[None, :, None] * side[:, None] / tail.width_m
    normal = normal + np.sin(angle)[None, :, None] * other[:, None] / tail.depth_m
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return points.reshape(-1, 3), normal.reshape(-1, 3)


def _carried(directions: Array, first: Array) -> Array:
    """A vector [3] across the first of `directions` [N, 3], carried along the bend without twist: [N, 3]."""
    out = [first]
    for before, after in itertools.pairwise(directions):
        side = out[-1]
        turned = side - (side @ after) / max(1 + before @ after, 1e-3) * (before + after)
        out.append(turned / max(float(np.linalg.norm(turned)), 1e-6))
    return np.stack(out)


def strands() -> Array:
    """Where the tail's vertices [64, 3] read the noise of strands: across, and slowly along."""
    ring, around = np.divmod(np.arange(COUNT), AROUND)
    return np.stack([np.sin(np.pi * around / AROUND) * 0.15, ring * 0.004, ring * 0.02], 1).astype(np.float32)
