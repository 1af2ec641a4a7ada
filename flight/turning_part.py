"""The frames of a flight as evidence for its turning: what somersault and twist are each told from."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flight import somersault, twist
from flight.folding import folding_rad, once_folded, one_knee, slowness, straightness
from flight.motion import Motion
from flight.posture import bends_deg, steadied
from flight.trunk import hinge_left_of, left_of, unit, up_of

Floats = NDArray[np.float64]

BEFORE_S: Final = 0.24
"""So much of the motion before the take-off tells which way the body stood."""
_CHAIN_HZ: Final = 60.0
"""Frames that are closer are passed over when the course is sought, not when it is measured."""


@dataclass(frozen=True, slots=True)
class Part:
    """The frames (P,) that turning is told from, `first` of T and a moment before the take-off, which is at `off`: what
    the trunk does in them, and which `rows` of them the courses are sought in, the take-off at `at` of those."""

    t_s: Floats
    joints: Floats
    sd: Floats
    hip: Floats
    knee: Floats
    view: Floats | None
    first: int
    frames: int
    off: int

    @property
    def up(self) -> Floats:
        """(P, 3) unit vectors along the trunk."""
        return unit(up_of(self.joints))

    @property
    def up_sd(self) -> Floats:
        """(P,) of their angles, radians."""
        return np.asarray(self.sd / np.linalg.norm(up_of(self.joints), axis=-1))

    @property
    def left_sd(self) -> Floats:
        """(P,) of the angle of the body's left."""
        return np.asarray(2 * self.sd / np.linalg.norm(left_of(self.joints), axis=-1))

    @property
    def rows(self) -> NDArray[np.int_]:
        """Frames for the search: all, or as many as `_CHAIN_HZ`, with take-off and last frame among them."""
        every = max(1, int(1 / _CHAIN_HZ / float(np.median(np.diff(self.t_s)))))
        rows = np.arange(self.off % every, len(self.t_s), every)
        return np.unique(np.append(rows, len(self.t_s) - 1))

    @property
    def at(self) -> int:
        """The take-off among them."""
        return int(np.searchsorted(self.rows, self.off))

    @property
    def trunk(self) -> somersault.Seen:
        """What tells the somersault."""
        rows = self.rows
        slow = slowness(self.t_s, self.joints, self.hip, self.knee, self.off)
        folding = folding_rad(self.hip, self.knee)
        view = None if self.view is None else self.view[rows]
        straight = straightness(self.t_s, self.hip)
        return somersault.Seen(
            self.t_s[rows], self.up[rows], self.up_sd[rows], slow[rows], folding[rows], straight[rows], view
        )

    def sides(self, course_rad: Floats, plane: Floats) -> twist.Seen:
        """What tells the twist about the long axis of a body that has somersaulted so (P,) in the plane (2, 3)."""
        rows = self.rows
        long_axis = np.cos(course_rad)[:, None] * plane[0] + np.sin(course_rad)[:, None] * plane[1]
        straight = straightness(self.t_s, self.hip)
        # An arched body bends the other way: only what is folded tells the chest.
        hinge = hinge_left_of(self.joints) * (1 - straight)[:, None]
        view = None if self.view is None else self.view[rows]
        left = unit(left_of(self.joints))
        return twist.Seen(
            self.t_s[rows], left[rows], self.left_sd[rows], hinge[rows], long_axis[rows], straight[rows], view
        )

    def whole(self, values: Floats) -> Floats:
        """Values (P,) at their place among all frames (T,)."""
        found = np.full(self.frames, np.nan)
        found[self.first : self.first + len(values)] = values
        return found


def part_of(motion: Motion, take_off: int, entry: int, view_world: Floats | None) -> Part:
    """Frames of `motion` from a moment before frame `take_off` to frame `entry`. Raises ValueError, see `turning`."""
    first = int(np.searchsorted(motion.t_s, motion.t_s[take_off] - BEFORE_S))
    part, off = motion.part(first, entry), take_off - first
    joints = part.joints_world_m
    if np.isfinite(up_of(joints)).all(-1).sum() < 4:
        raise ValueError("fewer than four frames with a body between take-off and entry")
    view = None
    if view_world is not None:
        view = np.broadcast_to(unit(np.asarray(view_world, float)), (len(motion), 3))[first : entry + 1]
    hip, knee = (steadied(part.t_s, angle) for angle in bends_deg(joints))
    hip = once_folded(part.t_s, hip, off)
    sd = np.nanmean(part.joints_sd_m[:, [1, 4, 11, 14]], axis=1)
    return Part(part.t_s, joints, sd, hip, one_knee(hip, knee), view, first, len(motion), off)
