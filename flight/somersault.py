"""How far a body somersaulted: the course of the trunk's angle that free fall allows and the frames support best.

The angular momentum is constant, so the rate of turning follows from the shape: momentum over the largest moment of
inertia; and a body that folds turns its trunk towards the chest, its legs the other way. That leaves two unknowns, the
whole turn and which way the chest looks, and small deviations. Every whole turn is tried with both; a hidden Markov
model sums over the deviations and over what may be wrong with a frame: mirrored in depth, head and feet exchanged,
anything (`flight.chain`). It keeps the evidence of all frames; no frame alone can lose a half turn.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flight.chain import TABLE, Course, Evidence, Expected
from flight.trunk import mirrored

Floats = NDArray[np.float64]

TOTALS: Final = np.arange(-4.75, 4.76, 0.25)
"""Turns of the whole flight that are tried; dives have 4 1/2 at most."""
_OFF: Final = np.arange(-90, 91, 5) / 360
"""Deviations from the turning that shape and momentum tell, turns."""
_FAULTS: Final = np.array([0.78, 0.09, 0.05, 0.02, 0.06])
_PLAIN_FAULTS: Final = np.array([0.85, 0.1, 0.005, 0.005, 0.04])
"""Shares of frames that are right, mirrored, upside down, both, useless: of folded bodies and of straight ones, whose
head and feet nobody takes for each other."""
_TEMPER: Final = 0.6
"""Neighbouring frames err alike: each counts for so much of a frame."""
_TILT_SD: Final = 0.12
_DEPTH_SD: Final = 0.35
"""Of the trunk's direction as a unit vector: at least, and along the view."""
_RATE_SHARE: Final = 0.2
_DRIFT: Final = 1 / 360
_PUSH_DRIFT: Final = 5 / 360
"""How far the turning may leave what shape and momentum tell: a share of it, and so much in 20 ms; on the board nothing
tells it."""
_FOLD_SHARE: Final = 0.3
"""And so much of what folding turns."""
_START_SD: Final = 22 / 360
_END_SD: Final = 22 / 360
"""Divers take off and enter near the vertical, some by far not."""
_END_FLOOR: Final = 0.02


@dataclass(frozen=True, slots=True)
class Seen:
    """What T frames tell: `t_s` (T,), unit `up_world` (T, 3) of the trunk with its spread `up_sd` (T,), NaN: nothing;
    largest moment of inertia `inertia_m2` (T,), how far folding has turned the trunk towards the chest, `fold_rad`
    (T,); how `straight` (T,) the body is around a frame, 0 to 1; unit `view_world` (T, 3) of the camera or None.
    """

    t_s: Floats
    up_world: Floats
    up_sd: Floats
    inertia_m2: Floats
    fold_rad: Floats
    straight: Floats
    view_world: Floats | None


def _fits(seen: Seen, plane: Floats) -> Floats:
    """Log likelihood (T, 5, `TABLE`) of every angle in the `plane` (2, 3) whose rows are at 0 and a quarter turn."""
    angles = 2 * np.pi * np.arange(TABLE) / TABLE
    predicted = np.stack([np.cos(angles), np.sin(angles)], -1)
    sd = np.maximum(seen.up_sd, _TILT_SD)
    view = np.zeros_like(seen.up_world) if seen.view_world is None else seen.view_world
    depth = view @ plane.T
    stretch = (_DEPTH_SD / sd) ** 2 if seen.view_world is not None else np.ones_like(sd)
    ways = [seen.up_world, mirrored(seen.up_world, view)]
    fits = np.full((len(sd), 5, TABLE), -np.log(np.pi))
    size = np.linalg.norm(depth, axis=-1)
    along = depth / np.maximum(size, 1e-9)[:, None]
    # Along the view the spread grows with how much of the view lies in the plane of the turning.
    grown = 1 + np.maximum(stretch - 1, 0) * size**2
    for fault, way in enumerate((*ways, -ways[0], -ways[1])):
        apart = (way @ plane.T)[:, None] - predicted
        deep = np.sum(apart * along[:, None], -1)
        square = np.sum(apart**2, -1) - deep**2 * (1 - 1 / grown[:, None])
        fits[:, fault] = -0.5 * square / sd[:, None] ** 2 - np.log(2 * np.pi * sd**2 * np.sqrt(grown))[:, None]
    if seen.view_world is None:
        fits[:, [1, 3]] = -50.0
    fits[np.isnan(fits).any((1, 2))] = 0.0
    return np.asarray(_TEMPER * fits)


def _expected(seen: Seen, fold: int, take_off: int, inverted: bool) -> Expected:
    """Courses of every total, with the chest to one side."""
    steps = np.diff(seen.t_s)
    flies = np.arange(len(steps)) >= take_off
    rate = np.where(flies, 2 * steps / (seen.inertia_m2[1:] + seen.inertia_m2[:-1]), 0.0)
    turned = TOTALS[:, None] * rate / rate.sum()
    folded = fold * (seen.fold_rad - seen.fold_rad[take_off]) / (2 * np.pi)
    stance = 0.5 * inverted
    turns = stance + folded + np.concatenate([np.zeros((len(TOTALS), 1)), np.cumsum(turned, 1)], 1)
    drift = np.where(flies, _DRIFT, _PUSH_DRIFT) * np.sqrt(steps / 0.02)
    spread = _RATE_SHARE * np.abs(turned) + drift + _FOLD_SHARE * np.abs(np.diff(folded))
    start = np.exp(-0.5 * (_OFF / _START_SD) ** 2)
    return Expected(turns, spread, np.full(len(TOTALS), 1 / len(TOTALS)), _OFF, start / start.sum())


def _entries(turns: Floats, inverted: bool, head_first: float | None) -> Floats:
    """Prior of the `turns` from the vertical stance at the entry. `head_first`: probability that hands enter first."""
    halves = np.round(2 * turns)
    near = np.exp(-0.5 * ((turns - halves / 2) / _END_SD) ** 2) + _END_FLOOR
    if head_first is None:
        return np.asarray(near)
    down = (halves % 2 == 1) != inverted
    return np.asarray(near * np.where(down, head_first, 1 - head_first))


@dataclass(frozen=True, slots=True)
class Courses:
    """All ways of turning. `halves`: (signed half turns, 1 if folding turns the trunk in the positive sense else -1) to
    probability.
    """

    halves: dict[tuple[int, int], float]
    _evidence: Evidence
    _expected: dict[int, Expected]
    _entries: dict[int, Floats]
    _stance: float

    def likeliest(self) -> tuple[int, int]:
        """The key of the likeliest."""
        return max(self.halves, key=lambda key: self.halves[key])

    def course(self, half: int, fold: int) -> Course:
        """The course of one of them, in turns from upright."""
        expected = self._expected[fold]
        ended = np.round(2 * (expected.ends() - self._stance)) == half
        rows = ended.any(1)
        return self._evidence.course(expected.of(rows), (self._entries[fold] * ended)[rows])


def courses(seen: Seen, plane: Floats, take_off: int, inverted: bool, head_first: float | None) -> Courses:
    """The somersault of T frames that begin shortly before the `take_off` and end with the entry.

    `plane` (2, 3): world directions of an upright trunk and of one that is a quarter turn on. `inverted`: armstand.
    """
    fits = _fits(seen, plane)
    plain = seen.straight[:, None]
    evidence = Evidence(fits - fits.max((1, 2), keepdims=True), plain * _PLAIN_FAULTS + (1 - plain) * _FAULTS)
    stance = 0.5 * inverted
    expected = {fold: _expected(seen, fold, take_off, inverted) for fold in (1, -1)}
    entries = {fold: _entries(way.ends() - stance, inverted, head_first) for fold, way in expected.items()}
    ends = {fold: evidence.ends(way) for fold, way in expected.items()}
    most = max(float(end.max()) for end in ends.values())
    halves: dict[tuple[int, int], float] = {}
    for fold, way in expected.items():
        mass = np.exp(ends[fold] - most) * entries[fold]
        last = np.round(2 * (way.ends() - stance)).astype(int)
        halves |= {(int(n), fold): float(mass[last == n].sum()) for n in np.unique(last)}
    total = sum(halves.values())
    return Courses({key: value / total for key, value in halves.items()}, evidence, expected, entries, stance)
