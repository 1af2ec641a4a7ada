"""What the diver does in the air: when which joint moves where, from the take-off to the entry.

A twist is made by arms alone. One arm is lowered through the side while the other comes down in front: the body tilts
the other way, and a tilted somersault twists. The arms are raised again, one through the side, when the body has come
around: the same arm after whole twists, the other one after half twists. How far to the side decides how much tilt
(M. R. Yeadon, "The biomechanics of twisting somersaults", J. Sports Sciences 11, 1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.synth.board import fading, smooth
from training.synth.plan import Plan
from training.synth.poses import ANGLES, ARM, COLUMN, KEY_POSES, vector

Array = npt.NDArray[Any]

THROW_S: Final = 0.24
"""Time in which an arm is thrown up or down."""
SWAP_S: Final = 0.16
"""Time before the second throw in which the arms are put where it starts."""
THROW_FROM: Final = 0.13
"""Share of the flight at which the first throw starts."""
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
    "long": vector({"arm_raise": 20, "arm_plane": 55, "plantar": 60, "trunk_flex": -6}),
    "feet_entry": vector({"arm_raise": 6, "arm_plane": 75, "plantar": 60}),
}  # fmt: skip
_COMPACT: Final = {"B": "tight_pike", "C": "tight_tuck", "D": "tight_pike"}


@dataclass(frozen=True)
class Move:
    """Columns of the angles that go to `target` between two times of the flight, seconds."""

    start_s: float
    end_s: float
    columns: tuple[int, ...]
    target: tuple[float, ...]


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

    def pose(self, start: float, end: float, name: str) -> None:
        """All joints to a pose between two shares of the flight, both sides alike."""
        target = POSES[name].copy()
        if name not in ("entry", "ready"):
            for column in ("trunk_flex", "neck_flex", "hip_flex", "knee", "arm_raise", "elbow"):
                shift = np.deg2rad(self.noise(3.0))
                for key in (column, f"left_{column}", f"right_{column}"):
                    if key in COLUMN:
                        target[COLUMN[key]] += shift
        self.moves.append(
            Move(start * self.flight_s, end * self.flight_s, tuple(range(len(ANGLES))), tuple(target.tolist()))
        )

    def arm(self, start_s: float, end_s: float, side: str, **angles_deg: float) -> None:
        """Angles of one arm, degrees."""
        self.moves.append(Move(start_s, end_s, *_arm(side, **angles_deg)))

    def wheel(self, start_s: float, down: str, up: str) -> None:
        """One arm down and the other up at the same time, as far to the side as they were set."""
        self.arm(start_s, start_s + THROW_S, down, arm_raise=15)
        self.arm(start_s, start_s + THROW_S, up, arm_raise=172)


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


def untwisted_at(plan: Plan) -> float:
    """Share of the flight at which the twist ends."""
    if plan.code.position == "A" or plan.code.half_somersaults - plan.code.armstand < 2:
        return 0.74
    return 0.44 + 0.03 * min(plan.code.half_twists, 6)


def _twisting(script: Script, tilt: float, untilt: float, until: float) -> None:
    plan, whole = script.plan, script.flight_s
    first, second = ("left", "right") if plan.left_first else ("right", "left")
    start, end = THROW_FROM * whole, until * whole
    script.pose(0.0, THROW_FROM, "ready")
    # One arm comes down in front before the throw; both then go round like a wheel.
    both = {COLUMN[f"{side}_{name}"] for side in ("left", "right") for name in ARM}
    script.moves[0] = _without(script.moves[0], both)
    script.arm(0.0, start, first, arm_raise=172, arm_plane=90 * tilt, elbow=0)
    script.arm(0.0, start, second, arm_raise=15, arm_plane=90 * tilt, elbow=0)
    script.wheel(start, first, second)
    _bent(script, start + THROW_S, end - SWAP_S, down=first, up=second)
    if until >= 1:
        return
    if plan.code.half_twists % 2:
        # After half a twist the same way round rights the body: the arms change places in front of it.
        script.arm(end - SWAP_S, end - 0.02, first, arm_raise=172, arm_plane=90 * untilt, elbow=0, arm_turn=0)
        script.arm(end - SWAP_S, end - 0.02, second, arm_raise=15, arm_plane=90 * untilt, elbow=0, arm_turn=0)
        script.wheel(end, first, second)
    else:
        script.arm(end - SWAP_S, end - 0.02, first, arm_plane=90 * untilt, elbow=0, arm_turn=0)
        script.arm(end - SWAP_S, end - 0.02, second, arm_plane=90 * untilt, elbow=0, arm_turn=0)
        script.wheel(end, second, first)
    done = until + THROW_S / whole
    last = "entry" if plan.code.head_first else "feet_entry"
    if plan.code.position != "A" and plan.code.half_somersaults - plan.code.armstand >= 2:
        script.pose(done, done + 0.1, _COMPACT[plan.code.position])
        script.pose(max(done + 0.11, 0.78), 0.9, "layout_arms_up" if plan.code.head_first else "layout")
        script.pose(0.9, 0.98, last)
    else:
        script.pose(done, 0.97, last)


def _bent(script: Script, start: float, end: float, down: str, up: str) -> None:
    """Arms close to the body while it twists: one across the chest, one bent over the head."""
    length = min(0.12, max(0.04, end - start))
    script.arm(start, start + length, down, arm_raise=38, arm_plane=-22, elbow=110, arm_turn=-40)
    script.arm(start, start + length, up, arm_plane=60, elbow=95, arm_turn=50)
    if script.plan.code.half_twists % 2 == 0:
        script.arm(end - 0.02, end, down, arm_raise=15)


def _without(move: Move, columns: set[int]) -> Move:
    kept = [(c, t) for c, t in zip(move.columns, move.target, strict=True) if c not in columns]
    return Move(move.start_s, move.end_s, tuple(c for c, _ in kept), tuple(t for _, t in kept))


def angles(plan: Plan, first: Array, rates: Array, times: Array, flight_s: float, throw: Array) -> Array:
    """Angles [T, A] at `times` after the take-off pose `first` [A] with `rates` [A]; `throw` [3]: how far through
    the side an arm goes at the start and the end of the twist (1 fully), and the share of the flight of the end.
    """
    script = Script(plan, flight_s)
    if plan.code.half_twists:
        _twisting(script, *(float(part) for part in throw))
    else:
        _somersaulting(script)
    at = first.copy()
    result = first + fading(times, SETTLE_S)[:, None] * rates
    for move in script.moves:
        columns, target = list(move.columns), np.array(move.target)
        share = smooth((times - move.start_s) / (move.end_s - move.start_s))
        result[:, columns] += share[:, None] * (target - at[columns])
        at[columns] = target
    return result
