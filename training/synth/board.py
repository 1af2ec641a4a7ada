"""The diver before the flight: stand or armstand, crouch or lean, and the push, on a springboard or platform.

The last instant is found first: feet (or hands) stay where they are, so the speed of the centre of gravity and the
angular momentum are linear in the rates of the joints, the lean and the board. The smallest rates that give the wanted
ones are taken, and the motion before leads up to them, so nothing jumps at the take-off.
World as in `training.synth.dive`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from flight import mass
from training.synth.plan import SPRINGBOARDS_M, Plan
from training.synth.poses import ANGLES, COLUMN, KEY_POSES, vector
from training.synth.retarget import about

Array = npt.NDArray[Any]
Shape = Callable[[Array], Array]
"""Poses as angles [T, len(ANGLES)] to joints [T, 17, 3], metres, canonical frame (see `poses`)."""

FACING: Final = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
"""Turns the canonical athlete (faces -y) towards +x."""
BALL_X_M: Final = -0.04
BALANCE_M: Final = 0.02
"""How far the centre of gravity is kept over the water side of the support while standing."""
ANKLE_HEIGHT_M: Final = 0.08
BALL_AHEAD_M: Final = 0.13
"""Distance from ankle to the ball of the foot along the sole."""
WRIST_HEIGHT_M: Final = 0.06
WRIST_X_M: Final = -0.12

_OFF: Final = {
    "bent": {"hip_flex": 52, "knee": 42, "trunk_flex": 16, "arm_raise": 125, "arm_plane": 25, "elbow": 10,
             "plantar": 30},
    "arched": {"hip_flex": 4, "knee": 34, "trunk_flex": -6, "arm_raise": 145, "arm_plane": 25, "plantar": 30,
               "neck_flex": -12},
    "armstand": {"hip_flex": 8, "arm_raise": 172, "arm_plane": 25, "plantar": 60, "neck_flex": -25, "elbow": 4},
}  # fmt: skip
"""Last poses on the board: bent when trunk and arms turn forward, arched when they turn backward."""
_AHEAD_M: Final = {"bent": 0.16, "arched": 0.15, "armstand": 0.26}
_FREE: Final = (
    ("hip_flex", 7.0, -3.0),
    ("knee", 7.0, -7.0),
    ("trunk_flex", 5.0, 0.0),
    ("arm_raise", 7.0, 4.0),
    ("plantar", 9.0, 6.0),
)
_FREE_ARMSTAND: Final = (
    ("hip_flex", 6.0, 0.0),
    ("knee", 1.0, 0.0),
    ("trunk_flex", 4.0, 0.0),
    ("arm_raise", 5.0, 0.0),
    ("elbow", 4.0, -1.0),
)
"""Joints that push: name, how freely (rad/s), rate it would have anyway."""


def smooth(share: Array) -> Array:
    """0 to 1 with speed and acceleration zero at both ends (quintic), of `share` clipped to 0-1."""
    share = np.clip(share, 0, 1)
    return share**3 * (10 - 15 * share + 6 * share * share)


def fading(times: Array, length_s: float) -> Array:
    """A way that starts at 0 with speed 1 and returns to 0 within `length_s`, smoothly."""
    return np.asarray(times * np.clip(1 - times / length_s, 0, 1) ** 3)


@dataclass(frozen=True)
class TakeOff:
    """The last instant of contact, affine in the angular momentum wanted: `rates` [2 + A] = base + per_unit * L.

    `angles` [A], `lean_rad`, `turn` [3, 3], `joints` [17, 3] in the world. Rates: lean, angles, height of the board.
    """

    angles: Array
    lean_rad: float
    turn: Array
    joints: Array
    base: Array
    per_unit: Array

    def rates(self, momentum: float) -> Array:
        """Rates [2 + A]: lean, angles and height of the board's tip per second."""
        return np.asarray(self.base + momentum * self.per_unit)


@dataclass(frozen=True)
class Board:
    """The time before the flight: `angles` [T, A], `turn` [T, 3, 3], `joints` [T, 17, 3] in the world, height `tip`
    [T] of the board's tip, `phase` per frame, `speed_tip_m_s` at the last instant.
    """

    angles: Array
    turn: Array
    joints: Array
    tip: Array
    phase: list[str]
    speed_tip_m_s: float


def kind(plan: Plan) -> str:
    """Which last pose: bent, arched or armstand."""
    return "armstand" if plan.code.armstand else "bent" if plan.code.base in (1, 4) else "arched"


def _upright(plan: Plan) -> Array:
    """Rotation [3, 3] of the canonical body before any lean."""
    half_turn = np.diag([-1.0, -1, 1])
    turn = FACING if plan.code.faces_water else half_turn @ FACING
    return np.diag([1.0, -1, -1]) @ turn if plan.code.armstand else turn


def _turns(plan: Plan, lean: Array) -> Array:
    return about(np.broadcast_to(np.array([0.0, 1, 0]), (len(lean), 3)), lean) @ _upright(plan)


def _placed(plan: Plan, shape: Shape, angles: Array, lean: Array, tip: Array) -> Array:
    """World joints [T, 17, 3] of bodies whose feet (or hands) are on the board, whose tip is at height `tip` [T]."""
    world = np.einsum("tij,tkj->tki", _turns(plan, lean), shape(angles))
    zero = np.zeros(len(tip))
    if plan.code.armstand:
        held = (world[:, 13] + world[:, 16]) / 2
        place = np.stack([zero + WRIST_X_M, zero, tip + WRIST_HEIGHT_M], -1)
    else:
        side = 1.0 if plan.code.faces_water else -1.0
        held = (world[:, 3] + world[:, 6]) / 2
        shank = held - (world[:, 2] + world[:, 5]) / 2
        pitch = np.clip(np.arctan2(-side * shank[:, 0], -shank[:, 2]) + angles[:, COLUMN["plantar"]], 0, None)
        # The ball of the foot stays where it is; ankle and heel turn about it.
        up = ANKLE_HEIGHT_M * np.cos(pitch) + BALL_AHEAD_M * np.sin(pitch)
        place = np.stack([BALL_X_M - side * BALL_AHEAD_M * np.cos(pitch), zero, tip + up], -1)
    return np.asarray(world + (place - held)[:, None])


def _balanced(plan: Plan, shape: Shape, body: mass.Points, angles: Array, ahead_m: Array) -> Array:
    """Lean [T] in radians that puts the centre of gravity `ahead_m` [T] beyond the support (towards the water)."""
    lean, tip = np.zeros(len(angles)), np.zeros(len(angles))
    support = WRIST_X_M if plan.code.armstand else BALL_X_M
    for _ in range(5):
        centre = body.centre(_placed(plan, shape, angles, lean, tip))
        miss = ahead_m - (centre[:, 0] - support)
        lean = lean + np.clip(miss / np.maximum(centre[:, 2], 0.3), -0.4, 0.4)
    return lean


def take_off(plan: Plan, shape: Shape, body: mass.Points) -> TakeOff:
    """The last instant on the board, for any angular momentum about y per unit of mass."""
    what = kind(plan)
    angles = vector({key: float(value) for key, value in _OFF[what].items()})
    lean = float(_balanced(plan, shape, body, angles[None], np.array([_AHEAD_M[what]]))[0])
    free = _FREE_ARMSTAND if plan.code.armstand else _FREE
    ways = np.zeros((2 + len(free), 2 + len(ANGLES)))
    ways[0, 0] = ways[1, -1] = 1.0
    for row, (name, _, _) in enumerate(free, 2):
        columns = [COLUMN[key] for key in (name, f"left_{name}", f"right_{name}") if key in COLUMN]
        ways[row, [1 + column for column in columns]] = 1.0
    spring = plan.height_m in SPRINGBOARDS_M and not plan.code.armstand
    freedom = np.array([3.0, 2.0 if spring else 0.0, *(how for _, how, _ in free)])
    usual = np.array([0.0, 0.6 * plan.speed_up_m_s if spring else 0.0, *(rate for _, _, rate in free)])

    def placed(step: float) -> Array:
        at = step * ways
        return _placed(plan, shape, angles + at[:, 1:-1], lean + at[:, 0], at[:, -1])

    step = 1e-4
    speed = (placed(step) - placed(-step)) / (2 * step)
    joints = placed(0.0)[0]
    points = body.from_joints @ (joints - body.centre(joints))
    centre = body.centre(speed)
    momentum = body.angular_momentum(points[None], body.from_joints @ (speed - centre[:, None]))
    effect = np.stack([centre[:, 0], centre[:, 2], momentum[:, 1]])
    gain = freedom[:, None] ** 2 * effect.T @ np.linalg.inv((effect * freedom**2) @ effect.T)
    rest = np.array([plan.speed_out_m_s, plan.speed_up_m_s, 0.0]) - effect @ usual
    turn = _turns(plan, np.array([lean]))[0]
    return TakeOff(angles, lean, turn, joints, (usual + gain @ rest) @ ways, gain[:, 2] @ ways)


def contact(plan: Plan, shape: Shape, body: mass.Points, off: TakeOff, momentum: float, step_s: float) -> Board:
    """Everything before the flight, leading up to the last instant `off` with its rates."""
    rates = off.rates(momentum)
    total = plan.stand_s + plan.crouch_s + plan.push_s
    times = total + step_s * np.arange(-round(total / step_s), 1)
    down = smooth((times - plan.stand_s) / plan.crouch_s)[:, None]
    left = total - times
    before = smooth(left / plan.push_s)
    if plan.code.armstand:
        first = low = vector({"arm_raise": 176, "arm_plane": 25, "plantar": 60, "neck_flex": -30, "elbow": 2})
        if plan.code.base == 3:
            low = vector({"hip_flex": 50, "arm_raise": 165, "arm_plane": 25, "plantar": 60, "neck_flex": -20})
    else:
        first, low = KEY_POSES["arms_up"], KEY_POSES["crouch"]
    rising = low + (first - low) * (1 - down)
    ready = _balanced(plan, shape, body, rising[::8], np.full(len(rising[::8]), BALANCE_M))
    ready = np.interp(times, times[::8], ready)
    ahead = -fading(left, plan.push_s)
    angles = off.angles + before[:, None] * (rising - off.angles) + ahead[:, None] * rates[1:-1]
    lean = off.lean_rad + before * (ready - off.lean_rad) + ahead * rates[0]
    tip = -plan.board_dip_m * down[:, 0] * before + ahead * rates[-1]
    names = ("armstand", "armstand", "push") if plan.code.armstand else ("stand", "crouch", "push")
    phase = np.where(times < plan.stand_s, names[0], np.where(left < plan.push_s, names[2], names[1])).tolist()
    joints = _placed(plan, shape, angles, lean, tip)
    return Board(angles, _turns(plan, lean), joints, tip, phase, float(rates[-1]))


def ringing(speed_tip_m_s: float, times: Array) -> Array:
    """The springboard swings on after the take-off with the speed it had (a platform stays), metres."""
    rate = 2 * np.pi * 3.2
    return np.asarray(speed_tip_m_s / rate * np.exp(-times / 0.3) * np.sin(rate * times))
