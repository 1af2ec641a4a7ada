"""Left and right put back where a network exchanged them, and bodies seen the wrong way round in depth turned back.

A body cannot turn half round in a frame and back in the next. Of all ways to take the frames, as they are or repaired,
the one whose turning is steadiest wins (Viterbi over pairs of neighbouring frames): the attitude of a frame should be
where the turn between the two before leads. Every repair costs something, so that what is mostly right stays.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import MIRROR
from flight.motion import Motion
from flight.trunk import body_axes, unit

Floats = NDArray[np.float64]

_STEADY_RAD: Final = 0.35
"""Spread of an attitude about the one that the turning before leads to, at 50 frames a second."""
_MOST: Final = 12.0
"""A frame that fits nothing costs so much and no more."""
_COSTS: Final = (0.0, 1.5, 2.5, 2.0)
"""Of a frame taken as it is, with sides exchanged, mirrored in depth, both."""
_LONGEST_S: Final = 0.12
"""Over a longer gap no turning is carried."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """`motion` after the repair; `swapped` and `mirrored` (T,) frames whose sides were exchanged, whose depth was."""

    motion: Motion
    swapped: NDArray[np.bool_]
    mirrored: NDArray[np.bool_]


def _mirrored(joints_m: Floats, view: Floats) -> Floats:
    """Joints (T, 17, 3) with front and back exchanged about the pelvis along `view` (T, 3)."""
    own = joints_m - joints_m[:, :1]
    return np.asarray(joints_m - 2 * np.sum(own * view[:, None], -1, keepdims=True) * view[:, None])


def repaired(motion: Motion, view_world: Floats | None = None) -> Repaired:
    """`motion` with steady sides. `view_world` (3,) or (T, 3), from the camera to the body: where it is known, bodies
    that are mirrored along it are turned back as well.
    """
    joints = motion.joints_world_m
    ways = [joints, joints[:, list(MIRROR)]]
    if view_world is not None:
        view = np.broadcast_to(unit(np.asarray(view_world, float)), (len(motion), 3))
        ways += [_mirrored(joints, view), _mirrored(joints, view)[:, list(MIRROR)]]
    axes = np.stack([body_axes(way) for way in ways], 1)  # (T, W, 3, 3)
    rows = np.flatnonzero(np.isfinite(axes).all((1, 2, 3)))
    chosen = np.zeros(len(motion), int)
    if len(rows) > 2:
        chosen[rows] = _steadiest(motion.t_s[rows], axes[rows])
    taken = np.stack(ways, 1)[np.arange(len(motion)), chosen]
    swap = np.isin(chosen, (1, 3))
    spread = np.where(swap[:, None], motion.joints_sd_m[:, list(MIRROR)], motion.joints_sd_m)
    return Repaired(Motion(motion.t_s, taken, spread), swap, chosen >= 2)


def _steadiest(t_s: Floats, axes: Floats) -> NDArray[np.int_]:
    """Way (T,) of every frame of attitudes (T, W, 3, 3) with the least cost."""
    frames, count = axes.shape[:2]
    own = np.array(_COSTS[:count])
    steps = np.diff(t_s)
    # turn[k, a, b] leads from way a of frame k to way b of frame k + 1.
    turn = np.einsum("kbij,kalj->kabil", axes[1:], axes[:-1])
    cost = own[:, None] + own[None, :] + _unsteady(_angle(turn[0]), steps[0])
    back = np.zeros((frames, count, count), int)
    for k in range(2, frames):
        if steps[k - 1] > _LONGEST_S or steps[k - 2] > _LONGEST_S:
            step = np.minimum(_unsteady(_angle(turn[k - 1]), steps[k - 1]), _MOST)[None]
        else:
            led = _scaled(turn[k - 2], steps[k - 1] / steps[k - 2])
            # How far turn [b, c] is from the one that [a, b] leads to.
            apart = np.einsum("abji,bcjk->abcik", led, turn[k - 1])
            step = _unsteady(_angle(apart), steps[k - 1])
        total = cost[:, :, None] + step + own
        back[k] = total.argmin(0)
        cost = total.min(0)
    way = np.empty(frames, int)
    way[-2], way[-1] = np.unravel_index(int(cost.argmin()), cost.shape)
    for k in range(frames - 1, 1, -1):
        way[k - 2] = back[k, way[k - 1], way[k]]
    return way


def _angle(turn: Floats) -> Floats:
    """Angle of rotations (..., 3, 3), radians."""
    return np.asarray(np.arccos(np.clip((np.trace(turn, axis1=-2, axis2=-1) - 1) / 2, -1, 1)))


def _unsteady(angle: Floats, step_s: float) -> Floats:
    spread = _STEADY_RAD * max(1.0, step_s / 0.02) ** 0.5
    return np.asarray(np.minimum(0.5 * (angle / spread) ** 2, _MOST))


def _scaled(turn: Floats, share: float) -> Floats:
    """Rotations (..., 3, 3) with their angle times `share` (Rodrigues' formula)."""
    if abs(share - 1) < 0.05:
        return turn
    angle = _angle(turn)[..., None, None]
    skew = turn - np.swapaxes(turn, -1, -2)
    unit_skew = skew / np.maximum(2 * np.sin(angle), 1e-6)
    wanted = angle * share
    return np.asarray(np.eye(3) + np.sin(wanted) * unit_skew + (1 - np.cos(wanted)) * unit_skew @ unit_skew)
