"""The moments at which a flight's pose is drawn: take-off, peak, tightest, opening, entry."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from flight.report import Curves, Dive, Jump

FOLDED_DEG: Final = 150.0
"""A hip bent less than this is straight, and has no tightest moment."""
_SAME_S: Final = 0.04
"""Moments nearer than this are one: the eye sees no difference."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A named moment; `row` is the frame next to it."""

    name: str
    t_s: float
    row: int


def dive_moments(dive: Dive) -> list[Moment]:
    """Those of a dive, oldest first. Empty without frames."""
    report = dive.report
    times = {
        "take-off": report.take_off_s.value,
        "entry": report.entry_s.value,
        "peak": report.apex_s,
        "opens": report.opening_s,
        "tightest": _tightest_s(dive.curves),
    }
    return _moments(dive.curves, times)


def jump_moments(jump: Jump) -> list[Moment]:
    """Those of a jump, oldest first. Empty without frames."""
    report = jump.report
    times = {
        "take-off": report.take_off_s.value,
        "landing": report.landing_s.value,
        "peak": _highest_s(jump.curves),
        "tightest": _tightest_s(jump.curves),
    }
    return _moments(jump.curves, times)


def _moments(curves: Curves, times: dict[str, float | None]) -> list[Moment]:
    """The first names keep their place where two fall together."""
    found: list[Moment] = []
    for name, t_s in times.items():
        if t_s is None or not math.isfinite(t_s) or not len(curves.t_s):
            continue
        if all(abs(t_s - other.t_s) >= _SAME_S for other in found):
            found.append(Moment(name, t_s, _nearest_row(curves, t_s)))
    return sorted(found, key=lambda moment: moment.t_s)


def _nearest_row(curves: Curves, t_s: float) -> int:
    """The frame with a pose that is next to `t_s`; without any pose, the next frame."""
    away = np.abs(curves.t_s - t_s)
    posed = np.isfinite(curves.joints_world_m).all(axis=(1, 2))
    return int(np.argmin(np.where(posed, away, away + 1e6)))


def _tightest_s(curves: Curves) -> float | None:
    """When hips and knees together are bent most; None for a body that stays straight."""
    bend = np.where(curves.flying, curves.hip_deg + curves.knee_deg, np.nan)
    folded = np.isfinite(bend) & (curves.hip_deg < FOLDED_DEG)
    if not folded.any():
        return None
    return float(curves.t_s[np.argmin(np.where(folded, bend, np.inf))])


def _highest_s(curves: Curves) -> float | None:
    height = np.where(curves.flying, curves.fall_world_m[:, 2], np.nan)
    return float(curves.t_s[np.nanargmax(height)]) if np.isfinite(height).any() else None
