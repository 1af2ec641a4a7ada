"""Dives with exact truth: board, ballistic flight with constant angular momentum, entry, a moment under water.

World: metres, z up, origin at the edge of the board or platform, x away from it over the water, y to the left of a
diver who looks along x. In flight the centre of gravity falls freely (g = 9.81 m/s2, no drag) and the body turns so
that the angular momentum of its moving segments stays what it was at take-off. Key poses decide the shape, physics
decides the turning; only the take-off and the arms of a twist are searched for (`flight`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from flight import mass
from flight.code import DiveCode, DiveError
from training.synth import aim, water
from training.synth.board import Board, Shape, contact, ringing, take_off
from training.synth.flight import GRAVITY_M_S2, Attempt, Flight, spaced
from training.synth.plan import HEIGHTS_M, Plan, random_plan
from training.synth.shape import Throw

__all__ = ["GRAVITY_M_S2", "Dive", "DiveCode", "DiveError", "Plan", "random_dive", "random_plan", "simulate"]

Array = npt.NDArray[Any]

STEP_HZ: Final = 250
BOARD_LENGTH_M: Final = 4.8
HEAD_CLEAR_M, BODY_CLEAR_M = 0.4, 0.15
"""How far head and body stay from the board while they fall past it; the speed out is raised until they do."""
OUTWARD: Final = 6
"""How often it is raised at most."""
HAND_M: Final = 0.17
FOOT_M: Final = 0.2
"""From wrist to fingertips and from ankle to toes, in line with forearm and shank: they meet the water first."""


@dataclass(frozen=True)
class Dive:
    """One dive sampled at `rate_hz`.

    `t_s` [T]; `joints_world_m` [T, 17, 3]; `turn` [T, 3, 3] world from canonical body; `angles` [T, A] the pose;
    `centre_world_m` [T, 3]; `phase` [T] stand, crouch (armstands: armstand), push, flight, entry or under;
    `board_tip_m` [T] height of the board's tip; `events_s` take_off, apex, splash (fingertips or toes), entry (wrists
    or ankles touch the water), under (everything below it); `momentum` [3] angular momentum in flight per unit of
    mass, m2/s; `throw` how the arms made the twist; `plan` what was attempted.
    """

    rate_hz: float
    t_s: Array
    joints_world_m: Array
    turn: Array
    angles: Array
    centre_world_m: Array
    phase: list[str]
    board_tip_m: Array
    events_s: dict[str, float]
    momentum: Array
    throw: Throw
    plan: Plan

    @classmethod
    def from_code(
        cls, text: str, height_m: float, shape: Shape, rate_hz: float = 50.0, seed: int | None = None
    ) -> Dive:
        """The dive of a number such as 107C, 5253B or 626C. Raises DiveError, one line, when it cannot be made."""
        return simulate(Plan.of(text, height_m, seed), shape, rate_hz)

    @property
    def code(self) -> DiveCode:
        """The dive's number."""
        return self.plan.code


def random_dive(rng: np.random.Generator, shape: Shape, rate_hz: float = 50.0) -> Dive:
    """A dive of any group that can be made; attempts that no throw of the arms solves soon are drawn again."""
    while True:
        try:
            return _dived(_attempt(random_plan(rng), shape), rate_hz, thorough=False)
        except DiveError:
            continue


def simulate(plan: Plan, shape: Shape, rate_hz: float = 50.0, thorough: bool = True) -> Dive:
    """The dive of `plan` by a body whose joints follow from angles by `shape`, sampled at `rate_hz`. Without `thorough`
    a twist is refused sooner: for plans drawn at random, which can be drawn again.

    Raises DiveError when no take-off or throw of the arms makes it; it names a height from which one does.
    """
    attempt = _attempt(plan, shape)
    try:
        return _dived(attempt, rate_hz, thorough)
    except DiveError as error:
        raise DiveError(f"{error}; {_elsewhere(plan, attempt.quick, thorough)}") from None


def _dived(attempt: Attempt, rate_hz: float, thorough: bool) -> Dive:
    """The dive, with a faster run-out where it would pass the board too close."""
    dived = _once(attempt, rate_hz, thorough)
    for _ in range(OUTWARD):
        if _safe(dived):
            return dived
        further = replace(attempt.plan, speed_out_m_s=attempt.plan.speed_out_m_s + 0.15)
        attempt = _attempt(further, attempt.shape, dived.throw.front)
        dived = _once(attempt, rate_hz, thorough)
    return dived


def off_board_m(joints: Array) -> Array:
    """Distance [T, J] of joints [T, J, 3] from the line along the middle of the board."""
    beyond = np.maximum(joints[..., 0], 0) + np.maximum(-BOARD_LENGTH_M - joints[..., 0], 0)
    return np.asarray(np.hypot(beyond, joints[..., 2]))


def _safe(dived: Dive) -> bool:
    falling = (dived.t_s >= dived.events_s["apex"]) & (dived.t_s <= dived.events_s["entry"])
    off = off_board_m(dived.joints_world_m[falling])
    return bool(off[:, 9:11].min() >= HEAD_CLEAR_M and off.min() >= BODY_CLEAR_M)


def _once(attempt: Attempt, rate_hz: float, thorough: bool) -> Dive:
    plan, every = attempt.plan, max(1, round(STEP_HZ / rate_hz))
    step = 1 / (rate_hz * every)
    momentum, throw = aim.solved(attempt, thorough)
    body_shape = spaced(attempt.shape, attempt.quick, step)
    board = contact(plan, body_shape, attempt.body, attempt.off, momentum, step)
    flown = attempt.fly(momentum, throw, step)
    return _joined(plan, attempt.body, board, flown, throw, rate_hz, every)


def _attempt(plan: Plan, shape: Shape, front: bool = False) -> Attempt:
    body = mass.points(plan.female)
    return Attempt(plan, shape, body, take_off(plan, shape, body), front)


def _elsewhere(plan: Plan, shape: Shape, thorough: bool) -> str:
    """Which greater height would do for this dive, if any."""
    for height in HEIGHTS_M:
        if height > plan.height_m:
            try:
                aim.solved(_attempt(Plan.of(str(plan.code), height, female=plan.female), shape), thorough)
            except DiveError:
                continue
            return f"{height:g} m would do"
    return "none was found from a greater height either"


def tips(joints: Array) -> Array:
    """Fingertips and toes [..., 4, 3] of joints [..., 17, 3], as far as a straight hand and a pointed foot reach."""
    found = []
    for upper, lower, length in ((12, 13, HAND_M), (15, 16, HAND_M), (5, 6, FOOT_M), (2, 3, FOOT_M)):
        along = joints[..., lower, :] - joints[..., upper, :]
        found.append(joints[..., lower, :] + length * along / np.linalg.norm(along, axis=-1, keepdims=True))
    return np.stack(found, -2)


def _first_below(height: Array, level: float, times: Array) -> tuple[int, float]:
    """First index at which `height` [T] is below `level`, and the time of the crossing between two steps."""
    below = np.flatnonzero(height < level)
    if not len(below) or below[0] == 0:
        raise DiveError("the diver does not reach the water; check height and speed")
    k = int(below[0])
    share = (height[k - 1] - level) / (height[k - 1] - height[k])
    return k, float(times[k - 1] + share * (times[k] - times[k - 1]))


def _joined(
    plan: Plan, body: mass.Points, board: Board, flown: Flight, throw: Throw, rate_hz: float, every: int
) -> Dive:
    step = 1 / (rate_hz * every)
    level = -plan.height_m
    end, entry_s = _first_below(flown.joints[:, :, 2].min(1), level, flown.times_s)
    _, splash_s = _first_below(tips(flown.joints)[..., 2].min(1), level, flown.times_s)
    spin = (flown.turn[end] @ flown.turn[end - 1].T - np.eye(3)) / step
    rate = np.array([spin[2, 1], spin[0, 2], spin[1, 0]])
    speed = flown.velocity - np.array([0, 0, GRAVITY_M_S2 * flown.times_s[end]])
    count = round((plan.under_s + 0.35) / step)
    places, turns, sunk = water.sink(body, flown.joints[end], speed, rate, level, count, step)

    air = slice(1, end + 1)
    joints = np.concatenate([board.joints, flown.joints[air], sunk])
    centre = np.concatenate([body.centre(board.joints), flown.centre[air], places])
    turn = np.concatenate([board.turn, flown.turn[air], turns @ flown.turn[end]])
    angles = np.concatenate([board.angles, flown.angles[air], np.repeat(flown.angles[end : end + 1], count, 0)])
    off = len(board.joints) - 1
    tip = np.concatenate([board.tip, ringing(board.speed_tip_m_s, np.arange(1, len(joints) - off) * step)])
    dry = np.flatnonzero(joints[:, :, 2].max(1) > level)
    under = min(int(dry[-1]) + 1, len(joints) - 1)
    phase = board.phase + ["flight"] * end + ["entry"] * max(0, under - off - end - 1)
    phase += ["under"] * (len(joints) - len(phase))
    start = off * step
    events = {
        "take_off": start, "apex": start + max(0.0, plan.speed_up_m_s / GRAVITY_M_S2), "splash": start + splash_s,
        "entry": start + entry_s, "under": under * step,
    }  # fmt: skip
    # The time axis starts so that the take-off falls on a frame of the fine grid, not necessarily of the coarse one.
    take = np.arange(0, len(joints), every)
    return Dive(
        rate_hz, take * step, joints[take], turn[take], angles[take], centre[take], [phase[k] for k in take],
        tip[take], events, np.array([0.0, flown.momentum, 0.0]), throw, plan,
    )  # fmt: skip
