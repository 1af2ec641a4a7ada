"""What is searched for a dive: the angular momentum and the throws of the arms that lead to the planned entry.

Once both sides of the body are alike again and the somersault axis of the body lies along the angular momentum, the
rest of the dive stays in its plane. So a twist is solved when the two components of the angular momentum across that
axis vanish after the second throw; its time and its size do that, while the size of the first throw decides how fast
the body twists (M. R. Yeadon, "The biomechanics of twisting somersaults", J. Sports Sciences 11, 1993).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.synth import shape
from training.synth.code import DiveError
from training.synth.flight import SEARCH_STEP_S, Attempt, rolling
from training.synth.plan import Plan
from training.synth.shape import Throw

Array = npt.NDArray[Any]

MOST_MOMENTUM: Final = 1.6
"""Angular momentum per unit of mass, m2/s, that no diver exceeds (about 100 kg m2/s at 65 kg)."""
SIZES: Final = (1.0, 1.25, 1.5, 1.75, 2.0)
"""Sizes of the first throw that are tried."""
DRAWS: Final = 60
"""Second throws drawn for each of them; one is worth a search if it leaves less than this across the axis."""
WORTH: Final = 0.4
BEFORE_END_RAD: Final = 1.5
"""How far the body usually twists during the second throw."""
TOLERANCE: Final = 0.003
"""What may remain: share of the angular momentum across the somersault axis, and somersault in radians."""
_STEP: Final = np.array([0.15, 0.2, 0.03, 0.3, 0.4])
"""How far a search step may go: angular momentum and throw."""


def wanted_turn(plan: Plan, start: Array) -> float:
    """Angle about y still to turn from the attitude `start` [3, 3] to the entry, radians."""
    stood = np.pi if plan.code.armstand else 0.0
    lean = float(np.arctan2(start[0, 2], start[2, 2])) - stood
    lean = float((lean + np.pi) % (2 * np.pi) - np.pi)
    sign = 1.0 if plan.code.turns_outward else -1.0
    return sign * (np.pi * plan.code.half_somersaults - plan.short_rad) - lean


def solved(attempt: Attempt) -> tuple[float, Throw]:
    """Angular momentum and throw that bring the diver into the water as planned. Raises DiveError if none does."""
    plan = attempt.plan
    turn = wanted_turn(plan, attempt.off.turn)
    momentum = _planar(attempt, turn, Throw(until=shape.untwisted_at(plan)[0]))
    if not plan.code.half_twists:
        return momentum, Throw()
    for start in _starts(attempt, momentum):
        found = _newton(attempt, turn, start)
        if found is not None:
            return float(found[0]), Throw(*found[1:].tolist())
    raise _refuse(plan, "no throw of the arms makes this twist in the time")


def _refuse(plan: Plan, why: str) -> DiveError:
    return DiveError(f"dive {plan.code} from {plan.height_m:g} m: {why}")


def _planar(attempt: Attempt, turn: float, throw: Throw) -> float:
    """Angular momentum that turns the body by `turn` if nothing tilts, by the secant method."""
    side = float(np.sign(attempt.off.turn[1, 0]))
    first, second = 0.0, float(np.sign(turn)) * 0.06 * abs(turn)
    before = attempt.planar(first, throw, side) - turn
    for _ in range(8):
        miss = attempt.planar(second, throw, side) - turn
        if abs(miss) < TOLERANCE:
            break
        first, before, second = second, miss, second - miss * (second - first) / (miss - before)
    if abs(second) > MOST_MOMENTUM or abs(miss) > 0.1:
        raise _refuse(attempt.plan, "no take-off turns so fast here")
    return second


def _starts(attempt: Attempt, momentum: float) -> Iterator[Array]:
    """Points [5] to search from, angular momentum and throw; those first whose twist is in time."""
    plan, found = attempt.plan, []
    wanted = np.pi * plan.code.half_twists
    usual, latest = shape.untwisted_at(plan)
    for size in SIZES:
        times, turns = attempt.turns(momentum, Throw(size, 2.0), latest * attempt.flight_s)
        twist = rolling(turns)[1]
        twist = np.abs(twist - twist[0])
        late = abs(float(np.interp(usual * attempt.flight_s, times, twist)) + BEFORE_END_RAD - wanted)
        found.append((late, size, times, turns, twist))
    for _, size, times, turns, twist in sorted(found, key=lambda row: row[0])[:6]:
        yield from _scan(attempt, momentum, size, times, turns, twist)


def _scan(attempt: Attempt, momentum: float, size: float, times: Array, turns: Array, twist: Array) -> list[Array]:
    """Second throws drawn at many times, at most four, that leave least across the somersault axis."""
    whole = attempt.flight_s
    wanted = np.pi * attempt.plan.code.half_twists
    first = shape.thrown_at(attempt.plan) * whole + shape.THROW_S + shape.WRAP_S
    able = np.flatnonzero((twist > wanted - 6.5) & (twist < wanted + 0.5) & (times > first))
    rng = np.random.default_rng(attempt.plan.seed)
    found = []
    for at in rng.choice(able, DRAWS) if len(able) else ():
        begin = int(np.searchsorted(times, times[at] - shape.WRAP_S)) - 1
        throw = Throw(size, float(times[at] / whole), float(rng.uniform(-1, 2)), float(rng.uniform(-0.5, 0.5)))
        end = times[at] + shape.settled_after(whole) * whole
        _, after = attempt.turns(momentum, throw, end, times[begin], turns[begin])
        missed = float(np.hypot(after[-1, 1, 1], after[-1, 1, 2]))
        if missed < WORTH:
            turned = rolling(np.concatenate([turns[: begin + 1], after[1:]]))[1]
            if abs(abs(turned[-1] - turned[0]) - wanted) < 0.6:
                found.append((missed, np.array([momentum, *throw])))
    return [start for _, start in sorted(found, key=lambda pair: pair[0])[:4]]


def _misses(attempt: Attempt, turn: float, guess: Array, step_s: float) -> tuple[Array, Array]:
    """Somersault too much and the angular momentum's share along back and length [3], with the attitudes [T, 3, 3];
    `guess` [5]: angular momentum and throw.
    """
    momentum, throw = float(guess[0]), Throw(*guess[1:].tolist())
    settled = (throw.until + shape.settled_after(attempt.flight_s)) * attempt.flight_s
    _, turns = attempt.turns(momentum, throw, settled, step_s=step_s)
    somersault = rolling(turns)[0]
    lean = np.arctan2(turns[0, 0, 2], turns[0, 2, 2])
    rest = attempt.planar(momentum, throw, float(np.sign(turns[-1, 1, 0])), settled)
    return np.array([somersault[-1] - lean + rest - turn, turns[-1, 1, 1], turns[-1, 1, 2]]), turns


def _newton(attempt: Attempt, turn: float, guess: Array) -> Array | None:
    """Damped Gauss-Newton search from `guess` [5], smallest changes first; None where it leads to another twist."""
    most = np.array([MOST_MOMENTUM, 2.0, shape.untwisted_at(attempt.plan)[1], 2.0, 1.2])
    least = np.array([-MOST_MOMENTUM, 0.0, shape.thrown_at(attempt.plan) + 0.2, -1.1, -1.2])
    step_s, miss, turns = SEARCH_STEP_S, *_misses(attempt, turn, guess, SEARCH_STEP_S)
    for _ in range(16):
        if np.abs(miss).max() < TOLERANCE:
            if step_s < SEARCH_STEP_S:
                break
            step_s /= 3  # what is left is refined in short steps
            miss, turns = _misses(attempt, turn, guess, step_s)
            continue
        columns = []
        for k, size in enumerate(_STEP):
            moved = guess.copy()
            moved[k] += 0.01 * size
            columns.append((_misses(attempt, turn, moved, step_s)[0] - miss) / 0.01)
        slope = np.stack(columns, -1)
        step = -slope.T @ np.linalg.solve(slope @ slope.T + 1e-4 * np.eye(3), miss)
        step *= _STEP / max(1.0, float(np.abs(step).max()))
        for shrink in (1.0, 0.5, 0.25, 0.1, 0.04):
            moved = np.clip(guess + shrink * step, least, most)
            found, moved_turns = _misses(attempt, turn, moved, step_s)
            if np.linalg.norm(found) < np.linalg.norm(miss):
                break
        else:
            return None
        guess, miss, turns = moved, found, moved_turns
    twist = rolling(turns)[1]
    right = abs(abs(twist[-1] - twist[0]) - np.pi * attempt.plan.code.half_twists) < 0.1
    return guess if right and step_s < SEARCH_STEP_S and np.abs(miss).max() < 2 * TOLERANCE else None
