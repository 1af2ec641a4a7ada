"""When a body flies: the stretch of its path that falls as gravity makes it fall, and what follows from it.

The acceleration of a few frames says little (at 50 frames a second and 4 px of noise it takes 0.6 s to tell free fall
from standing). So all stretches are compared with a parabola of the known acceleration: z + g t^2 / 2 is a straight
line in flight, and the squared errors of a line through any stretch come from running sums. What counts is how many
frames are explained, less what they err by. Such a stretch is some frames too long at either end, because a body leaves
its parabola slowly, with the square of time; `departure` finds where.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flight.fall import GRAVITY_M_S2

Floats = NDArray[np.float64]

WORTH: Final = 5.0
"""Squared standard deviations of error that a frame in flight may cost before the stretch is better without it."""
LEAST_S: Final = 0.3
LEAST_GAIN: Final = 25.0
MOST_FRAMES: Final = 220
"""Frames that are compared at once: their pairs are a square."""
_SCALES: Final = (0.85, 0.92, 1.0, 1.08, 1.17)
_DEAREST: Final = 5.0
_BEYOND_S: Final = 0.04
_INSIDE_S: Final = 0.45
"""Frames about the end of a stretch by which the departure is judged; some tenths after it the square of time describes
it no more."""
_SEARCHED_S: Final = np.arange(-0.08, 0.2401, 0.004)
_EXPECTED_S: Final = (0.05, 0.07)
"""How far inside the end of a stretch the departure may be, and where it mostly is, with its deviation."""
_PUSH_M_S2: Final = (30.0, 15.0)
"""What a board still presses with at the end, per mass of the body, and the deviation of that: some three times its
weight. Of the water nothing like it is known: hands are slowed little."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames `first` to `last` that fall; `gain` says how surely; `scale` is how many true metres a metre is."""

    first: int
    last: int
    gain: float
    scale: float


def falling(
    t_s: Floats, height_m: Floats, sd_m: Floats, scales: tuple[float, ...] = _SCALES, least_s: float = LEAST_S
) -> Stretch | None:
    """The stretch of heights (N,) with deviations (N,) that is most surely free fall; None where nothing flies.

    Frames whose height is not known (NaN) are passed over. `scales` are the sizes a metre may have: one alone where
    metres are metres. At most `MOST_FRAMES` frames.
    """
    known = np.flatnonzero(np.isfinite(height_m) & np.isfinite(sd_m))
    if len(known) < 4:
        return None
    best: Stretch | None = None
    for scale in scales:
        found = _best(t_s[known], height_m[known] * scale, sd_m[known] * scale, least_s)
        if found is not None and (best is None or found[2] > best.gain):
            best = Stretch(int(known[found[0]]), int(known[found[1]]), found[2], scale)
    return best


def _best(t: Floats, height: Floats, sd: Floats, least_s: float) -> tuple[int, int, float] | None:
    """First, last and gain of the best stretch."""
    t = t - t[0]
    weight = 1 / sd**2
    count = np.arange(len(t))[None, :] - np.arange(len(t))[:, None] + 1
    long_enough = (t[None, :] - t[:, None] >= least_s) & (count >= 4)
    error = _errors(t, height + GRAVITY_M_S2 * t * t / 2, weight)
    # A short stretch of any slow motion is near a parabola too: falling has to explain it better than not falling.
    surer = _errors(t, height, weight) - error
    gain = np.where(long_enough & (surer > LEAST_GAIN), WORTH * count - error, -np.inf)
    first, last = divmod(int(np.argmax(gain)), len(t))
    best = float(gain[first, last])
    return (first, last, best) if best > LEAST_GAIN else None


def _errors(t: Floats, line: Floats, weight: Floats) -> Floats:
    """Weighted squared errors [first, last] of the straight line through every stretch, from running sums; 0 where a
    stretch is too short for a line."""
    products = np.stack([weight, weight * t, weight * t * t, weight * line, weight * t * line, weight * line * line])
    sums = np.concatenate([np.zeros((6, 1)), np.cumsum(products, axis=1)], axis=1)
    w, wt, wtt, wz, wtz, wzz = sums[:, None, 1:] - sums[:, :-1, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = wtt - wt * wt / w
        slope = wtz - wt * wz / w
        error = wzz - wz * wz / w - slope * slope / spread
    return np.asarray(np.maximum(np.nan_to_num(error, nan=0.0, posinf=0.0, neginf=0.0), 0.0))


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment and its standard deviation, seconds."""

    t_s: float
    sd_s: float


def agreeing(above_m: Floats, sd_m: Floats) -> tuple[int, int] | None:
    """First and last frame of the stretch that lies on a parabola already known, from heights above it (N,)."""
    # A frame that errs costs a few that agree, not all of them.
    cost = np.minimum((above_m / sd_m) ** 2, _DEAREST * WORTH)
    score = np.where(np.isfinite(above_m) & np.isfinite(sd_m), WORTH - cost, 0.0)
    total = np.concatenate([[0.0], np.cumsum(score)])
    lowest = np.minimum.accumulate(total)
    last = int(np.argmax(total[1:] - lowest[:-1]))
    if total[last + 1] <= lowest[last]:
        return None
    return int(np.argmin(total[: last + 1])), last


def departure(t_s: Floats, above_m: Floats, sd_m: Floats, end_s: float, before: bool) -> Moment | None:
    """When a body leaves its parabola (or, `before`, comes onto it), from its heights above it (N,).

    On the parabola the height above it is noise; board and water push upwards, so outside it grows with the square of
    time: k tau^2 / 2 with k of at least 0, and of a board near `_PUSH_M_S2`: with a small k an early moment would
    explain as much. The moment is that which explains the frames about it best; its deviation comes from the bend of
    the error. `end_s` is the end of a stretch of `falling`: a little too far outside. None where
    too few frames are known.
    """
    side = -1.0 if before else 1.0
    inside = -side * (t_s - end_s)
    near = np.isfinite(above_m) & np.isfinite(sd_m) & (inside >= -_BEYOND_S) & (inside <= _INSIDE_S)
    if np.count_nonzero(near) < 5:
        return None
    # All moments are judged by the same frames: fewer would always be better.
    t, above, weight = t_s[near], above_m[near], 1 / sd_m[near] ** 2
    moments = end_s - side * _SEARCHED_S
    shape = np.maximum(side * (t - moments[:, None]), 0.0) ** 2 / 2
    norm = (shape * shape * weight).sum(axis=1)
    push, sure = (_PUSH_M_S2[0], _PUSH_M_S2[1] ** -2) if before else (0.0, 1e-9)
    bend = np.maximum(((shape * above * weight).sum(axis=1) + sure * push) / (norm + sure), 0.0)
    error = ((above - bend[:, None] * shape) ** 2 * weight).sum(axis=1) + sure * (bend - push) ** 2
    return _lowest(moments, error + ((_SEARCHED_S - _EXPECTED_S[0]) / _EXPECTED_S[1]) ** 2)


def _lowest(moments: Floats, error: Floats) -> Moment:
    """The moment of least error, and where the error is one more (chi-square's standard deviation)."""
    at = int(np.argmin(error))
    inside = np.abs(moments[error <= error[at] + 1.0] - moments[at])
    step = abs(float(moments[1] - moments[0]))
    return Moment(float(moments[at]), max(float(inside.max()), step / 2))


def crossing(t_s: Floats, height_m: Floats, level_m: float, upwards: bool, last: bool = False) -> float | None:
    """When a height (N,) crosses a level, between two frames by a straight line; the first time, or the `last`."""
    known = np.isfinite(height_m)
    t, above = t_s[known], height_m[known] - level_m
    there = (above[:-1] < 0) & (above[1:] >= 0) if upwards else (above[:-1] >= 0) & (above[1:] < 0)
    places = np.flatnonzero(there)
    if not len(places):
        return None
    k = int(places[-1 if last else 0])
    return float(t[k] + (t[k + 1] - t[k]) * above[k] / (above[k] - above[k + 1]))
