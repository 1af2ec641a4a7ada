"""A dive as files: `dive-1.json` for programs, `dive-1.csv` frame by frame, `dive-1.html` for people."""

import csv
import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from engines.skeleton import JOINT_NAMES
from flight.report import Curves, Dive, DiveReport, Estimate, Flag, Jump, JumpReport, NumberGuess
from pipeline.edges.dive_page import dive_page, jump_page
from pipeline.edges.output import make_folder, whole_file
from pipeline.edges.versions import posecast_version

_UNITS: Final = (("_deg_s", "degrees per second"), ("_m_s", "metres per second"), ("_deg", "degrees"), ("_m", "metres"))
_MORE_UNITS: Final = {
    "first_seq": "frame number",
    "last_seq": "frame number",
    "somersaults": "turns",
    "somersaults_turned": "turns",
    "twists": "turns",
    "twists_turned": "turns",
    "position_shares": "share of the middle 60 % of the flight, 0 to 1",
    "momentum_consistency": "1 is perfect",
    "flight_time_s": "seconds",
    "contact_s": "seconds",
    "numbers": "probability, 0 to 1",
}
_DIGITS: Final = 6
"""Decimals: more than any of the units can be measured to."""
_PAIR: Final = "value with its standard deviation sd, both in the unit of the field"


def write_dive(dive: Dive, folder: Path, name: str, source: str = "") -> list[Path]:
    """Write `name`.json, `name`.csv and `name`.html into `folder`, each whole or not at all, and return their paths.

    `source` names the recording. Raises OutputError, one line, when the disk or the permissions refuse.
    """
    page = dive_page(dive, name, source)
    return _write(folder, name, report_json(dive.report, source), curves_csv(dive.curves, "water"), page)


def write_jump(jump: Jump, folder: Path, name: str, source: str = "") -> list[Path]:
    """The same for a jump of another sport. Raises OutputError."""
    page = jump_page(jump, name, source)
    return _write(folder, name, report_json(jump.report, source), curves_csv(jump.curves, "ground"), page)


def _write(folder: Path, name: str, told: str, rows: str, page: str) -> list[Path]:
    make_folder(folder)
    paths: list[Path] = []
    for ending, content in (("json", told), ("csv", rows), ("html", page)):
        path = folder / f"{name}.{ending}"
        with whole_file(path) as part:
            part.write_text(content, encoding="utf-8", newline="")
        paths.append(path)
    return paths


def report_json(report: DiveReport | JumpReport, source: str = "") -> str:
    """The report as JSON with a name and a unit for everything; null is what is not known or not finite."""
    fields = {field: _plain(getattr(report, field)) for field in report.__struct_fields__}
    units = {field: unit for field in fields if (unit := _unit(field))}
    told = {"source": source, "posecast": posecast_version(), "report": fields, "units": units, "sd": _PAIR}
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode() + "\n"


def _unit(field: str) -> str:
    if field in _MORE_UNITS:
        return _MORE_UNITS[field]
    for ending, unit in _UNITS:
        if field.endswith(ending):
            return unit
    return "seconds of the recording" if field.endswith("_s") else ""


def _plain(value: Any) -> Any:
    """Structs by the names of their fields (on the wire some are arrays), and rounded numbers."""
    if isinstance(value, Estimate | NumberGuess | Flag):
        return {field: _plain(getattr(value, field)) for field in value.__struct_fields__}
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return round(float(value), _DIGITS) if isinstance(value, float) else value


def curves_csv(curves: Curves, after: str) -> str:
    """One row a frame with a header that says the units; empty cells are not known. `after` names the phase that
    follows the flight.
    """
    columns = list(_columns(curves, after))
    file = io.StringIO(newline="")
    rows = csv.writer(file)
    rows.writerow([name for name, _ in columns])
    rows.writerows([cell(row) for _, cell in columns] for row in range(len(curves.t_s)))
    return file.getvalue()


def _columns(curves: Curves, after: str) -> Iterator[tuple[str, Callable[[int], str]]]:
    """Header and the text of a row, column by column."""
    phases = _phases(curves, after)
    yield "frame", lambda row: str(int(curves.seq[row]))
    yield "time_s", _cells(curves.t_s, 4)
    yield "phase", lambda row: phases[row]
    if curves.positions:
        yield "position", lambda row: curves.positions[row] or ""
    for point, places in (("centre", curves.centre_world_m), ("fall", curves.fall_world_m)):
        for axis, letter in enumerate("xyz"):
            yield f"{point}_{letter}_m", _cells(places[:, axis], 4)
    for name in ("somersault_turns", "twist_turns"):
        yield name, _cells(getattr(curves, name), 4)
    for name in ("somersault_deg_s", "twist_deg_s", "hip_deg", "knee_deg"):
        yield name, _cells(getattr(curves, name), 2)
    yield "momentum_m2_s", _cells(curves.momentum_m2_s, 4)
    for joint, joint_name in enumerate(JOINT_NAMES):
        for axis, letter in enumerate("xyz"):
            yield f"{joint_name}_{letter}_m", _cells(curves.joints_world_m[:, joint, axis], 4)


def _cells(values: np.ndarray[Any, Any], digits: int) -> Callable[[int], str]:
    """Text of a row's value; empty for NaN."""
    return lambda row: f"{values[row]:.{digits}f}" if math.isfinite(values[row]) else ""


def _phases(curves: Curves, after: str) -> list[str]:
    """board before the flight, flight, and `after` it."""
    flying = np.flatnonzero(curves.flying)
    first, last = (int(flying[0]), int(flying[-1])) if len(flying) else (len(curves.t_s), len(curves.t_s))
    before = "board" if after == "water" else after
    return [before if row < first else "flight" if row <= last else after for row in range(len(curves.t_s))]
