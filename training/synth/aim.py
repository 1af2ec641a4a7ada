"""What is searched for a dive: the angular momentum and the turns of the arms that lead to the planned entry.

Once both sides of the body are alike again and the somersault axis of the body lies along the angular momentum, the
rest of the dive stays in its plane. So a twist is solved when the two components of the angular momentum across that
axis vanish after the second turn of the arms; its time and its size do that, while the size of the first turn decides
how fast the body twists (M. R. Yeadon, "The biomechanics of twisting somersaults", J. Sports Sciences 11, 1993).

Arms that go the short way through the side are looked at first. Where that leaves tilt (half a twist, which is slow, or
more than two in a few somersaults), arms that go in front, which tilts more, are looked at next.

A quick body of the same lengths is used to look at thousands of throws and to improve the best; what it finds is then
corrected on the body itself, over the whole flight.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from flight.code import DiveError
from training.synth import shape
from training.synth.flight import Attempt, courses, level, spaced
from training.synth.plan import Plan
from training.synth.shape import Throw

Array = npt.NDArray[Any]

MOST_MOMENTUM: Final = 1.7
"""Angular momentum per unit of mass, m2/s, that no diver exceeds (about 110 kg m2/s at 65 kg)."""
MOST_TWIST_RAD_S: Final = 40.0
"""Fastest twist; four twists in a 3 m dive come near 35."""
HIGH: Final = (0.0, 0.5, 1.0)
FIRST: Final = tuple((size, high) for high in HIGH for size in (0.2, 0.4, 0.6, 0.75, 0.9))
"""First turns of the arms that are looked at: size, and how high the arms are then."""
FASTER: Final = (0.8, 0.88, 0.95, 1.0, 1.06, 1.13, 1.22, 1.35)
"""Angular momenta that are looked at, over that of the same dive without a twist."""
BACK: Final = (-1.1, -0.95, -0.8, -0.65, -0.5, -0.35, -0.2, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.1)
"""Second turns of the arms that are looked at."""
WINDOW_S: Final = 0.4
"""Longest time from the unwrapping of the arms until both sides are alike."""
LOOK_STEP_S, SEARCH_STEP_S, FINE_STEP_S = 0.024, 0.02, 0.006
TRIED: Final = 24
"""Points from which a search begins, in groups."""
GROUP: Final = 4
CORRECTED: Final = 4
"""How many of those found with the quick body are tried with the body itself."""
CLOSE: Final = 0.02
"""What the quick body may leave: share of the angular momentum across the axis, somersault in radians."""
TOLERANCE: Final = 0.004
"""The same for the body itself, at the entry."""
_STEP: Final = np.array([0.15, 0.25, 0.25, 0.04, 0.35])
"""How far a search step may go: angular momentum and throw."""


def wanted_turn(plan: Plan, start: Array) -> float:
    """Angle about y still to turn from the attitude `start` [3, 3] to the entry, radians."""
    stood = np.pi if plan.code.armstand else 0.0
    lean = float(np.arctan2(start[0, 2], start[2, 2])) - stood
    lean = float((lean + np.pi) % (2 * np.pi) - np.pi)
    sign = 1.0 if plan.code.turns_outward else -1.0
    return sign * (np.pi * plan.code.half_somersaults - plan.short_rad) - lean


def solved(attempt: Attempt, thorough: bool = True) -> tuple[float, Throw]:
    """Angular momentum and throw that bring the diver into the water as planned; arms go in front only if `thorough`.
    Raises DiveError if none does.
    """
    plan = attempt.plan
    turn = wanted_turn(plan, attempt.off.turn)
    if not plan.code.half_twists:
        return _planar(attempt, turn, exact=True), Throw()
    momentum = _planar(attempt, turn, exact=False)
    for way in [attempt] if attempt.front or not thorough else [attempt, attempt.in_front()]:
        found = _thrown(way, turn, momentum)
        if found is not None:
            return found
    raise _refuse(plan, "found no throw of the arms that makes this twist in the time")


def _thrown(attempt: Attempt, turn: float, momentum: float) -> tuple[float, Throw] | None:
    """Angular momentum and throw of a twist, if one is found; `momentum` would turn the body without a twist."""
    starts = _starts(attempt, turn, momentum)
    better = (guess for k in range(0, len(starts), GROUP) for guess in _improved(attempt, turn, starts[k : k + GROUP]))
    for guess in islice(better, CORRECTED):
        found = _corrected(attempt, turn, guess)
        if found is not None:
            return float(found[0]), attempt.throw(*found[1:].tolist())
    return None


def _refuse(plan: Plan, why: str) -> DiveError:
    return DiveError(f"dive {plan.code} from {plan.height_m:g} m: {why}")


def _planar(attempt: Attempt, turn: float, exact: bool) -> float:
    """Angular momentum that turns a body without a twist by `turn`, by the secant method."""
    step = SEARCH_STEP_S if exact else LOOK_STEP_S
    times = np.linspace(0, attempt.flight_s, round(attempt.flight_s / step) + 1)
    side = float(np.sign(attempt.off.turn[1, 0]))
    throw = Throw(until=0.5)

    def miss(momentum: float) -> float:
        angles = attempt.angles(momentum, throw, times)[:, None]
        _, inertia, own = attempt.moments(angles, times[1], attempt.shape if exact else attempt.quick)
        rate = (momentum - side * own[:, 0, 0]) / inertia[:, 0, 0, 0]
        return float(np.sum(rate[1:] + rate[:-1]) * times[1] / 2) - turn

    first, second = 0.0, float(np.sign(turn)) * 0.08 * abs(turn)
    before, now = miss(first), miss(second)
    for _ in range(8):
        if abs(now) < TOLERANCE:
            break
        first, second = second, second - now * (second - first) / (now - before)
        before, now = now, miss(second)
    if not exact:
        return float(np.clip(second, -0.9 * MOST_MOMENTUM, 0.9 * MOST_MOMENTUM))
    if abs(second) > MOST_MOMENTUM or abs(now) > 0.1:
        raise _refuse(attempt.plan, "no take-off turns so fast here")
    return second


def twist_of(course: Array) -> Array:
    """Twist angle since the start [T, B] in radians of courses [T, B, 4]."""
    twist = np.unwrap(np.arctan2(-course[..., 1], course[..., 0]), axis=0)
    return np.asarray(twist - twist[0])


def _starts(attempt: Attempt, turn: float, momentum: float) -> Array:
    """Points [N, 5] to search from, angular momentum and throw; the most promising first.

    All first turns with all momenta are flown; from every moment of them, all second turns. What the arms do from
    their unwrapping on is the same at any moment, so its moments of inertia are worked out once.
    """
    plan, whole = attempt.plan, attempt.flight_s
    wanted = np.pi * plan.code.half_twists
    count = int(np.ceil(whole / LOOK_STEP_S))
    half_times = np.linspace(0, whole, 2 * count + 1)
    step = half_times[2]
    angles = np.stack([attempt.angles(momentum, attempt.throw(*first), half_times) for first in FIRST], 1)
    _, inertia, own = attempt.moments(angles, half_times[1], attempt.quick)
    momenta = momentum * np.repeat(FASTER, len(FIRST))
    many = (1, len(FASTER), 1, 1)
    course = courses(np.tile(np.linalg.inv(inertia), many), np.tile(own, many[:3]), momenta, attempt.off.turn[1], step)
    twist = np.abs(twist_of(course))
    ready = np.array([shape.wrapped_s(attempt.throw(*first)) for first in FIRST * len(FASTER)])
    times = half_times[::2, None]
    last = shape.latest(plan, whole, attempt.front)
    able = (twist > wanted - 7) & (twist < wanted + 1) & (times > ready) & (times < last * whole)
    at, which = np.nonzero(able)
    if not len(at):
        return np.zeros((0, 5))

    found = []
    for high in HIGH:
        rows = np.array([first[1] for first in FIRST * len(FASTER)])[which] == high
        found += _seconds(attempt, turn, momentum, high, half_times, (at[rows], which[rows]), course, twist)
    found.sort(key=lambda pair: pair[0])
    return np.array([guess for _, guess in found[:TRIED]]).reshape(-1, 5)


def _seconds(
    attempt: Attempt, turn: float, momentum: float, high: float, half_times: Array, begun: tuple[Array, Array],
    course: Array, twist: Array,
) -> list[tuple[float, tuple[float, ...]]]:  # fmt: skip
    """The best second turns, with their scores, from the moments `begun` (step, column) of `course` [T, B, 4]."""
    whole, step, (at, which) = attempt.flight_s, half_times[2], begun
    wanted, momenta = np.pi * attempt.plan.code.half_twists, momentum * np.repeat(FASTER, len(FIRST))[which]
    # The poses from the unwrapping on, [T, back], taken at a moment at which nothing else goes on.
    half_after = np.arange(2 * int(np.ceil(WINDOW_S / step)) + 1) * (step / 2)
    throws = [attempt.throw(0.6, high, 0.4, back) for back in BACK]
    angles = np.stack([attempt.angles(momentum, throw, 0.4 * whole + half_after) for throw in throws], 1)
    _, inertia, own = attempt.moments(angles, step / 2, attempt.quick)
    inverse = np.linalg.inv(inertia)
    ends = np.array([int(np.ceil(shape.settled_s(throw) / step)) for throw in throws])
    remains = _rest(attempt, momentum * np.array(FASTER), half_times, ends * step)
    start = course[at, which].T
    found: list[tuple[float, tuple[float, ...]]] = []
    for b, back in enumerate(BACK if len(at) else ()):
        cut = slice(0, 2 * ends[b] + 1)
        after = courses(inverse[cut, b, None], own[cut, b, None], momenta, start[:3], step)
        last = after[-1]
        turned = twist[at, which] + np.abs(twist_of(after)[-1])
        somersault = start[3] + last[:, 3] + remains[b][at, which // len(FIRST)]
        score = np.hypot(last[:, 1], last[:, 2]) + 0.06 * np.abs(somersault - turn)
        score = np.where(np.abs(turned - wanted) < 1.0, score + 0.05 * high, np.inf)
        for k in np.argsort(score)[:8]:
            if score[k] < 2:
                size = FIRST[which[k] % len(FIRST)][0]
                found.append((float(score[k]), (momenta[k], size, high, float(half_times[2 * at[k]] / whole), back)))
    return found


def _rest(attempt: Attempt, momenta: Array, half_times: Array, settled_s: Array) -> list[Array]:
    """For every second turn (by the time `settled_s` [K] it takes) the somersault [T, M] from then to the entry with
    angular momenta `momenta` [M], if the arms unwrap at each of the steps.
    """
    whole, times = attempt.flight_s, half_times[::2]
    side = int(attempt.off.turn[1, 0] * (-1) ** attempt.plan.code.half_twists < 0)
    marks = np.linspace(0.2, 0.95, 6)
    middle = float(np.median(momenta))
    angles = np.stack([attempt.angles(middle, attempt.throw(0.6, 0.0, float(mark), 0.8), times) for mark in marks], 1)
    _, inertia, own = attempt.moments(angles, times[1], attempt.quick)
    done = [level(inertia, own, np.full(len(marks), momentum), times[1])[..., side] for momentum in momenta]
    result = []
    for settled in settled_s:
        left = [
            [way[-1, k] - np.interp(marks[k] * whole + settled, times, way[:, k]) for k in range(len(marks))]
            for way in done
        ]
        result.append(np.stack([np.interp(times / whole, marks, way) for way in left], -1))
    return result


def _misses(attempt: Attempt, turn: float, guesses: Array, step_s: float, whole: bool, exact: bool = False) -> Array:
    """For angular momenta and throws `guesses` [B, 5]: somersault too much, the angular momentum's share along back
    and length, the half twists too many and the fastest twist in rad/s [B, 5]; across after the second turn or, if
    `whole`, at the entry.
    """
    throws = [attempt.throw(*guess[1:].tolist()) for guess in guesses]
    body = spaced(attempt.shape, attempt.quick, step_s / 2) if exact else attempt.quick
    times, course, planar = attempt.courses(guesses[:, 0], throws, step_s, body)
    settled = np.array([throw.until * attempt.flight_s + shape.settled_s(throw) for throw in throws])
    at = np.full(len(guesses), times[-1]) if whole else np.minimum(settled, times[-1])
    rows, twist = np.arange(len(guesses)), twist_of(course)

    def then(values: Array) -> Array:
        k = np.minimum((at / times[1]).astype(int), len(times) - 2)
        share = (at / times[1] - k)[:, None]
        return np.asarray((1 - share) * values[k, rows] + share * values[k + 1, rows])

    last, level_then, extra = then(course), then(planar), np.abs(then(twist[..., None])[:, 0]) / np.pi
    # Later, a quick body that is not yet exact may roll on; what counts is the fastest twist until `at`.
    rate = np.abs(np.diff(twist, axis=0)) / times[1]
    fastest = np.where(times[1:, None] < at, rate, 0).max(0)
    side = (last[:, 0] < 0).astype(int)
    somersault = last[:, 3] + planar[-1, rows, side] - level_then[rows, side] - turn
    return np.stack([somersault, last[:, 1], last[:, 2], extra - attempt.plan.code.half_twists, fastest], -1)


def _slopes(attempt: Attempt, turn: float, guesses: Array, step_s: float, whole: bool) -> tuple[Array, Array]:
    """Misses [B, 5] and the change of the first three per `_STEP` [B, 3, 5], for the quick body."""
    moved = np.repeat(guesses[:, None], 6, 1)
    moved[:, range(1, 6), range(5)] += 0.01 * _STEP
    found = _misses(attempt, turn, moved.reshape(-1, 5), step_s, whole).reshape(-1, 6, 5)
    return found[:, 0], np.swapaxes(found[:, 1:, :3] - found[:, :1, :3], 1, 2) / 0.01


def _limits(attempt: Attempt) -> tuple[Array, Array]:
    last = shape.latest(attempt.plan, attempt.flight_s, attempt.front)
    least, most = (
        [-MOST_MOMENTUM, 0.1, 0.0, 0.15, -1.15],
        [MOST_MOMENTUM, 1.0, 1.0, last + 0.01, 1.15],
    )
    return np.array(least), np.array(most)


def _newton_step(slope: Array, miss: Array, guess: Array, least: Array, most: Array) -> Array:
    """Smallest changes [B, 5] in units of `_STEP` that undo `miss` [B, 3], none more than 1, within the limits."""
    down, up = (least - guess) / _STEP, (most - guess) / _STEP
    free, fixed = np.ones_like(guess), np.zeros_like(guess)
    for _ in range(3):
        kept, left = slope * free[:, None], miss + np.einsum("bkc,bc->bk", slope, fixed)
        inner = kept @ np.swapaxes(kept, 1, 2) + 1e-4 * np.eye(3)
        step = fixed - np.einsum("bkc,bk->bc", kept, np.linalg.solve(inner, left[..., None])[..., 0])
        step = step / np.maximum(1, np.abs(step).max(1))[:, None]
        # What would leave its range goes to the end of it, and the others do the rest.
        out = (step < down) | (step > up)
        free, fixed = np.where(out, 0.0, free), np.where(out, np.clip(step, down, up), fixed)
    return np.asarray(np.clip(step, down, up))


def _improved(attempt: Attempt, turn: float, guesses: Array) -> Iterator[Array]:
    """Those of `guesses` [B, 5] from which a damped Gauss-Newton search with the quick body arrives, as they do."""
    least, most = _limits(attempt)
    shrink = np.array([1.0, 0.4, 0.1])
    for _ in range(10):
        miss, slope = _slopes(attempt, turn, guesses, SEARCH_STEP_S, whole=False)
        done = (np.abs(miss[:, :3]).max(1) < CLOSE) & (np.abs(miss[:, 3]) < 0.2)
        yield from guesses[done & (miss[:, 4] < MOST_TWIST_RAD_S)]
        guesses, miss, slope = guesses[~done], miss[~done, :3], slope[~done]
        if not len(guesses):
            return
        step = _newton_step(slope, miss, guesses, least, most)
        moved = guesses[:, None] + shrink[:, None] * (step * _STEP)[:, None]
        found = _misses(attempt, turn, moved.reshape(-1, 5), SEARCH_STEP_S, whole=False).reshape(len(guesses), -1, 5)
        size = np.linalg.norm(found[..., :3], axis=-1) + 5 * (np.abs(found[..., 3]) > 0.45)
        best, rows = size.argmin(1), np.arange(len(guesses))
        better = size[rows, best] < 0.97 * np.linalg.norm(miss, axis=1)
        guesses = moved[rows, best][better]
        if not len(guesses):
            return


def _corrected(attempt: Attempt, turn: float, guess: Array) -> Array | None:
    """`guess` [5] corrected for the body itself; None where it leads to another twist.

    First until both sides are alike again, then over the whole flight: a pike or a straight body that is not quite in
    its plane leaves it ever faster, so the entry is only right when the start is within a thousandth. The slopes are
    the quick body's, so each step costs one flight.
    """
    for whole, enough in ((False, 0.001), (True, TOLERANCE)):
        found = _settled(attempt, turn, guess, whole, enough)
        if found is None:
            return None
        guess = found
    return guess


def _settled(attempt: Attempt, turn: float, guess: Array, whole: bool, enough: float) -> Array | None:
    least, most = _limits(attempt)
    slope, share, step, miss = None, 1.0, np.zeros(5), np.full(3, np.inf)
    for _ in range(9):
        found = _misses(attempt, turn, (guess + share * step)[None], FINE_STEP_S, whole, exact=True)[0]
        if np.linalg.norm(found[:3]) > 0.9 * np.linalg.norm(miss):
            share *= 0.35
            continue
        guess, miss = guess + share * step, found[:3]
        if np.abs(miss).max() < enough:
            return guess if abs(found[3]) < 0.02 and found[4] < MOST_TWIST_RAD_S else None
        if slope is None or whole:
            slope = _slopes(attempt, turn, guess[None], FINE_STEP_S, whole)[1]
        step, share = _newton_step(slope, miss[None], guess[None], least, most)[0] * _STEP, 1.0
    return None
