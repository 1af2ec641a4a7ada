"""What the diver does in the air: when which joint moves where, from the take-off to the entry.

A twist is made by arms alone. One arm is lowered through the side while the other comes down in front or stays up: the
body tilts the other way, and a tilted somersault twists. To end it the arms open wide, which slows the twist, then one
goes up and the other down, and they come together in front. How far they go decides how much tilt
(M. R. Yeadon, "The biomechanics of twisting somersaults", J. Sports Sciences 11, 1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from training.synth.board import fading, smooth
from training.synth.code import DiveCode
from training.synth.plan import Plan
from training.synth.poses import ANGLES, ARM, COLUMN, KEY_POSES, vector

Array = npt.NDArray[Any]

THROW_S: Final = 0.24
"""Time in which an arm is thrown up or down."""
WRAP_S: Final = 0.14
"""Time in which straight arms are wrapped round the chest or stretched again."""
WIDE_S, WHEEL_S, WHEEL_DEG = 0.12, 0.2, 75.0
"""Times in which the arms are opened wide and then turned like a wheel at the end of a twist, and how far."""
JOIN_S: Final = 0.2
"""Time in which both arms come to the same place after the second throw."""
TOP_DEG, LOW_DEG, SIDE_DEG = 172.0, 15.0, 85.0
"""An arm up, an arm down, and the plane between in which it is thrown (0 forward, 90 the frontal plane)."""
SIDE_BEND_RAD: Final = np.deg2rad(20)
"""Sideways bend of the trunk at the second throw for a share of 1."""
WRAPPED_DEG: Final = {"arm_raise": 38, "arm_plane": -22, "elbow": 115, "arm_turn": -40}
OVER_DEG: Final = (("arm_raise", 38, 172), ("arm_plane", -22, 60), ("elbow", 115, 95), ("arm_turn", -40, 50))
"""Arms while the body twists: round the chest; for much tilt one stays up, bent over the head."""

SETTLE_S: Final = 0.16
"""Time in which the rates of the take-off have died out."""

POSES: Final = {
    **KEY_POSES,
    "ready": vector({"arm_raise": 172, "arm_plane": 10, "plantar": 60}),
    "tight_tuck": vector({
        "hip_flex": 124, "knee": 138, "trunk_flex": 52, "neck_flex": 30, "arm_raise": 18, "arm_plane": -5, "elbow": 85,
        "plantar": 45,
    }),
    "tight_pike": vector({
        "hip_flex": 130, "knee": 2, "trunk_flex": 60, "neck_flex": 25, "arm_raise": 62, "arm_plane": 8, "elbow": 20,
        "plantar": 60,
    }),
    "dished": vector({"arm_raise": 140, "hip_flex": 22, "trunk_flex": 12, "plantar": 60}),
    "dished_down": vector({"arm_raise": 40, "hip_flex": 22, "trunk_flex": 12, "plantar": 60}),
    "long": vector({"arm_raise": 20, "arm_plane": 55, "plantar": 60, "trunk_flex": -6}),
    "feet_entry": vector({"arm_raise": 6, "arm_plane": 75, "plantar": 60}),
}  # fmt: skip
_ARMS: Final = tuple(COLUMN[f"{side}_{name}"] for side in ("left", "right") for name in ARM)
_PLANES: Final = (COLUMN["left_arm_plane"], COLUMN["right_arm_plane"])
_REST: Final = tuple(column for column in range(len(ANGLES)) if column not in _ARMS)
_COMPACT: Final = {"B": "tight_pike", "C": "tight_tuck", "D": "tight_pike"}


@dataclass(frozen=True)
class Move:
    """Columns of the angles that go to `target` between two times of the flight, seconds."""

    start_s: float
    end_s: float
    columns: tuple[int, ...]
    target: tuple[float, ...]


class Throw(NamedTuple):
    """How arms make and end a twist: `size` of the first throw (up to 1 one arm goes down through the side and the
    other in front, up to 2 the other stays up); share of the flight `until` the arms open wide; how far the arm of the
    first throw then goes up and the other down (`back`, -1 to 1; up to 2 the
    other comes from above); how far the trunk bends sideways then (`side`).
    """

    size: float = 0.0
    until: float = 0.5
    back: float = 0.0
    side: float = 0.0


def _arm(side: str, **angles_deg: float) -> tuple[tuple[int, ...], tuple[float, ...]]:
    return tuple(COLUMN[f"{side}_{name}"] for name in angles_deg), tuple(np.deg2rad(list(angles_deg.values())))


class Script:
    """The moves of one flight of `flight_s` seconds, written from the take-off to the entry."""

    def __init__(self, plan: Plan, flight_s: float) -> None:
        self.plan, self.flight_s = plan, flight_s
        self.rng = np.random.default_rng(plan.seed) if plan.seed else None
        self.moves: list[Move] = []

    def noise(self, spread: float) -> float:
        """A small difference, normally distributed; none without a seed."""
        return float(self.rng.normal(0, spread)) if self.rng else 0.0

    def pose(self, start: float, end: float, name: str, joints: str = "all") -> None:
        """`joints` (all, arms, their planes or rest) to a pose between two shares of the flight, both sides alike."""
        target = POSES[name].copy()
        if name not in ("entry", "ready"):
            for column in ("trunk_flex", "neck_flex", "hip_flex", "knee", "arm_raise", "elbow"):
                shift = np.deg2rad(self.noise(3.0))
                for key in (column, f"left_{column}", f"right_{column}"):
                    if key in COLUMN:
                        target[COLUMN[key]] += shift
        columns = {"all": (*_ARMS, *_REST), "arms": _ARMS, "rest": _REST, "planes": _PLANES}[joints]
        self.moves.append(
            Move(start * self.flight_s, end * self.flight_s, columns, tuple(target[list(columns)].tolist()))
        )

    def arm(self, start_s: float, end_s: float, side: str, **angles_deg: float) -> None:
        """Angles of one arm, degrees."""
        self.moves.append(Move(start_s, end_s, *_arm(side, **angles_deg)))

    def both(self, start_s: float, end_s: float, aside: str, share: float, raise_deg: float, other_deg: float) -> None:
        """Straight arms to two heights, one in front, `aside` by `share` of the way to the frontal plane."""
        self.arm(start_s, end_s, aside, arm_raise=raise_deg, arm_plane=SIDE_DEG * share, elbow=0, arm_turn=0)
        self.arm(start_s, end_s, opposite(aside), arm_raise=other_deg, arm_plane=0, elbow=0, arm_turn=0)


def opposite(side: str) -> str:
    """The other of left and right."""
    return "right" if side == "left" else "left"


def _somersaulting(script: Script) -> None:
    code = script.plan.code
    last = "entry" if code.head_first else "feet_entry"
    halves = code.half_somersaults - (1 if code.armstand else 0)
    shift = script.noise(0.012)
    if code.position == "A":
        script.pose(0.0, 0.3 + shift, "long" if halves > 1 else "swan")
        script.pose(0.68 + shift, 0.93, last)
        return
    into, out = (0.24, min(0.76, 0.5 + 0.05 * halves)) if halves > 2 else (0.28, 0.5)
    start = 0.0
    if code.flying:
        script.pose(0.0, 0.2, "swan")
        start, into, out = 0.32, 0.48, 0.72
    script.pose(start, into + shift, _COMPACT[code.position])
    opened = min(out + 0.13, 0.9)
    script.pose(out + shift, opened + shift, "layout_arms_up" if code.head_first else "layout")
    script.pose(max(opened + shift, 0.84), 0.96, last)


def settled_after(flight_s: float) -> float:
    """Share of the flight from the start of the second throw until both sides of the body are alike again."""
    return (WIDE_S + WHEEL_S + JOIN_S) / flight_s


def _twisting(script: Script, throw: Throw) -> None:
    plan, whole = script.plan, script.flight_s
    first = "left" if plan.left_first else "right"
    aside, kept = min(throw.size, 1.0), max(throw.size - 1.0, 0.0)
    begin = thrown_at(plan)
    start, end = begin * whole, throw.until * whole
    script.pose(0.0, begin, "ready", "rest")
    script.both(0.0, start, first, aside, TOP_DEG, TOP_DEG)
    script.both(start, start + THROW_S, first, aside, LOW_DEG, LOW_DEG + kept * (TOP_DEG - LOW_DEG))
    over = {name: low + kept * (high - low) for name, low, high in OVER_DEG}
    script.arm(start + THROW_S, start + THROW_S + WRAP_S, first, **WRAPPED_DEG)
    script.arm(start + THROW_S, start + THROW_S + WRAP_S, opposite(first), **over)
    if throw.until >= 1:
        return
    # Both arms wide, so that the twist is slow while one goes up and the other down.
    turned, high = float(np.clip(throw.back, -1, 1)), float(np.clip(throw.back - 1, 0, 1))
    for side, sign, stays in ((first, 1.0, 0.0), (opposite(first), -1.0, high)):
        script.arm(
            end - WRAP_S, end, side, arm_raise=60 + stays * (TOP_DEG - 60), arm_plane=stays * SIDE_DEG, elbow=0,
            arm_turn=0,
        )  # fmt: skip
        script.arm(end, end + WIDE_S, side, arm_raise=90, arm_plane=SIDE_DEG)
        script.arm(end + WIDE_S, end + WIDE_S + WHEEL_S, side, arm_raise=90 + sign * WHEEL_DEG * turned)
    sideways = (COLUMN["trunk_side"],)
    script.moves.append(Move(end - WRAP_S, end + 0.04, sideways, (SIDE_BEND_RAD * throw.side,)))
    _after_twist(script, throw.until)


def _after_twist(script: Script, until: float) -> None:
    code = script.plan.code
    # A straight body that is not quite in its plane twists ever more; a slightly bent one does not.
    last, opened = ("entry", "dished") if code.head_first else ("feet_entry", "dished_down")
    next_pose = _COMPACT[code.position] if bends(code) else opened
    settled = until + settled_after(script.flight_s)
    script.pose(until + WIDE_S / script.flight_s, settled, next_pose, "rest")
    # The arms come together in front: to return through the side would undo the throw.
    closing = settled - JOIN_S / script.flight_s
    script.pose(closing, closing + 0.35 * JOIN_S / script.flight_s, next_pose, "planes")
    script.pose(closing + 0.3 * JOIN_S / script.flight_s, settled, next_pose, "arms")
    if bends(code):
        opening = max(settled, 0.74)
        script.pose(opening, max(opening + 0.15, 0.9), opened)
    script.pose(0.9, 1.0, last)


def untwisted_at(plan: Plan) -> tuple[float, float]:
    """Share of the flight at which the end of the twist usually begins, and at the latest."""
    return (0.42, 0.47) if bends(plan.code) else (0.52, 0.6)


def thrown_at(plan: Plan) -> float:
    """Share of the flight at which the twist is begun: early when there is much to twist."""
    return 0.13 if plan.code.half_twists < 4 else 0.08


def bends(code: DiveCode) -> bool:
    """Whether a pike or tuck comes after the twist, or all of the dive is straight."""
    halves = code.half_somersaults - code.armstand
    return code.position != "A" and halves >= 2 and not (code.position == "D" and halves <= 3 and code.half_twists > 2)


def angles(plan: Plan, first: Array, rates: Array, times: Array, flight_s: float, throw: Throw) -> Array:
    """Angles [T, A] at `times` after the take-off pose `first` [A] with `rates` [A]."""
    script = Script(plan, flight_s)
    if plan.code.half_twists:
        _twisting(script, throw)
    else:
        _somersaulting(script)
    at = first.copy()
    result = first + fading(times, SETTLE_S)[:, None] * rates
    for move in script.moves:
        columns, target = list(move.columns), np.array(move.target)
        share = smooth((times - move.start_s) / (move.end_s - move.start_s))
        result[:, columns] += share[:, None] * (target - at[columns])
        at[columns] = target
    return np.asarray(result)
