"""The list of points that a person fills in: CSV with a name, u and v in pixels, and x, y, z of points of one's own."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from calibration.errors import CalibrationError
from calibration.extrinsics import Points
from calibration.templates import Mark, Template
from pipeline.edges.output import whole_file

_COLUMNS: Final = ("name", "u", "v", "x", "y", "z")
_NEEDED: Final = ("name", "u", "v")


def write_points(path: Path, marks: Iterable[Mark]) -> None:
    """Write a list with empty pixels, whole or not at all; places are the template's. Raises OutputError."""
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for mark in marks:
            writer.writerow([mark.name, *[""] * (len(_COLUMNS) - 1)])


def read_points(path: Path, template: Template | None, level_m: float | None = None) -> Points:
    """The points of a list that have pixels; places that it leaves empty come from the template, z from `level_m`.

    Raises CalibrationError naming file and line.
    """
    places = {} if template is None else {mark.name: mark.world_m for mark in template.marks}
    names: list[str] = []
    world: list[tuple[float, float, float]] = []
    pixels: list[tuple[float, float]] = []
    for line, row in _rows(path):
        where = f"{path}: line {line}"
        if not row["u"] and not row["v"]:
            continue  # not to be seen in this picture
        names.append(row["name"])
        pixels.append((_number(row, "u", where), _number(row, "v", where)))
        world.append(_place(row, places, level_m, where))
    shaped = np.array(world, np.float64).reshape(-1, 3), np.array(pixels, np.float64).reshape(-1, 2)
    try:
        return Points(tuple(names), *shaped)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error


def own_marks(path: Path, level_m: float | None = None) -> tuple[Mark, ...]:
    """The points of a list that say themselves where they are. Raises CalibrationError naming file and line."""
    rows = [(line, row) for line, row in _rows(path) if row["x"] or row["y"]]
    return tuple(
        Mark(row["name"], _place(row, {}, level_m, f"{path}: line {line}"), "own point", own=True) for line, row in rows
    )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CalibrationError(
            f"{path}: cannot be read ({error.strerror}); --click VIDEO writes such a list to fill in"
        ) from error
    except UnicodeDecodeError as error:
        raise CalibrationError(f"{path}: not a text file; expected CSV with the columns name, u, v") from error
    # Spreadsheets of half of the world write semicolons.
    head = text.split("\n", 1)[0]
    reader = csv.DictReader(text.splitlines(), delimiter=";" if ";" in head else ",", skipinitialspace=True)
    columns = [(name or "").strip() for name in reader.fieldnames or ()]
    if any(name not in columns for name in _NEEDED):
        raise CalibrationError(f"{path}: expected columns name, u, v, and perhaps x, y, z; got {', '.join(columns)}")
    reader.fieldnames = columns
    for row in reader:
        filled = {column: (row.get(column) or "").strip() for column in _COLUMNS}
        if any(filled.values()):
            yield reader.line_num, filled


def _place(
    row: dict[str, str], places: dict[str, tuple[float, float, float]], level_m: float | None, where: str
) -> tuple[float, float, float]:
    if row["x"] or row["y"]:
        z = level_m if level_m is not None and not row["z"] else _number(row, "z", where)
        return _number(row, "x", where), _number(row, "y", where), z
    if row["name"] in places:
        return places[row["name"]]
    hint = f"have {', '.join(places)}" if places else "there is no --template"
    raise CalibrationError(f"{where}: where {row['name']!r} is, is not known ({hint}); give x, y, z in metres")


def _number(row: dict[str, str], column: str, where: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        what = repr(row[column]) if row[column] else "nothing"
        raise CalibrationError(f"{where}: {column} of {row['name']!r} is {what}; expected a number such as 12.5")
    return value
