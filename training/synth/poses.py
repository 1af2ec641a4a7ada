"""Poses as joint angles: named key poses of divers and gymnasts, random poses within the limits of the joints.

Angles are radians in the columns of `ANGLES`. The canonical athlete stands with z up, faces -y, left hand towards +x
(anny's rest frame); `joints_of` gives the 17 joints. Limits are everyday anatomical ranges with a gymnast's allowance.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

TRUNK: Final = ("trunk_flex", "trunk_side", "trunk_twist", "neck_flex", "neck_side")
LEG: Final = ("hip_flex", "hip_spread", "hip_turn", "knee")
ARM: Final = ("arm_raise", "arm_plane", "arm_turn", "elbow")
"""arm_raise: 0 hanging, pi overhead; arm_plane: 0 raised through the front, pi/2 through the side."""
ANGLES: Final = (
    *TRUNK,
    *(f"left_{name}" for name in LEG + ARM),
    *(f"right_{name}" for name in LEG + ARM),
    "plantar",
)
COLUMN: Final = {name: k for k, name in enumerate(ANGLES)}

_LIMITS_DEG: Final = {
    "trunk_flex": (-35, 75),
    "trunk_side": (-25, 25),
    "trunk_twist": (-35, 35),
    "neck_flex": (-45, 50),
    "neck_side": (-25, 25),
    "hip_flex": (-25, 135),
    "hip_spread": (-8, 60),
    "hip_turn": (-30, 30),
    "knee": (0, 145),
    "arm_raise": (-40, 180),
    "arm_plane": (-25, 110),
    "arm_turn": (-60, 60),
    "elbow": (0, 140),
    "plantar": (-35, 65),
}

# fmt: off
KEY_POSES_DEG: Final[dict[str, dict[str, float]]] = {
    "stand": {"arm_plane": 60, "arm_raise": 10, "elbow": 8},
    "arms_up": {"arm_raise": 172, "arm_plane": 40, "plantar": 10},
    "layout": {"arm_raise": 15, "arm_plane": 60, "plantar": 60, "trunk_flex": -8},
    "layout_arms_up": {"arm_raise": 170, "arm_plane": 40, "plantar": 60, "trunk_flex": -4},
    "swan": {"arm_raise": 92, "arm_plane": 90, "plantar": 60, "trunk_flex": -15, "neck_flex": -20},
    "entry": {"arm_raise": 178, "arm_plane": 30, "plantar": 60, "neck_flex": 5},
    "crouch": {
        "hip_flex": 75,
        "knee": 85,
        "trunk_flex": 25,
        "arm_raise": -25,
        "arm_plane": 10,
        "plantar": -32,
    },
    "push": {"hip_flex": 15, "knee": 15, "trunk_flex": 8, "arm_raise": 150, "arm_plane": 25, "plantar": 45},
    "tuck": {
        "hip_flex": 122, "knee": 136, "trunk_flex": 48, "neck_flex": 30, "arm_raise": 15, "arm_plane": -9,
        "elbow": 92, "plantar": 45,
    },
    "open_tuck": {
        "hip_flex": 110, "knee": 120, "hip_spread": 18, "trunk_flex": 30, "neck_flex": 15, "arm_raise": 33,
        "arm_plane": 8, "elbow": 39, "plantar": 45,
    },
    "pike": {
        "hip_flex": 128,
        "knee": 2,
        "trunk_flex": 55,
        "neck_flex": 25,
        "arm_raise": 62,
        "arm_plane": 8,
        "elbow": 25,
        "plantar": 60,
    },
    "open_pike": {
        "hip_flex": 105,
        "trunk_flex": 30,
        "arm_raise": 95,
        "arm_plane": 85,
        "elbow": 5,
        "plantar": 60,
    },
    "straddle": {
        "hip_flex": 85,
        "hip_spread": 45,
        "trunk_flex": 25,
        "arm_raise": 80,
        "arm_plane": 35,
        "plantar": 60,
    },
    "star": {"hip_spread": 40, "arm_raise": 120, "arm_plane": 88, "plantar": 30},
    "arch": {
        "trunk_flex": -32,
        "hip_flex": -20,
        "neck_flex": -35,
        "arm_raise": 175,
        "arm_plane": 35,
        "plantar": 55,
    },
    "twist_left": {
        "left_arm_raise": 165,
        "left_arm_plane": 60,
        "left_elbow": 75,
        "left_arm_turn": 50,
        "right_arm_raise": 35,
        "right_arm_plane": -20,
        "right_elbow": 95,
        "right_arm_turn": -40,
        "plantar": 60,
    },
    "arms_wrapped": {"arm_raise": 38, "arm_plane": -22, "elbow": 115, "arm_turn": -40, "plantar": 60},
    "split": {
        "left_hip_flex": 88,
        "right_hip_flex": -22,
        "right_knee": 12,
        "arm_raise": 95,
        "arm_plane": 85,
        "plantar": 60,
    },
    "stride": {
        "left_hip_flex": 50,
        "left_knee": 60,
        "right_hip_flex": -12,
        "right_knee": 25,
        "left_arm_raise": -25,
        "right_arm_raise": 40,
        "elbow": 70,
        "arm_plane": 15,
    },
    "squat": {
        "hip_flex": 110,
        "knee": 120,
        "trunk_flex": 20,
        "arm_raise": 85,
        "arm_plane": 10,
        "plantar": -15,
    },
    "kneel": {"knee": 95, "trunk_flex": 5, "arm_raise": 20, "arm_plane": 30, "elbow": 30, "plantar": 40},
}
# fmt: on


def vector(angles_deg: dict[str, float]) -> Array:
    """Angles [len(ANGLES)] in radians of a pose in degrees; a name without side sets both sides."""
    values = np.zeros(len(ANGLES))
    for name, degrees in angles_deg.items():
        sides = (name,) if name in COLUMN else (f"left_{name}", f"right_{name}")
        for column in sides:
            if column not in angles_deg or column == name:
                values[COLUMN[column]] = np.deg2rad(degrees)
    return values


KEY_POSES: Final = {name: vector(angles) for name, angles in KEY_POSES_DEG.items()}


def _limits() -> tuple[Array, Array]:
    pairs = [_LIMITS_DEG[name.removeprefix("left_").removeprefix("right_")] for name in ANGLES]
    low, high = np.deg2rad(np.array(pairs, float)).T
    return low, high


LOW, HIGH = _limits()


def _rotation(axis: int, angle: Array) -> Array:
    one, zero, cosine, sine = np.ones_like(angle), np.zeros_like(angle), np.cos(angle), np.sin(angle)
    rows = {
        0: [one, zero, zero, zero, cosine, -sine, zero, sine, cosine],
        1: [cosine, zero, sine, zero, one, zero, -sine, zero, cosine],
        2: [cosine, -sine, zero, sine, cosine, zero, zero, zero, one],
    }[axis]
    return np.stack(rows, -1).reshape(*angle.shape, 3, 3)


def _trunk(flex: Array, side: Array, twist: Array) -> Array:
    return _rotation(2, twist) @ _rotation(1, side) @ _rotation(0, flex)


def _bend(upper: Array, towards: Array, turn: Array, bend: Array) -> Array:
    across = np.cross(upper, towards)
    plane = np.cos(turn)[:, None] * towards + np.sin(turn)[:, None] * across
    return np.cos(bend)[:, None] * upper + np.sin(bend)[:, None] * plane


def _leg(side: float, flex: Array, spread: Array, turn: Array, knee: Array) -> tuple[Array, Array]:
    thigh = np.stack([side * np.sin(spread), -np.cos(spread) * np.sin(flex), -np.cos(spread) * np.cos(flex)], -1)
    back = np.stack([np.zeros_like(flex), np.cos(flex), -np.sin(flex)], -1)
    return thigh, _bend(thigh, back, side * turn, knee)


def _arm(side: float, raise_: Array, plane: Array, turn: Array, elbow: Array) -> tuple[Array, Array]:
    zero = np.zeros_like(plane)
    outward = np.stack([side * np.sin(plane), -np.cos(plane), zero], -1)
    down = np.array([0, 0, -1.0])
    upper = np.cos(raise_)[:, None] * down + np.sin(raise_)[:, None] * outward
    forward = -np.sin(raise_)[:, None] * down + np.cos(raise_)[:, None] * outward
    return upper, _bend(upper, forward, side * turn, elbow)


def joints_of(angles: Array) -> Array:
    """The 17 joints [B, 17, 3] in metres of poses `angles` [B, len(ANGLES)], pelvis at the origin and upright."""
    get = {name: angles[:, k] for name, k in COLUMN.items()}
    bend, side, twist = get["trunk_flex"], get["trunk_side"], get["trunk_twist"]
    low, chest = _trunk(0.35 * bend, 0.4 * side, 0.3 * twist), _trunk(bend, side, twist)
    head = chest @ _trunk(get["neck_flex"], get["neck_side"], np.zeros_like(bend))
    joints = np.zeros((len(angles), 17, 3))
    joints[:, 7] = low @ [0.0, 0.012, 0.25]
    joints[:, 8] = joints[:, 7] + chest @ [0.0, -0.025, 0.25]
    joints[:, 9] = joints[:, 8] + chest @ [0.0, -0.01, 0.06] + head @ [0.0, -0.015, 0.13]
    joints[:, 10] = joints[:, 9] + head @ [0.0, -0.01, 0.09]
    for name, sign, (first, second, third) in (("left", 1.0, (11, 12, 13)), ("right", -1.0, (14, 15, 16))):
        upper, fore = _arm(sign, *(get[f"{name}_{part}"] for part in ARM))
        # Raising the arm beyond the horizontal takes the shoulder girdle along.
        lift = 0.15 * np.clip(get[f"{name}_arm_raise"] - np.pi / 4, 0, None) ** 2
        girdle = np.stack([sign * np.cos(lift), np.zeros_like(lift), np.sin(lift) - 0.1], -1)
        joints[:, first] = joints[:, 8] + np.einsum("bij,bj->bi", chest, 0.18 * girdle)
        joints[:, second] = joints[:, first] + np.einsum("bij,bj->bi", chest, 0.29 * upper)
        joints[:, third] = joints[:, second] + np.einsum("bij,bj->bi", chest, 0.26 * fore)
    for name, sign, (first, second, third) in (("left", 1.0, (4, 5, 6)), ("right", -1.0, (1, 2, 3))):
        thigh, shank = _leg(sign, *(get[f"{name}_{part}"] for part in LEG))
        joints[:, first] = (sign * 0.1, 0.0, 0.0)
        joints[:, second] = joints[:, first] + 0.43 * thigh
        joints[:, third] = joints[:, second] + 0.42 * shank
    return joints


def _distance_to_segment(points: Array, start: Array, end: Array) -> Array:
    along = end - start
    share = np.clip(np.sum((points - start) * along, -1) / np.sum(along * along, -1), 0, 1)
    return np.linalg.norm(points - start - share[..., None] * along, axis=-1)


def collides(joints: Array) -> Array:
    """True [B] where elbows, wrists or knees run into the trunk, or wrists into the head."""
    bad = np.zeros(len(joints), bool)
    for limb, radius in ((12, 0.13), (13, 0.15), (15, 0.13), (16, 0.15), (2, 0.15), (5, 0.15)):
        bad |= _distance_to_segment(joints[:, limb], joints[:, 0], joints[:, 8]) < radius
    for limb in (13, 16, 2, 5, 3, 6):
        bad |= _distance_to_segment(joints[:, limb], joints[:, 9], joints[:, 10]) < 0.13
    bad |= np.linalg.norm(joints[:, 2] - joints[:, 5], axis=-1) < 0.11
    return bad | (np.linalg.norm(joints[:, 3] - joints[:, 6], axis=-1) < 0.07)


def _candidate(rng: np.random.Generator) -> Array:
    middle = KEY_POSES[str(rng.choice(["stand", "stand", "squat", "stride", "arms_up", "star"]))]
    if rng.random() < 0.3:
        wide = rng.uniform(LOW, HIGH)
        return middle + rng.uniform(0.3, 1.0) * (wide - middle)
    names = list(KEY_POSES)
    first, second = (KEY_POSES[names[k]] for k in rng.integers(len(names), size=2))
    share = rng.beta(0.4, 0.4)
    noise = rng.normal(0, np.deg2rad(rng.uniform(3, 18)), len(ANGLES))
    return first + share * (second - first) + noise


def random_angles(rng: np.random.Generator, count: int) -> Array:
    """Random gymnast-like poses [count, len(ANGLES)] within the joint limits, without gross self-collision."""
    found: list[Array] = []
    while len(found) < count:
        batch = np.clip(np.stack([_candidate(rng) for _ in range(16)]), LOW, HIGH)
        found.extend(batch[~collides(joints_of(batch))])
    return np.stack(found[:count])
