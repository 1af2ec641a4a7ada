"""How far a body somersaulted: the course of the trunk's angle that free fall allows and the frames support best.

The angular momentum is constant, so the rate of turning follows from the shape: momentum over the largest moment of
inertia; and a body that folds turns its trunk towards the chest, its legs the other way. That leaves two unknowns, the
whole turn and which way the chest looks, and small deviations. Every whole turn is tried with both; a hidden Markov
model sums over the deviations and over what may be wrong with a frame: mirrored in depth, head and feet exchanged,
anything. It keeps the evidence of all frames; no frame alone can lose a half turn.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flight.trunk import mirrored

Floats = NDArray[np.float64]

TOTALS: Final = np.arange(-5.5, 5.51, 0.25)
"""Turns of the whole flight that are tried; dives have 4 1/2 at most."""
_OFF: Final = np.radians(np.arange(-90.0, 91, 5))
"""Deviations from the turning that shape and momentum tell."""
_TABLE: Final = 120
_FAULTS: Final = np.array([0.78, 0.09, 0.05, 0.02, 0.06])
"""Shares of frames that are right, mirrored, upside down, both, useless; they keep it from frame to frame."""
_STAY: Final = 0.9
_TEMPER: Final = 0.6
"""Neighbouring frames err alike: each counts for so much of a frame."""
_TILT_SD: Final = 0.12
_DEPTH_SD: Final = 0.35
"""Of the trunk's direction as a unit vector: at least, and along the view."""
_RATE_SHARE: Final = 0.2
_DRIFT: Final = np.radians(1.0)
_PUSH_DRIFT: Final = np.radians(5.0)
"""How far the turning may leave what shape and momentum tell: a share of it, and so much in 20 ms; on the board nothing
tells it."""
_START_SD: Final = np.radians(22.0)
_END_SD: Final = np.radians(22.0)
"""Divers take off and enter near the vertical, some by far not."""
_END_FLOOR: Final = 0.02


@dataclass(frozen=True, slots=True)
class Seen:
    """What T frames tell: `t_s` (T,), unit `up_world` (T, 3) of the trunk with its spread `up_sd` (T,), NaN: nothing;
    largest moment of inertia `inertia_m2` (T,), how far folding has turned the trunk towards the chest, `fold_rad`
    (T,); unit `view_world` (T, 3) of the camera or None.
    """

    t_s: Floats
    up_world: Floats
    up_sd: Floats
    inertia_m2: Floats
    fold_rad: Floats
    view_world: Floats | None


@dataclass(frozen=True, slots=True)
class Course:
    """`halves` (signed half turns, 1 if folding turns the trunk in the positive sense else -1) to probability; of the
    likeliest: `turns` and `sd` (T,) since the vertical stance, and `faults` (T, 5) probabilities of what is wrong with
    a frame.
    """

    halves: dict[tuple[int, int], float]
    turns: Floats
    sd: Floats
    faults: Floats


def _fits(seen: Seen, plane: Floats) -> Floats:
    """Log likelihood (T, 5, `_TABLE`) of every angle in the `plane` (2, 3) whose rows are at 0 and a quarter turn."""
    angles = 2 * np.pi * np.arange(_TABLE) / _TABLE
    predicted = np.stack([np.cos(angles), np.sin(angles)], -1)
    sd = np.maximum(seen.up_sd, _TILT_SD)
    view = np.zeros_like(seen.up_world) if seen.view_world is None else seen.view_world
    depth = view @ plane.T
    stretch = (_DEPTH_SD / sd) ** 2 if seen.view_world is not None else np.ones_like(sd)
    ways = [seen.up_world, mirrored(seen.up_world, view)]
    fits = np.full((len(sd), 5, _TABLE), -np.log(np.pi))
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


def _steps(seen: Seen, take_off: int) -> tuple[Floats, Floats]:
    """(T,) share of the whole turn done by each frame, and (T - 1, N, D, D) moves of the deviation, rows from, columns
    to."""
    steps = np.diff(seen.t_s)
    slowness = (seen.inertia_m2[1:] + seen.inertia_m2[:-1]) / 2
    rate = np.where(np.arange(len(steps)) >= take_off, steps / slowness, 0.0)
    share = np.concatenate([[0.0], np.cumsum(rate)]) / rate.sum()
    turned = 2 * np.pi * np.abs(TOTALS) * np.diff(share)[:, None]
    drift = np.where(np.arange(len(steps)) >= take_off, _DRIFT, _PUSH_DRIFT) * np.sqrt(steps / 0.02)
    spread = _RATE_SHARE * turned + (drift + 0.3 * np.abs(np.diff(seen.fold_rad)))[:, None]
    gaps = _OFF[None, :] - _OFF[:, None]
    kernel = np.exp(-0.5 * (gaps / spread[..., None, None]) ** 2)
    return share, kernel / kernel.sum(-1, keepdims=True)


def _ends(inverted: bool, head_first: float | None) -> Floats:
    """(N, D) prior of the attitude at the entry. `head_first`: probability that the hands meet the water first."""
    turns = TOTALS[:, None] + _OFF / (2 * np.pi)
    halves = np.round(2 * turns)
    near = np.exp(-0.5 * ((turns - halves / 2) * 2 * np.pi / _END_SD) ** 2) + _END_FLOOR
    if head_first is None:
        return np.asarray(near)
    down = (halves % 2 == 1) != inverted
    return np.asarray(near * np.where(down, head_first, 1 - head_first))


def _mixed(message: Floats) -> Floats:
    """`message` (5, N, D) after a step in which a fault may change."""
    return np.asarray(_STAY * message + (1 - _STAY) * _FAULTS[:, None, None] * message.sum(0))


@dataclass(frozen=True, slots=True)
class _Run:
    fold: int
    turns: Floats  # (N, D, T)
    weights: Floats  # (T, 5, N, D)
    forward: Floats  # (T, 5, N, D)
    moves: Floats  # (T - 1, N, D, D)
    evidence: float


def _run(seen: Seen, fits: Floats, fold: int, take_off: int, inverted: bool) -> _Run:
    """The forward pass with the chest to one side."""
    share, moves = _steps(seen, take_off)
    folded = fold * (seen.fold_rad - seen.fold_rad[take_off]) / (2 * np.pi)
    turns = TOTALS[:, None, None] * share + (_OFF / (2 * np.pi))[:, None] + folded
    places = np.round((turns + 0.5 * inverted) * _TABLE).astype(int) % _TABLE
    frames, evidence = len(share), 0.0
    weights = np.empty((frames, 5, len(TOTALS), len(_OFF)))
    forward = np.empty_like(weights)
    start = np.exp(-0.5 * (_OFF / _START_SD) ** 2)
    ahead = _FAULTS[:, None, None] * start / start.sum() / len(TOTALS)
    for k in range(frames):
        weights[k] = np.exp(fits[k])[:, places[:, :, k]]
        if k:
            ahead = np.einsum("fnd,nde->fne", _mixed(forward[k - 1]), moves[k - 1], optimize=True)
        forward[k] = ahead * weights[k]
        total = float(forward[k].sum())
        evidence += float(np.log(total))
        forward[k] /= total
    return _Run(fold, turns, weights, forward, moves, evidence)


def course(seen: Seen, plane: Floats, take_off: int, inverted: bool, head_first: float | None) -> Course:
    """The somersault of T frames that begin shortly before the `take_off` and end with the entry.

    `plane` (2, 3): world directions of an upright trunk and of one that is a quarter turn on. `inverted`: armstand.
    """
    fits = _fits(seen, plane)
    fits -= fits.max((1, 2), keepdims=True)
    runs = [_run(seen, fits, fold, take_off, inverted) for fold in (1, -1)]
    end = _ends(inverted, head_first)
    most = max(run.evidence for run in runs)
    halves: dict[tuple[int, int], float] = {}
    for run in runs:
        last = np.round(2 * run.turns[:, :, -1]).astype(int)
        mass = run.forward[-1].sum(0) * end * np.exp(run.evidence - most)
        halves |= {(int(n), run.fold): float(mass[last == n].sum()) for n in np.unique(last)}
    total = sum(halves.values())
    halves = {key: value / total for key, value in halves.items()}
    best, fold = max(halves, key=lambda key: halves[key])
    run = runs[0] if fold > 0 else runs[1]
    ended = end * (np.round(2 * run.turns[:, :, -1]) == best)
    return Course(halves, *_path(run, ended))


def _path(run: _Run, ended: Floats) -> tuple[Floats, Floats, Floats]:
    """Turns, their spread (T,) and faults (T, 5) given the end (N, D), by the backward pass."""
    frames = len(run.forward)
    backward = np.broadcast_to(ended, run.forward[0].shape)
    path, sd, faults = np.empty(frames), np.empty(frames), np.empty((frames, 5))
    for k in range(frames - 1, -1, -1):
        both = run.forward[k] * backward
        both = both / both.sum()
        of_state = both.sum(0)
        path[k] = np.sum(of_state * run.turns[:, :, k])
        sd[k] = np.sqrt(np.sum(of_state * (run.turns[:, :, k] - path[k]) ** 2))
        faults[k] = both.sum((1, 2))
        if k:
            behind = np.einsum("fne,nde->fnd", backward * run.weights[k], run.moves[k - 1], optimize=True)
            behind = _STAY * behind + (1 - _STAY) * np.sum(_FAULTS[:, None, None] * behind, 0)
            backward = behind / behind.sum()
    return path, sd, faults
