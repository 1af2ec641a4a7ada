"""The dive report's quantities of a generated dive, exact: from the known motion, not from pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.synth.dive import GRAVITY_M_S2, Dive, off_board_m

Array = npt.NDArray[Any]

_CLASSES: Final = {"A": "straight", "B": "pike", "C": "tuck", "D": "free"}


@dataclass(frozen=True)
class Curves:
    """Per frame [T]: turns since upright (armstands: since upside down) and since the take-off, and their rates."""

    somersault_turns: Array
    twist_turns: Array
    somersault_deg_s: Array
    twist_deg_s: Array


def _frame(joints: Array) -> tuple[Array, Array]:
    """Unit axes [T, 3] of the trunk: across to the left, and up from hips to shoulders."""
    up = (joints[:, 11] + joints[:, 14] - joints[:, 4] - joints[:, 1]) / 2
    up = up / np.linalg.norm(up, axis=-1, keepdims=True)
    across = joints[:, 4] - joints[:, 1] + joints[:, 11] - joints[:, 14]
    across = across - np.sum(across * up, -1, keepdims=True) * up
    return across / np.linalg.norm(across, axis=-1, keepdims=True), up


def curves(dive: Dive) -> Curves:
    """Somersault and twist of the trunk (mid-hips to mid-shoulders); the twist is measured from the somersault axis."""
    across, up = _frame(dive.joints_world_m)
    somersault = np.unwrap(np.arctan2(up[:, 0], up[:, 2]))
    level = np.array([0.0, 1, 0]) - up[:, 1:2] * up
    twist = np.unwrap(np.arctan2(np.sum(np.cross(level, across) * up, -1), np.sum(across * level, -1)))
    somersault -= 2 * np.pi * np.round((somersault[0] - (np.pi if dive.code.armstand else 0)) / (2 * np.pi))
    somersault -= np.pi if dive.code.armstand else 0
    off = round(dive.events_s["take_off"] * dive.rate_hz)
    twist -= np.round(twist[off] / np.pi) * np.pi
    return Curves(
        somersault / (2 * np.pi), twist / (2 * np.pi),
        np.degrees(np.gradient(somersault, dive.t_s)), np.degrees(np.gradient(twist, dive.t_s)),
    )  # fmt: skip


def bends_deg(joints: Array) -> tuple[Array, Array]:
    """Angles at hip and knee [T], degrees, mean of both sides; 180 is straight."""

    def angle(a: int, b: int, c: int) -> Array:
        u, v = joints[:, a] - joints[:, b], joints[:, c] - joints[:, b]
        return np.degrees(
            np.arccos(np.clip(np.sum(u * v, -1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1), -1, 1))
        )

    return (angle(11, 4, 5) + angle(14, 1, 2)) / 2, (angle(4, 5, 6) + angle(1, 2, 3)) / 2


def of(dive: Dive) -> dict[str, Any]:
    """Every quantity of the dive report as plain data: seconds, metres, degrees, turns."""
    events, plan, code = dive.events_s, dive.plan, dive.code
    air = (dive.t_s >= events["take_off"]) & (dive.t_s <= events["entry"])
    turned = curves(dive)
    falling = air & (dive.t_s >= events["apex"])
    hip, knee = bends_deg(dive.joints_world_m[air])
    flight_s = events["entry"] - events["take_off"]
    off = int(np.flatnonzero(air)[0])
    since = dive.t_s[off] - events["take_off"]
    start = dive.centre_world_m[off] - since * np.array([plan.speed_out_m_s, 0, plan.speed_up_m_s])
    start[2] += 0.5 * GRAVITY_M_S2 * since**2
    apex_s = max(0.0, plan.speed_up_m_s / GRAVITY_M_S2)
    joints = dive.joints_world_m[falling]
    entry = dive.joints_world_m[int(np.flatnonzero(air)[-1])]
    hands, feet = (entry[13] + entry[16]) / 2, (entry[3] + entry[6]) / 2
    line = (feet - hands) if code.head_first else (hands * 0 + (entry[11] + entry[14]) / 2 - feet)
    somersault, twist = float(turned.somersault_turns[air][-1]), float(turned.twist_turns[air][-1])
    found = {
        "code": str(code), "group": code.group, "position": _CLASSES[code.position], "head_first": code.head_first,
        "take_off_s": events["take_off"], "entry_s": events["entry"], "splash_s": events["splash"],
        "flight_time_s": flight_s,
        "speed_up_m_s": plan.speed_up_m_s, "speed_out_m_s": plan.speed_out_m_s,
        "centre_take_off_m": start.tolist(),
        "apex_above_board_m": float(start[2] + 0.5 * plan.speed_up_m_s * apex_s),
        "rise_m": float(plan.speed_up_m_s**2 / (2 * GRAVITY_M_S2)),
        "landing_distance_m": float(start[0] + plan.speed_out_m_s * flight_s),
        "entry_velocity_m_s": [plan.speed_out_m_s, 0.0, plan.speed_up_m_s - GRAVITY_M_S2 * flight_s],
        "apex_s": events["apex"], "under_s": events["under"],
        "water_clear_apex_m": float(start[2] + 0.5 * plan.speed_up_m_s * apex_s + plan.height_m),
        "entry_speed_m_s": float(np.hypot(plan.speed_out_m_s, plan.speed_up_m_s - GRAVITY_M_S2 * flight_s)),
        "somersaults": float(np.round(2 * abs(somersault)) / 2), "somersault_turned": somersault,
        "twists": float(np.round(2 * abs(twist)) / 2), "twist_turned": twist,
        "peak_somersault_deg_s": float(np.abs(turned.somersault_deg_s[air]).max()),
        "peak_twist_deg_s": float(np.abs(turned.twist_deg_s[air]).max()),
        "mean_somersault_deg_s": float(np.ptp(turned.somersault_turns[air]) * 360 / flight_s),
        "entry_angle_deg": float(np.degrees(np.arctan2(line[0], line[2]))),
        "entry_lean_deg": float(np.degrees(np.arctan2(line[1], np.hypot(line[0], line[2])))),
        "clearance_m": float(off_board_m(joints).min()),
        "head_clearance_m": float(off_board_m(joints[:, 9:11]).min()),
        "entry_hip_deg": float(hip[-1]), "entry_knee_deg": float(knee[-1]),
        "least_hip_deg": float(hip.min()), "least_knee_deg": float(knee.min()),
        "momentum_m2_s": float(dive.momentum[1]),
    }  # fmt: skip
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in found.items()}
