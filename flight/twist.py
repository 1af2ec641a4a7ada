"""How far a body twisted, and which way it faced before: the course about its long axis that the frames support best.

A hidden Markov model of the twist since the take-off and its rate. A body that does not twist is one hypothesis, one
that twists to the left or right at a rate that changes smoothly are two more; each with the chest to either side at the
take-off. Any frame may have its sides exchanged, be mirrored in depth, both, or be useless. Which way hips and knees
bend tells the chest without a left and a right (`trunk.hinge_left_of`).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flight.trunk import mirrored

Floats = NDArray[np.float64]

_BIN: Final = np.radians(10.0)
_ROUND: Final = 36
_TURNS: Final = np.arange(-12, 4 * _ROUND + 1) / _ROUND
"""Twist since the take-off, turns in the sense of the twist; dives have 3 1/2 at most."""
_RATES_HZ: Final = np.arange(0.0, 6.51, 0.5)
_STILL: Final = np.arange(-6, 7) / _ROUND
_RATE_SD_HZ: Final = 0.5
"""How much the rate of twisting changes in 20 ms: arms start and stop a twist in less than 0.2 s."""
_FAULTS: Final = np.array([0.7, 0.1, 0.05, 0.1, 0.05])
"""Shares of frames that are right, with sides exchanged, mirrored, both, useless; they keep it."""
_STAY: Final = 0.9
_TEMPER: Final = 0.6
_SIDE_SD: Final = 0.25
_DEPTH_SD: Final = 0.6
"""Of the direction to the left as a unit vector: at least, and along the view."""
_HINGE: Final = 2.5
"""Concentration (von Mises) of the direction that hips and knees tell."""
_END_SD: Final = np.radians(25.0)
_END_FLOOR: Final = 0.02
_STILL_PRIOR: Final = (0.9, 0.35)
"""That a body does not twist at all: one that folds, one that stays straight."""
_FOLDED_COST: Final = 0.4
"""Of twisting while folded, by frame and turn a second: a folded body turns about its axis across alone."""


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


@dataclass(frozen=True, slots=True)
class Course:
    """`halves` (half turns of the body from facing along the first direction, 0 or 1; signed half twists) to
    probability; of the likeliest: `turns` (T,) and `sd` since that direction, `faults` (T, 5).
    """

    halves: dict[tuple[int, int], float]
    turns: Floats
    sd: Floats
    faults: Floats


def _fits(seen: Seen, axis: Floats) -> Floats:
    """Log likelihood (T, 5, `_ROUND`) of every angle of the left about the trunk, 0 along the `axis` (3,)."""
    angles = _BIN * np.arange(_ROUND)
    across = np.cross(seen.up_world, axis)
    left = np.cos(angles)[:, None] * axis + np.sin(angles)[:, None] * across[:, None]
    sd = np.maximum(seen.left_sd, _SIDE_SD)[:, None]
    view = np.zeros_like(across) if seen.view_world is None else seen.view_world
    deep_sd = sd if seen.view_world is None else np.maximum(sd, _DEPTH_SD)
    side, hinge = seen.left_world, seen.hinge_world
    ways = ((side, hinge), (-side, hinge), (mirrored(side, view), -mirrored(hinge, view)),
            (-mirrored(side, view), -mirrored(hinge, view)))  # fmt: skip
    fits = np.full((len(across), 5, _ROUND), -2.5)
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


@dataclass(frozen=True, slots=True)
class _Chain:
    """One hypothesis: the twist is on the grid `turns` (K,) in the sense `sense`, its rate on `rates_hz` (R,)."""

    sense: int
    turns: Floats
    rates_hz: Floats
    prior: float

    def start(self) -> Floats:
        """(K, R)"""
        near = np.exp(-0.5 * (self.turns * 2 * np.pi / _END_SD) ** 2)
        return np.asarray(near[:, None] * (self.rates_hz == 0))

    def moved(self, message: Floats, step_s: float, flies: bool, back: bool = False) -> Floats:
        """`message` [..., K, R] one step on, or `back`: rates change, then they turn the body."""
        spread = self._spread(step_s) if flies else np.eye(len(self.rates_hz))
        if back:
            return np.asarray(self._turned(message, -step_s) @ spread.T)
        return self._turned(message @ spread, step_s)

    def _spread(self, step_s: float) -> Floats:
        sd = _RATE_SD_HZ * np.sqrt(step_s / 0.02)
        kernel = np.exp(-0.5 * ((self.rates_hz[:, None] - self.rates_hz) / sd) ** 2)
        return np.asarray(kernel / kernel.sum(1, keepdims=True))

    def _turned(self, message: Floats, step_s: float) -> Floats:
        turned = np.zeros_like(message)
        count = message.shape[-2]
        for k, rate in enumerate(self.rates_hz):
            bins = abs(rate * step_s) * _ROUND
            whole = int(bins)
            for shift, share in ((whole, whole + 1 - bins), (whole + 1, bins - whole)):
                if share <= 0 or shift >= count:
                    continue
                if rate * step_s >= 0:
                    turned[..., shift:, k] += share * message[..., : count - shift, k]
                else:
                    turned[..., : count - shift, k] += share * message[..., shift:, k]
        # A trembling of the measured axis that is no twist.
        trembling = 0.9 * turned
        trembling[..., 1:, :] += 0.05 * turned[..., :-1, :]
        trembling[..., :-1, :] += 0.05 * turned[..., 1:, :]
        return trembling


@dataclass(frozen=True, slots=True)
class _Run:
    chain: _Chain
    evidence: float
    forward: Floats  # (T, 2, 5, K, R)
    weights: Floats  # (T, 2, 5, K)
    allowed: Floats  # (T, R)


def _run(chain: _Chain, fits: Floats, seen: Seen, take_off: int) -> _Run:
    frames = len(fits)
    bins = np.round(chain.turns * _ROUND).astype(int) * chain.sense
    places = np.stack([bins % _ROUND, (bins + _ROUND // 2) % _ROUND])
    weights = np.stack([np.exp(fits[:, :, place]) for place in places], 1)
    forward = np.empty((*weights.shape, len(chain.rates_hz)))
    first = chain.start() / chain.start().sum() / 2
    ahead = _FAULTS[:, None, None] * first * weights[0][..., None]
    evidence = np.log(chain.prior)
    allowed = np.exp(-_FOLDED_COST * (1 - seen.straight)[:, None] * chain.rates_hz)
    for k in range(frames):
        if k:
            mixed = _STAY * forward[k - 1] + (1 - _STAY) * _FAULTS[:, None, None] * forward[k - 1].sum(1, keepdims=True)
            ahead = chain.moved(mixed, float(seen.t_s[k] - seen.t_s[k - 1]), k > take_off) * weights[k][..., None]
            ahead = ahead * allowed[k]
        total = float(ahead.sum())
        evidence += np.log(total)
        forward[k] = ahead / total
    return _Run(chain, evidence, forward, weights, allowed)


def _end(chain: _Chain) -> tuple[NDArray[np.int_], Floats]:
    """Half twists (K,) of every place of the grid and the prior (K,) that a dive ends there."""
    halves = np.round(2 * chain.turns).astype(int)
    near = np.exp(-0.5 * ((chain.turns - halves / 2) * 2 * np.pi / _END_SD) ** 2) + _END_FLOOR
    # What twists at all turns by a half at least.
    return halves, np.where((halves == 0) & (len(chain.rates_hz) > 1), 0, near)


def course(seen: Seen, axis: Floats, take_off: int) -> Course:
    """The twist of T frames that begin shortly before the `take_off` and end with the entry, about the trunk and from
    the somersault `axis` (3,).
    """
    fits = _fits(seen, axis)
    fits -= fits.max((1, 2), keepdims=True)
    still = float(np.interp(seen.straight[take_off:].mean(), (0.4, 0.9), _STILL_PRIOR))
    chains = [_Chain(1, _STILL, np.zeros(1), still)]
    chains += [_Chain(sense, _TURNS, _RATES_HZ, (1 - still) / 2) for sense in (1, -1)]
    runs = [_run(chain, fits, seen, take_off) for chain in chains]
    found: dict[tuple[int, int], float] = {}
    most = max(run.evidence for run in runs)
    for run in runs:
        halves, near = _end(run.chain)
        mass = run.forward[-1].sum((1, 3)) * near * np.exp(run.evidence - most)
        for half in np.unique(halves[halves >= 0]):
            for facing in range(2):
                key = (facing, int(half) * run.chain.sense)
                found[key] = found.get(key, 0.0) + float(mass[facing, halves == half].sum())
    total = sum(found.values())
    found = {key: value / total for key, value in found.items() if value > 0}
    facing, half = max(found, key=lambda key: found[key])
    run = runs[0] if half == 0 else runs[1 if half > 0 else 2]
    return Course(found, *_path(run, seen, take_off, facing, abs(half)))


def _path(run: _Run, seen: Seen, take_off: int, facing: int, half: int) -> tuple[Floats, Floats, Floats]:
    """Turns, their spread (T,) and faults (T, 5) of one hypothesis with its end given."""
    chain, frames = run.chain, len(run.forward)
    halves, near = _end(chain)
    backward = np.zeros(run.forward.shape[2:])
    backward += (near * (halves == half))[:, None]
    path, sd, faults = np.empty(frames), np.empty(frames), np.empty((frames, 5))
    for k in range(frames - 1, -1, -1):
        both = run.forward[k, facing] * backward
        both = both / both.sum()
        of_turn = both.sum((0, 2))
        path[k] = of_turn @ chain.turns
        sd[k] = np.sqrt(of_turn @ (chain.turns - path[k]) ** 2)
        faults[k] = both.sum((1, 2))
        if k:
            step_s = float(seen.t_s[k] - seen.t_s[k - 1])
            behind = chain.moved(
                backward * run.weights[k, facing][..., None] * run.allowed[k], step_s, k > take_off, back=True
            )
            behind = _STAY * behind + (1 - _STAY) * np.sum(_FAULTS[:, None, None] * behind, 0)
            backward = behind / behind.sum()
    return path * chain.sense + facing / 2, sd, faults
