"""What a report says of a dive beside what is true: errors by name, and how they are summed up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flight.code import DiveCode
from flight.contact import ANKLES, WRISTS
from flight.quantities import SHOULDERS
from training.evaluate.result import Row

Array = NDArray[Any]
Errors = dict[str, float]
"""Signed errors in seconds, metres, degrees; 1 and 0 for right and wrong; NaN where nothing was told."""

RIGHT: Final = ("somersaults", "twists", "number", "position")
NOMINAL_M: Final = 15.0
"""Errors of height are given as at this distance from the camera."""


def entry_angle_deg(t_s: Array, joints_world_m: Array, entry_s: float, head_first: bool) -> float:
    """The body line's angle from the vertical along the flight, degrees, at the moment of the entry."""
    feet = joints_world_m[:, ANKLES].mean(axis=1)
    line = (
        feet - joints_world_m[:, WRISTS].mean(axis=1)
        if head_first
        else joints_world_m[:, SHOULDERS].mean(axis=1) - feet
    )
    angle = np.unwrap(np.arctan2(line[:, 0], line[:, 2]))
    return float((np.degrees(np.interp(entry_s, t_s, angle)) + 180) % 360 - 180)


def errors(told: dict[str, Any], true: dict[str, Any], true_entry_deg: float) -> Errors:
    """Errors of a report (plain data, estimates as [value, sd] or value alone) against the truth of a clip."""
    code = DiveCode.parse(str(true["code"]))
    sense = 1.0 if code.turns_outward else -1.0
    apex = told.get("apex_above_board_m")
    clearance = told.get("clearance_m")
    numbers = told.get("numbers") or [["", 0.0]]
    return {
        "take_off_s": _value(told["take_off_s"]) - true["take_off_s"],
        "entry_s": _value(told["entry_s"]) - true["entry_s"],
        "flight_time_s": _value(told["flight_time_s"]) - true["flight_time_s"],
        "speed_up_m_s": _value(told["speed_up_m_s"]) - true["speed_up_m_s"],
        "apex_m": np.nan if apex is None else _value(apex) - true["apex_above_board_m"],
        "clearance_m": np.nan if clearance is None else _value(clearance) - true["clearance_m"],
        "entry_deg": (_value(told["entry_angle_deg"]) * sense - true_entry_deg + 180) % 360 - 180,
        "somersaults": float(told["somersaults"] == true["somersaults"]),
        "twists": float(told["twists"] == true["twists"]),
        "number": float(_code(numbers[0]) == true["code"]),
        "position": float(told["position"] == true["position"]),
    }


def nothing() -> Errors:
    """Of a dive that nothing was told of."""
    missing = dict.fromkeys(("take_off_s", "entry_s", "flight_time_s", "speed_up_m_s", "apex_m", "clearance_m"), np.nan)
    return missing | {"entry_deg": np.nan} | dict.fromkeys(RIGHT, 0.0)


def summed_up(all_errors: Sequence[Errors]) -> dict[str, Row]:
    """Rows of a table: times in ms, lengths in cm, angles in degrees, what is right in percent."""
    columns = {name: np.array([one[name] for one in all_errors]) for name in all_errors[0]}
    rows = {
        "take-off, ms": _spread(1e3 * columns["take_off_s"]),
        "entry, ms": _spread(1e3 * columns["entry_s"]),
        "flight time, ms": _spread(1e3 * columns["flight_time_s"]),
        "take-off speed up, cm/s": _spread(100 * columns["speed_up_m_s"]),
        "apex above the board, cm": _spread(100 * columns["apex_m"]),
        "least distance from the board, cm": _spread(100 * columns["clearance_m"]),
        "entry angle, degrees": _spread(columns["entry_deg"]),
    }
    return rows | {f"{name} right, %": {"share": 100 * float(columns[name].mean())} for name in RIGHT}


def _spread(values: Array) -> Row:
    known = values[np.isfinite(values)]
    if not len(known):
        return {"known": 0}
    return {
        "mean": float(known.mean()),
        "sd": float(known.std()),
        "median of the size": float(np.median(np.abs(known))),
        "largest": float(np.abs(known).max()),
        "known": len(known),
    }


def _value(estimate: Any) -> float:
    if isinstance(estimate, dict):
        estimate = estimate["value"]
    elif isinstance(estimate, list | tuple):
        estimate = estimate[0]
    return np.nan if estimate is None else float(estimate)


def _code(guess: Any) -> str:
    return str(guess["code"] if isinstance(guess, dict) else guess[0])
