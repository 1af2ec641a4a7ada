"""How far a body twisted, and which way it faced before: the course about its long axis that the frames support best.

A twist begins some time after the take-off, goes on at a steady rate and ends before the entry, while the body is
straight. Every number of half twists is tried with every sense, beginning and end, and with the chest to either side at
the take-off; and no twist at all. Any frame may have its sides exchanged, be mirrored in depth, both, or be useless
(`flight.chain`). Which way hips and knees bend tells the chest without a left and a right (`trunk.hinge_left_of`).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flight.chain import TABLE, Course, Evidence, Expected
from flight.trunk import mirrored

Floats = NDArray[np.float64]

_MOST_HALVES: Final = 8
_BEGINS: Final = (0.02, 0.1, 0.18, 0.26, 0.36, 0.5, 0.65)
_ENDS: Final = (0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the flight at which a twist begins and ends."""
_LEAST_SHARE: Final = 0.2
_FASTEST_HZ: Final = 7.0
_RAMP_S: Final = 0.14
"""In which a twist gets its rate and loses it."""
_OFF: Final = np.arange(-75, 76, 7.5) / 360
"""Deviations from such a course, turns."""
_RATE_SHARE: Final = 0.4
_DRIFT: Final = 2 / 360
"""How far the twist may leave it: a share of its rate, and so much in 20 ms, turns."""
_FAULTS: Final = np.array([0.7, 0.1, 0.05, 0.1, 0.05])
"""Shares of frames that are right, with sides exchanged, mirrored, both, useless, of bodies that fold or twist."""
_PLAIN_FAULTS: Final = np.array([0.84, 0.02, 0.02, 0.1, 0.02])
"""Of straight bodies that do not twist: networks tell their sides apart."""
_PLAIN_STAY: Final = 0.95
_TEMPER: Final = 0.6
"""Neighbouring frames err alike: each counts for so much of a frame."""
_SIDE_SD: Final = 0.3
_DEPTH_SD: Final = 0.6
"""Of the direction to the left as a unit vector: at least, and along the view."""
_HINGE: Final = 2.5
"""Concentration (von Mises) of the direction that hips and knees tell."""
_START_SD: Final = 22 / 360
_END_SD: Final = 25 / 360
_END_FLOOR: Final = 0.02
_NEAR: Final = np.exp(-0.5 * (_OFF / _END_SD) ** 2) + _END_FLOOR
"""Prior of the deviation at the entry."""
_STILL_PRIOR: Final = (0.9, 0.3)
"""That a body does not twist at all: one that folds, one that stays straight."""
_FOLDED_COST: Final = 20.0
"""Of every turn twisted while folded: a folded body turns about its axis across alone."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What T frames tell: `t_s` (T,), unit `left_world` (T, 3) by the names of the sides with its spread `left_sd`
    (T,), `hinge_world` (T, 3), the trunk's direction `up_world` (T, 3), how `straight` (T,) the body is around a frame,
    0 to 1, unit `view_world` (T, 3) or None.
    """

    t_s: Floats
    left_world: Floats
    left_sd: Floats
    hinge_world: Floats
    up_world: Floats
    straight: Floats
    view_world: Floats | None


def _fits(seen: Seen, axis: Floats) -> Floats:
    """Log likelihood (T, 5, `TABLE`) of every angle of the left about the trunk, 0 along the `axis` (3,)."""
    angles = 2 * np.pi * np.arange(TABLE) / TABLE
    across = np.cross(seen.up_world, axis)
    left = np.cos(angles)[:, None] * axis + np.sin(angles)[:, None] * across[:, None]
    sd = np.maximum(seen.left_sd, _SIDE_SD)[:, None]
    view = np.zeros_like(across) if seen.view_world is None else seen.view_world
    deep_sd = sd if seen.view_world is None else np.maximum(sd, _DEPTH_SD)
    side, hinge = seen.left_world, seen.hinge_world
    ways = ((side, hinge), (-side, hinge), (mirrored(side, view), -mirrored(hinge, view)),
            (-mirrored(side, view), -mirrored(hinge, view)))  # fmt: skip
    fits = np.full((len(across), 5, TABLE), -2.5)
    for fault, (named, bent) in enumerate(ways):
        apart = named[:, None] - left
        deep = np.sum(apart * view[:, None], -1)
        flat = np.maximum(np.sum(apart**2, -1) - deep**2, 0)
        strength = _HINGE * np.linalg.norm(bent, axis=-1, keepdims=True)
        told = _HINGE * np.sum(bent[:, None] * left, -1) - np.log(np.i0(strength))
        fits[:, fault] = -0.5 * (flat / sd**2 + (deep / deep_sd) ** 2) - np.log(sd * deep_sd / 0.15) + told
    if seen.view_world is None:
        fits[:, 2:4] = -50.0
    fits[np.isnan(fits).any((1, 2))] = 0.0
    return np.asarray(_TEMPER * fits)


def _profile(t_s: Floats, begin_s: float, end_s: float) -> Floats:
    """Share (T,) of a twist done at `t_s`: a rate that rises, stays and falls evenly."""
    ramp = min(_RAMP_S, (end_s - begin_s) / 2)

    def risen(after: Floats) -> Floats:
        inside = np.clip(after, 0, ramp)
        return np.asarray(inside**2 / (2 * ramp) + np.clip(after - ramp, 0, None))

    return np.asarray((risen(t_s - begin_s) - risen(t_s - end_s + ramp)) / (end_s - begin_s - ramp))


def _expected(seen: Seen, take_off: int) -> tuple[Expected, NDArray[np.int_]]:
    """Courses for all twists, and (N, 2) their keys: facing 0 or 1, signed half twists."""
    after = seen.t_s - seen.t_s[take_off]
    flight_s = float(after[-1])
    profiles = [
        (begin, end, _profile(after, begin * flight_s, end * flight_s))
        for begin in _BEGINS for end in _ENDS if end - begin >= _LEAST_SHARE
    ]  # fmt: skip
    still = float(np.interp(seen.straight[take_off:].mean(), (0.4, 0.9), _STILL_PRIOR))
    turns, prior, keys = [np.zeros(len(after))], [still], [0]
    for half in range(1, _MOST_HALVES + 1):
        for begin, end, profile in profiles:
            if half / 2 > _FASTEST_HZ * ((end - begin) * flight_s - _RAMP_S):
                continue
            folded = half / 2 * float(np.diff(profile) @ (1 - seen.straight[1:]))
            for sense in (1, -1):
                turns.append(sense * half / 2 * profile)
                prior.append((1 - still) * np.exp(-_FOLDED_COST * folded))
                keys.append(sense * half)
    shares = np.array(prior)
    shares[1:] /= 2 * _MOST_HALVES * len(profiles)
    courses = np.concatenate([np.stack(turns), np.stack(turns) + 0.5])
    spread = _RATE_SHARE * np.abs(np.diff(courses)) + _DRIFT * np.sqrt(np.diff(seen.t_s) / 0.02)
    start = np.exp(-0.5 * (_OFF / _START_SD) ** 2)
    both = np.stack([np.repeat([0, 1], len(keys)), np.tile(keys, 2)], -1)
    return Expected(courses, spread, np.tile(shares, 2) / 2, _OFF, start / start.sum()), both


@dataclass(frozen=True, slots=True)
class Courses:
    """All ways of twisting. `halves`: (half turns from facing along the first direction before the take-off, 0 or 1;
    signed half twists) to probability.
    """

    halves: dict[tuple[int, int], float]
    _evidence: tuple[Evidence, Evidence]
    _expected: Expected
    _keys: NDArray[np.int_]

    def course(self, facing: int, half: int) -> Course:
        """The course of one of them, in turns from facing along the first direction."""
        rows = (self._keys == (facing, half)).all(1)
        # Courses of the same key compete by how well they fit, which the passes take account of.
        ended = np.broadcast_to(_NEAR, (int(rows.sum()), len(_NEAR)))
        return self._evidence[half != 0].course(self._expected.of(rows), ended)


def courses(seen: Seen, axis: Floats, take_off: int) -> Courses:
    """The twist of T frames that begin shortly before the `take_off` and end with the entry, about the trunk and from
    the somersault `axis` (3,).
    """
    fits = _fits(seen, axis)
    fits -= fits.max((1, 2), keepdims=True)
    share = seen.straight[:, None]
    plain = Evidence(fits, share * _PLAIN_FAULTS + (1 - share) * _FAULTS, _PLAIN_STAY)
    turning = Evidence(fits, np.broadcast_to(_FAULTS, fits.shape[:2]))
    expected, keys = _expected(seen, take_off)
    twists = keys[:, 1] != 0
    ends = np.empty((len(keys), len(_OFF)))
    ends[twists], ends[~twists] = turning.ends(expected.of(twists)), plain.ends(expected.of(~twists))
    mass = (np.exp(ends - ends.max()) * _NEAR).sum(1)
    halves: dict[tuple[int, int], float] = {}
    for (facing, half), part in zip(keys.tolist(), (mass / mass.sum()).tolist(), strict=True):
        halves[facing, half] = halves.get((facing, half), 0.0) + part
    return Courses(halves, (plain, turning), expected, keys)
