"""Which numbers of a flight are shown, with digits, unit, uncertainty and a sentence of what each one means."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from flight.report import DiveReport, Estimate, JumpReport
from pipeline.edges.dive_text import counted, joint_words, number, spread

NO_BOARD: Final = "no_board"
"""Key of the flag that says so."""
_UPRIGHT_DEG: Final = 0.5
"""A lean that nobody sees."""


@dataclass(frozen=True, slots=True)
class Number:
    """One number as a person reads it; `safety` sets it apart from the others."""

    name: str
    value: str
    unit: str = ""
    spread: str = ""
    note: str = ""
    safety: bool = False


def shown(name: str, value: Estimate | float | None, digits: int, unit: str, note: str = "") -> Number | None:
    """A number with its uncertainty if it has one; None where it is not known."""
    sd = value.sd if isinstance(value, Estimate) else 0.0
    plain = value.value if isinstance(value, Estimate) else value
    if plain is None or not math.isfinite(plain):
        return None
    return Number(name, number(plain, digits), unit, spread(sd, digits), note)


def known(numbers: Iterable[Number | None]) -> list[Number]:
    """Those that were found."""
    return [one for one in numbers if one is not None]


def headline(report: DiveReport) -> list[Number]:
    """What a coach looks at first."""
    flight_time = "From leaving the board to touching the water."
    peak = "Highest point of the centre of gravity, above the board's top."
    rise = "How far the centre of gravity rose after leaving the board."
    height = shown("Peak above board", report.apex_above_board_m, 2, "m", peak)
    return known(
        [
            shown("Flight time", report.flight_time_s, 3, "s", flight_time),
            height or shown("Rise", report.rise_m, 2, "m", rise),
            _opening(report),
            _entry_angle(report),
            _entry_distance(report),
            _clearance(report),
        ]
    )


def flight(report: DiveReport) -> list[Number]:
    """Take-off, way and height."""
    up, out = number(report.speed_up_m_s.value, 2), number(report.speed_out_m_s.value, 2)
    speed = f"{up} up and {out} out over the water."
    angle = "Way of the centre of gravity; 90° is straight up."
    rise = shown("Rise", report.rise_m, 2, "m", "Of the centre of gravity, from take-off to peak.")
    apex = "Of the centre of gravity from the board's edge."
    return known(
        [
            shown("Take-off", report.take_off_s, 3, "s", "Leaving the board, time of the recording."),
            shown("Entry", report.entry_s, 3, "s", "Meeting the water, time of the recording."),
            shown("Take-off speed", report.take_off_speed_m_s, 2, "m/s", speed),
            shown("Take-off angle", report.take_off_angle_deg, 1, "°", angle),
            rise if report.apex_above_board_m is not None else None,
            shown("Peak above water", report.apex_above_water_m, 2, "m", "Highest point of the centre of gravity."),
            shown("Distance at the peak", report.distance_apex_m, 2, "m", apex),
        ]
    )


def turning(report: DiveReport) -> list[Number]:
    """Somersault and twist, how fast, and how tight."""
    bends = _bend("Hip and knee at their least", report.least_hip_deg, report.least_knee_deg)
    return known(
        [
            shown("Somersaults turned", report.somersaults_turned, 2, "", _turned(report.somersaults, "somersault")),
            shown("Twists turned", report.twists_turned, 2, "", _turned(report.twists, "twist")),
            _rate("Somersault at its fastest", report.peak_somersault_deg_s),
            _rate("Somersault on average", report.mean_somersault_deg_s),
            _rate("Twist at its fastest", report.peak_twist_deg_s) if report.twists else None,
            bends if report.position != "straight" else None,
        ]
    )


def entry(report: DiveReport) -> list[Number]:
    """The moment the water is met."""
    speed = f"Of the centre of gravity, {_first_in(report)} first."
    return known(
        [
            _lean(report),
            _bend("Hip and knee at entry", report.entry_hip_deg, report.entry_knee_deg),
            shown("Entry speed", report.entry_speed_m_s, 2, "m/s", speed),
        ]
    )


def measuring(report: DiveReport) -> list[Number]:
    """What tells how well the dive was measured."""
    steady = "1 is perfect: in the air nothing can change it."
    return known(
        [
            _by_fall("Take-off", report.take_off_fall_s, report.take_off_s.value, "last contact"),
            _by_fall("Entry", report.entry_fall_s, report.entry_s.value, "first contact"),
            shown("Steadiness of the rotation", report.momentum_consistency, 2, "", steady),
            shown("Stature", report.stature_m, 2, "m", "From the joints: a check of the scale."),
        ]
    )


def board_measured(report: DiveReport) -> bool:
    """Whether the board's place is known, not only guessed from the fall."""
    return report.board_height_m is not None and all(flag.key != NO_BOARD for flag in report.flags)


def missing(report: DiveReport) -> list[str]:
    """Names of what the report of such a dive should have and lacks; what needs a board counts where there is one."""
    absent = {
        "stature": report.stature_m is None,
        "opening before the entry": report.opening_s is None and report.position != "straight",
    }
    if board_measured(report):
        absent |= {
            "peak above the board": report.apex_above_board_m is None,
            "peak above the water": report.apex_above_water_m is None,
            "distance from the board at the peak": report.distance_apex_m is None,
            "distance from the board at entry": report.distance_entry_m is None,
            "safety clearance": report.clearance_m is None,
        }
    return [name for name, lacks in absent.items() if lacks]


def jump(report: JumpReport) -> list[Number]:
    """All that is said of a jump."""
    when = f"From {number(report.take_off_s.value, 3)} s to {number(report.landing_s.value, 3)} s of the recording."
    height = "How far the centre of gravity rose, from the time in the air."
    somersaults, twists = report.somersaults_turned, report.twists_turned
    return known(
        [
            shown("Flight time", report.flight_time_s, 3, "s", when),
            shown("Height", report.height_m, 2, "m", height),
            shown("Somersaults turned", somersaults, 2, "", _turned(somersaults.value, "somersault")),
            shown("Twists turned", twists, 2, "", _turned(twists.value, "twist")),
            shown("Contact before", report.contact_s, 3, "s", "On the ground since the landing before."),
        ]
    )


def _first_in(report: DiveReport) -> str:
    return "hands" if report.head_first else "feet"


def _turned(count: float, what: str) -> str:
    return f"Counted as {counted(count, what)}."


def _rate(name: str, rate_deg_s: float) -> Number | None:
    return shown(name, rate_deg_s, 0, "°/s", f"{number(rate_deg_s / 360, 1)} turns a second.")


def _bend(name: str, hip_deg: float, knee_deg: float) -> Number | None:
    if not math.isfinite(hip_deg + knee_deg):
        return None
    return Number(name, f"{number(hip_deg, 0)}° / {number(knee_deg, 0)}", "°", note="180° is straight.")


def _by_fall(name: str, fall_s: Estimate, contact_s: float, contact: str) -> Number | None:
    apart_ms = 1000 * (fall_s.value - contact_s)
    note = f"{number(abs(apart_ms), 0)} ms {'after' if apart_ms > 0 else 'before'} the {contact}; both should agree."
    return shown(f"{name} by the fall alone", fall_s, 3, "s", note)


def _opening(report: DiveReport) -> Number | None:
    """How high the body opens; without a water level, when."""
    if report.opening_s is None:
        return None
    since_s = report.opening_s - report.take_off_s.value
    height = f"Above the water, {number(since_s, 2)} s after take-off."
    found = shown("Opening height", report.opening_above_water_m, 2, "m", height)
    return found or shown("Opening", since_s, 2, "s", "When the body stretches for the entry, after take-off.")


def _upright(angle: Estimate) -> bool:
    """Whether an angle to the vertical cannot be told from none, or does not matter."""
    return abs(angle.value) < max(angle.sd, _UPRIGHT_DEG)


def _entry_angle(report: DiveReport) -> Number | None:
    angle = report.entry_angle_deg
    words = "Past the vertical: over." if angle.value > 0 else "Not yet vertical: short."
    words = "Upright as far as can be told." if _upright(angle) else words
    return shown("Entry angle", angle, 1, "°", f"Body line against the vertical. {words}")


def _lean(report: DiveReport) -> Number | None:
    lean = report.entry_lean_deg
    words = f"To the {'left' if lean.value > 0 else 'right'}, looking along the board."
    return shown("Sideways lean at entry", lean, 1, "°", "None that can be told." if _upright(lean) else words)


def _entry_distance(report: DiveReport) -> Number | None:
    note = f"Where the {_first_in(report)} meet the water, from the board's edge."
    return shown("Entry distance", report.distance_entry_m, 2, "m", note)


def _clearance(report: DiveReport) -> Number | None:
    since_s = None if report.clearance_s is None else report.clearance_s - report.take_off_s.value
    when = "" if since_s is None else f", {number(since_s, 2)} s after take-off"
    note = f"Closest to the board while falling: {joint_words(report.clearance_joint) or 'the body'}{when}."
    found = shown("Safety clearance", report.clearance_m, 2, "m", note)
    return None if found is None else replace(found, safety=True)
