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
_OUTSIDE_S: Final = 0.12
"""So long after the departure the square of time describes it."""
_INSIDE_S: Final = 0.25
_SEARCHED_S: Final = np.arange(-0.1, 0.1001, 0.004)
_MOVES: Final = 8


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
    """First, last and gain of the best stretch by running sums of the line's normal equations."""
    t = t - t[0]
    weight = 1 / sd**2
    line = height + GRAVITY_M_S2 * t * t / 2
    products = np.stack([weight, weight * t, weight * t * t, weight * line, weight * t * line, weight * line * line])
    sums = np.concatenate([np.zeros((6, 1)), np.cumsum(products, axis=1)], axis=1)
    w, wt, wtt, wz, wtz, wzz = sums[:, None, 1:] - sums[:, :-1, None]  # [first, last]
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = wtt - wt * wt / w
        slope = wtz - wt * wz / w
        error = wzz - wz * wz / w - slope * slope / spread
    count = np.arange(len(t))[None, :] - np.arange(len(t))[:, None] + 1
    gain = np.where((t[None, :] - t[:, None] >= least_s) & (count >= 4), WORTH * count - np.maximum(error, 0), -np.inf)
    first, last = divmod(int(np.nanargmax(gain)), len(t))
    best = float(gain[first, last])
    return (first, last, best) if best > LEAST_GAIN else None


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment and its standard deviation, seconds."""

    t_s: float
    sd_s: float


def departure(t_s: Floats, above_m: Floats, sd_m: Floats, guess_s: float, before: bool) -> Moment | None:
    """When a body leaves its parabola (or, `before`, comes onto it), from its heights above it (N,).

    On the parabola the height above it is noise; board and water push upwards, so outside it grows with the square of
    time: k tau^2 / 2 with k of at least 0. The moment is that which explains the frames about it best; its deviation
    comes from the bend of the error. `guess_s` is better too far outside than inside: a stretch of `falling` is. None
    where too few frames are known.
    """
    known = np.isfinite(above_m) & np.isfinite(sd_m)
    t, above, weight = t_s[known], above_m[known], 1 / sd_m[known] ** 2
    moment: Moment | None = None
    for _ in range(_MOVES):
        found = _departed(t, above, weight, guess_s, -1.0 if before else 1.0)
        if found is None or (moment is not None and abs(found.t_s - moment.t_s) < 1e-9):
            break
        moment = found
        guess_s = found.t_s
    return moment


def _departed(t: Floats, above: Floats, weight: Floats, guess_s: float, side: float) -> Moment | None:
    """One search among moments about the guess. All are judged by the same frames, or fewer would always be better."""
    near = (side * (t - guess_s) <= _OUTSIDE_S) & (side * (t - guess_s) >= -_INSIDE_S)
    if np.count_nonzero(near) < 5:
        return None
    moments = guess_s + _SEARCHED_S
    shape = np.maximum(side * (t[near] - moments[:, None]), 0.0) ** 2 / 2
    norm = (shape * shape * weight[near]).sum(axis=1)
    bend = np.maximum((shape * above[near] * weight[near]).sum(axis=1) / np.where(norm > 0, norm, 1.0), 0.0)
    error = ((above[near] - bend[:, None] * shape) ** 2 * weight[near]).sum(axis=1)
    return _lowest(moments, error)


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
