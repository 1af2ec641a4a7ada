"""The diver before the flight: stand, crouch and push on a springboard or platform, in balance until the push.

World and body axes as in `training.synth.dive`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from training.synth import mass
from training.synth.poses import COLUMN, KEY_POSES, vector
from training.synth.retarget import about

Array = npt.NDArray[Any]
Shape = Callable[[Array], Array]
"""Poses as angles [T, len(ANGLES)] to joints [T, 17, 3], metres, canonical frame (see `poses`)."""

FACING: Final = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
"""Turns the canonical athlete (faces -y) towards +x."""
BALL_X_M: Final = -0.04
BALANCE_M: Final = 0.06
"""How far in front of the ankles the centre of gravity is kept while standing."""
ANKLE_HEIGHT_M: Final = 0.08
BALL_AHEAD_M: Final = 0.13
"""Distance from ankle to the ball of the foot along the sole."""

SPRING: Final = vector(
    {"hip_flex": 42, "knee": 12, "trunk_flex": 16, "arm_raise": 140, "arm_plane": 25, "elbow": 10, "plantar": 45}
)
"""The last pose on the board: hips still bent, so that trunk and arms already turn forward."""

Position = Literal["tuck", "pike", "straight", "twist"]


@dataclass(frozen=True)
class Plan:
    """What the diver attempts. `half_somersaults` odd for a head-first entry; forward, take-off facing the water."""

    position: Position = "tuck"
    half_somersaults: int = 3
    height_m: float = 3.0
    speed_up_m_s: float = 4.2
    speed_out_m_s: float = 1.15
    board_dip_m: float = 0.4
    stand_s: float = 0.35
    crouch_s: float = 0.5
    under_s: float = 0.45
    female: float = 0.0


def smooth(share: Array) -> Array:
    """0 to 1 with speed and acceleration zero at both ends (quintic), of `share` clipped to 0-1."""
    share = np.clip(share, 0, 1)
    return share**3 * (10 - 15 * share + 6 * share * share)


def _lean(angle: Array) -> Array:
    """Rotations [T, 3, 3] leaning a diver who faces +x forward by `angle` [T]."""
    return about(np.broadcast_to(np.array([0.0, 1, 0]), (len(angle), 3)), angle)


@dataclass(frozen=True)
class Board:
    """The time before the flight: `angles` [T, A], `turn` [T, 3, 3], `joints` [T, 17, 3] in the world, height `tip`
    [T] of the board's tip, `phase` per frame, `velocity` [3] of the centre of gravity at the last instant.
    """

    angles: Array
    turn: Array
    joints: Array
    tip: Array
    phase: list[str]
    velocity: Array


def _on_feet(joints: Array, turn: Array, angles: Array, tip: Array) -> Array:
    """Turn the bodies and set their ankles on the board, whose tip is at height `tip`."""
    world = np.einsum("tij,tkj->tki", turn, joints)
    ankles = (world[:, 3] + world[:, 6]) / 2
    shank = ankles - (world[:, 2] + world[:, 5]) / 2
    pitch = np.clip(np.arctan2(-shank[:, 0], -shank[:, 2]) + angles[:, COLUMN["plantar"]], 0, None)
    # The ball of the foot stays where it is; ankle and heel turn about it.
    feet = np.stack(
        [
            BALL_X_M - BALL_AHEAD_M * np.cos(pitch),
            np.zeros(len(tip)),
            tip + ANKLE_HEIGHT_M * np.cos(pitch) + BALL_AHEAD_M * np.sin(pitch),
        ],
        -1,
    )
    return np.asarray(world + (feet - ankles)[:, None])


def _balanced(joints: Array, body: mass.Points, ahead_m: Array) -> Array:
    """Lean [T] in radians that puts the centre of gravity `ahead_m` [T] in front of the ankles (diver faces +x)."""
    offset = body.centre(joints) - (joints[:, 3] + joints[:, 6]) / 2
    reach = np.hypot(offset[:, 1], offset[:, 2])
    # Canonical bodies face -y, so -y is ahead.
    return np.asarray(np.arcsin(np.clip(ahead_m / reach, -0.9, 0.9)) - np.arctan2(-offset[:, 1], offset[:, 2]))


def take_off(plan: Plan, shape: Shape, body: mass.Points, step_s: float) -> Board:
    """Stand and crouch in balance, then push; the push lasts as long as the wanted speed upwards requires."""
    push_s = 0.3
    for _ in range(4):
        board = _push(plan, shape, body, step_s, push_s)
        push_s *= float(board.velocity[2]) / plan.speed_up_m_s
    return _push(plan, shape, body, step_s, push_s)


def _push(plan: Plan, shape: Shape, body: mass.Points, step_s: float, push_s: float) -> Board:
    stand, crouch, push = KEY_POSES["arms_up"], KEY_POSES["crouch"], SPRING
    total = plan.stand_s + plan.crouch_s + push_s
    times = total + step_s * np.arange(-round(total / step_s), 1)
    down = smooth((times - plan.stand_s) / plan.crouch_s)
    up = np.clip((times - plan.stand_s - plan.crouch_s) / push_s, 0, 1) ** 2
    angles = stand + down[:, None] * (crouch - stand) + up[:, None] * (push - crouch)
    tip = -plan.board_dip_m * (down - up)
    local = shape(angles)
    wanted_x = BALL_X_M - BALL_AHEAD_M + BALANCE_M + up * plan.speed_out_m_s * push_s / 2
    ankle_x = np.full(len(times), BALL_X_M - BALL_AHEAD_M)
    for _ in range(4):
        # Leaning turns the feet about their balls, which moves the ankles a little: settled after few rounds.
        turn = _lean(_balanced(local, body, wanted_x - ankle_x)) @ FACING
        joints = _on_feet(local, turn, angles, tip)
        ankle_x = (joints[:, 3, 0] + joints[:, 6, 0]) / 2
    centre = body.centre(joints)
    # One-sided difference of second order: the speed at the last instant on the board.
    velocity = (3 * centre[-1] - 4 * centre[-2] + centre[-3]) / (2 * step_s)
    velocity[1] = 0.0
    phase = np.where(times < plan.stand_s, "stand", np.where(up > 0, "push", "crouch")).tolist()
    return Board(angles, turn, joints, tip, phase, velocity)


def ringing(plan: Plan, times: Array) -> Array:
    """The springboard swings on after the take-off (a platform stays)."""
    return np.asarray(0.35 * plan.board_dip_m * np.exp(-times / 0.3) * np.sin(2 * np.pi * 3.2 * times))
