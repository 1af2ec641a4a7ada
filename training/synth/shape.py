"""What the diver does in the air: when which joint moves where, from the take-off to the entry.

A twist is made by arms alone. One arm is lowered through the side while the other comes down in front or stays up: the
body tilts the other way, and a tilted somersault twists. To end it the arms open wide, which slows the twist, then one
goes up and the other down, and they come together in front. How far they go decides how much tilt: most if an arm that
is lowered comes down in front, for through the side it would tilt the body the wrong way first
(M. R. Yeadon, "The biomechanics of twisting somersaults", J. Sports Sciences 11, 1993).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from flight.code import DiveCode
from training.synth.board import fading
from training.synth.plan import Plan
from training.synth.poses import ANGLES, ARM, COLUMN, KEY_POSES, vector

Array = npt.NDArray[Any]

LIMITS_RAD_S: Final = {
    "hip_flex": 13.0,
    "knee": 16.0,
    "trunk_flex": 8.0,
    "neck_flex": 8.0,
    "arm_raise": 16.0,
    "elbow": 20.0,
    "plantar": 16.0,
}
"""How fast joints turn at most: hips and knees as in the fastest jumps, arms as in free swings."""
PEAK: Final = 1.5
"""Peak rate of a move over its mean rate (`moved`)."""
THROWN_S: Final = 0.13
"""When the first throw begins: the arms are sideways then."""
WRAP_S: Final = 0.15
"""Time in which straight arms are wrapped round the chest or stretched again."""
LIFT_S, OPEN_S = 0.06, 0.07
"""What wrapping and stretching take longer in front: arms leave the side before they rise, and return to it late."""
BESIDE_S: Final = 0.1
"""When arms that are stretched in front begin to return to the side."""
JOIN_S: Final = 0.2
"""Time in which the arms go where the next pose has them after the second turn."""
WHEEL_DEG: Final = 78.0
"""How far each arm is from the horizontal when the wheel is turned by 1: one nearly up, the other nearly down."""
SIDE_DEG: Final = 85.0
"""The plane in which arms are thrown (0 forward, 90 the frontal plane)."""
WRAPPED_DEG: Final = {"arm_raise": 38, "arm_plane": -22, "elbow": 115, "arm_turn": -40}
REACHING_DEG: Final = {"arm_raise": 172, "arm_plane": 20, "elbow": 0, "arm_turn": 0}
"""Arms while the body twists: at the chest; overhead where it somersaults slowly, for that twists it most."""

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
    "steady_tuck": vector({
        "hip_flex": 112, "knee": 124, "trunk_flex": 38, "neck_flex": 25, "arm_raise": 38, "arm_plane": -5, "elbow": 50,
        "plantar": 45,
    }),
    "steady_pike": vector({
        "hip_flex": 122, "knee": 2, "trunk_flex": 42, "neck_flex": 25, "arm_raise": 80, "arm_plane": 0, "elbow": 6,
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
_LIMITS: Final = np.array([LIMITS_RAD_S.get(re.sub("^(left|right)_", "", name), np.inf) for name in ANGLES])
_VARIED: Final = ("trunk_flex", "neck_flex", "hip_flex", "knee", "arm_raise", "elbow")
_COMPACT: Final = {"B": "tight_pike", "C": "tight_tuck"}
_STEADY: Final = {"B": "steady_pike", "C": "steady_tuck", "D": "steady_pike"}
"""After a twist: a little open, so that the axis across is the one of the largest moment and nothing rolls on."""


@dataclass(frozen=True)
class Move:
    """Columns of the angles that go to `target` between two times of the flight, seconds."""

    start_s: float
    end_s: float
    columns: tuple[int, ...]
    target: tuple[float, ...]


class Throw(NamedTuple):
    """How arms make and end a twist by turning like a wheel in the frontal plane. Wheel 0: both arms sideways; 1: the
    first arm down and the other up.

    `size` of the first turn; how `high` the arms are then, from 0 at the chest to 1 overhead; share of the flight
    `until` the arms unwrap; `back` is the second turn, with sign: as the first where the number of half twists is odd
    (the body looks the other way then), against it where it is even. `front`: between the wheel and the chest the arms
    go in front of the body, which leaves a tilt that the same way through the side takes back.
    """

    size: float = 0.0
    high: float = 0.0
    until: float = 2.0
    back: float = 0.0
    front: bool = False


def _arm(side: str, **angles_deg: float) -> tuple[tuple[int, ...], tuple[float, ...]]:
    return tuple(COLUMN[f"{side}_{name}"] for name in angles_deg), tuple(np.deg2rad(list(angles_deg.values())))


class Script:
    """The moves of one flight of `flight_s` seconds, written from the take-off to the entry."""

    def __init__(self, plan: Plan, flight_s: float) -> None:
        self.plan, self.flight_s = plan, flight_s
        self.rng = np.random.default_rng(plan.seed) if plan.seed else None
        self.moves: list[Move] = []
        self.shift = {name: np.deg2rad(self.noise(3.0)) for name in _VARIED}

    def noise(self, spread: float) -> float:
        """A small difference, normally distributed; none without a seed."""
        return float(self.rng.normal(0, spread)) if self.rng else 0.0

    def pose(self, start: float, end: float, name: str, joints: str = "all") -> None:
        """`joints` (all, arms, their planes or rest) to a pose between two shares of the flight, both sides alike."""
        target = POSES[name].copy()
        if name not in ("entry", "ready"):
            for column, shift in self.shift.items():
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

    def wheel(
        self, start_s: float, end_s: float, first: str, at: float, beside_s: tuple[float, float] | None = None
    ) -> None:
        """Straight arms in the frontal plane, the wheel turned to `at`; `beside_s`: they reach that plane between these
        times instead.
        """
        for side, sign in ((first, -1.0), (opposite(first), 1.0)):
            raised = {"arm_raise": 90 + sign * WHEEL_DEG * at, "elbow": 0.0, "arm_turn": 0.0}
            if beside_s:
                self.arm(start_s, end_s, side, **raised)
                self.arm(*beside_s, side, arm_plane=SIDE_DEG)
            else:
                self.arm(start_s, end_s, side, arm_plane=SIDE_DEG, **raised)


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


def wheel_s(turn: float) -> float:
    """Seconds that a turn of the wheel takes."""
    return max(0.1, float(PEAK * np.deg2rad(WHEEL_DEG) * abs(turn) / LIMITS_RAD_S["arm_raise"]))


def opened_s(throw: Throw) -> float:
    """Seconds from the unwrapping of the arms until they are straight and beside the body."""
    return WRAP_S + (OPEN_S if throw.front else 0.0)


def settled_s(throw: Throw) -> float:
    """Seconds from the unwrapping of the arms until both sides of the body are alike again."""
    return opened_s(throw) + wheel_s(throw.back)


def _twisting(script: Script, throw: Throw) -> None:
    plan, whole = script.plan, script.flight_s
    first = "left" if plan.left_first else "right"
    begin = THROWN_S
    script.pose(0.0, begin / whole, "ready", "rest")
    script.wheel(0.0, begin, first, 0.0)
    thrown = begin + wheel_s(throw.size)
    script.wheel(begin, thrown, first, throw.size)
    for side in ("left", "right"):
        kept = {name: low + throw.high * (REACHING_DEG[name] - low) for name, low in WRAPPED_DEG.items()}
        lift = thrown
        if throw.front:
            script.arm(thrown, thrown + WRAP_S, side, arm_plane=kept.pop("arm_plane"))
            lift += LIFT_S
        script.arm(lift, lift + WRAP_S, side, **kept)
    if throw.until >= 1:
        return
    end = throw.until * whole
    # The second turn ends with both arms sideways.
    opened = end + opened_s(throw)
    turned = opened + wheel_s(throw.back)
    if throw.front:
        script.wheel(end, end + WRAP_S, first, -throw.back, beside_s=(end + BESIDE_S, opened))
    else:
        script.wheel(end, opened, first, -throw.back)
    script.wheel(opened, turned, first, 0.0)
    _after_twist(script, throw, turned)


def _after_twist(script: Script, throw: Throw, turned: float) -> None:
    code, whole = script.plan.code, script.flight_s
    # A straight body that is not quite in its plane twists ever more; a slightly bent one does not.
    last, opened = ("entry", "dished") if code.head_first else ("feet_entry", "dished_down")
    next_pose = _STEADY[code.position] if bends(code) else opened
    bent = turned - 0.4 * wheel_s(throw.back)
    script.pose(bent / whole, (bent + 0.24) / whole, next_pose, "rest")
    script.pose(turned / whole, (turned + JOIN_S) / whole, next_pose, "arms")
    if bends(code):
        opening = max((bent + 0.26) / whole, 0.74)
        script.pose(opening, opening + 0.22 / whole, opened)
        script.pose(max(0.9, opening + 0.16 / whole), 1.0, last)
    else:
        script.pose(0.88, 1.0, last)


def latest(plan: Plan, flight_s: float, front: bool) -> float:
    """Share of the flight at which the arms unwrap at the latest: time for a pike must be left, or for the entry."""
    left = (0.8 if front else 0.72) if bends(plan.code) else 0.56 if front else 0.3
    return 1 - left / flight_s


def wrapped_s(throw: Throw) -> float:
    """Seconds from the take-off until the first turn of the wheel is done and the arms are at the chest."""
    return THROWN_S + wheel_s(throw.size) + WRAP_S + (LIFT_S if throw.front else 0.0)


def bends(code: DiveCode) -> bool:
    """Whether a pike or tuck comes after the twist, or all of the dive is straight."""
    halves = code.half_somersaults - code.armstand
    return code.position != "A" and halves >= (4 if code.position == "D" else 2)


def angles(plan: Plan, first: Array, rates: Array, times: Array, flight_s: float, throw: Throw) -> Array:
    """Angles [T, A] at `times` after the take-off pose `first` [A] with `rates` [A]."""
    script = Script(plan, flight_s)
    if plan.code.half_twists:
        _twisting(script, throw)
    else:
        _somersaulting(script)
    at = first.copy()
    begun, lengths, changes = [], [], np.zeros((len(script.moves), len(first)))
    for k, move in enumerate(script.moves):
        columns, target = list(move.columns), np.array(move.target)
        changes[k, columns] = target - at[columns]
        begun.append(move.start_s)
        lengths.append(max(move.end_s - move.start_s, PEAK * float(np.abs(changes[k] / _LIMITS).max())))
        at[columns] = target
    ways = moved((times[:, None] - np.array(begun)) / np.array(lengths))
    return np.asarray(first + fading(times, SETTLE_S)[:, None] * rates + ways @ changes)


def moved(share: Array) -> Array:
    """0 to 1 with speed and acceleration zero at both ends, at an even rate between the first and last third."""
    share = np.minimum(np.maximum(share, 0), 1)
    ease = np.minimum(share, 1 - share) * 3
    # The rate rises as 3 u^2 - 2 u^3 over the first third and falls the same way over the last.
    begun = np.minimum(ease, 1)
    way = PEAK / 3 * (begun * begun * begun * (1 - begun / 2) + ease - begun)
    return np.asarray(np.where(share < 0.5, way, 1 - way))
