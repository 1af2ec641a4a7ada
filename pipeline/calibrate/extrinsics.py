"""`posecast calibrate extrinsics`: where a camera stands, from points of known places that are seen in its picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.extrinsics import Placement, Points, placed
from calibration.store import Calibration, load, save
from calibration.templates import TEMPLATES, Template
from pipeline.calibrate.clicking import picture_at, plain_beside, write_clicking
from pipeline.calibrate.imported import size_px
from pipeline.calibrate.placed_plot import write_placed
from pipeline.calibrate.points import own_marks, read_points
from pipeline.calibrate.show import tilt_deg

Bytes = NDArray[np.uint8]

_GUESSED_FOV_DEG: Final = 40.0
"""Of a camera about which nothing is known: only where the search for its focal length begins."""
_TEMPLATE_NOTE: Final = (
    "Heights are met exactly at every venue; widths, lengths, thickness and overhang are the least that the rules "
    "allow. Measure yours and give them: --width, --length, --thickness, --overhang."
)


@dataclass(frozen=True)
class Wanted:
    """What was typed. `camera` is a camera file; None: pictures of `size` (WIDTHxHEIGHT) and a focal length to find."""

    camera: Path | None
    points: Path
    out: Path
    template: Template | None = None
    size: str = ""
    fit_focal: bool = False
    ground: bool = False
    level_m: float = 0.0
    over: str = ""
    at_s: float = 0.0
    name: str = ""


def list_template(template: Template | None, console: Console) -> None:
    """Print the points of a template, or which templates there are."""
    table = Table(box=None, pad_edge=False)
    if template is None:
        for column in ("template", "height", "width", "length", "edge", "overhang"):
            table.add_column(column, justify="left" if column == "template" else "right")
        for row in TEMPLATES:
            board = row.board
            sides = (board.height_m, board.width_m, board.length_m, row.thickness_m, row.overhang_m)
            table.add_row(row.name, *("not ruled" if side is None else f"{side:g} m" for side in sides))
        console.print(table)
    else:
        for column in ("point", "x", "y", "z", "what it is"):
            table.add_column(column, justify="right" if len(column) == 1 else "left")
        for mark in template.marks:
            table.add_row(mark.name, *(f"{value:.2f}" for value in mark.world_m), mark.what)
        console.print(table)
        console.print(
            "Metres; origin at the middle of the front edge, x over the water, y to the left, z up.", style="dim"
        )
    console.print(_TEMPLATE_NOTE, style="dim", soft_wrap=True)


def prepare_clicking(
    video: str, at_s: float, template: Template | None, points: Path, level_m: float | None, console: Console
) -> None:
    """Write picture, grid, page and list for one moment of a video. Raises PosecastError."""
    own = own_marks(points, level_m) if points.exists() else ()
    marks = (*(() if template is None else template.marks), *own)
    if not marks:
        raise CalibrationError(f"say which --template, or list points of your own in {points} with x, y, z first")
    written = write_clicking(points, picture_at(video, at_s), marks)
    console.print(", ".join(str(path) for path in written), soft_wrap=True, highlight=False)
    console.print(
        f"Open {written[0]} in a browser and click, or fill u and v into {points} by hand with the grid's help.",
        soft_wrap=True,
        highlight=False,
    )


def calibrate_extrinsics(wanted: Wanted, console: Console) -> Placement:
    """Place the camera, write its file and a drawing beside it. Raises CalibrationError and PosecastError."""
    before = _camera(wanted)
    points = read_points(wanted.points, wanted.template, wanted.level_m if wanted.ground else None)
    fit_focal = wanted.fit_focal or wanted.camera is None
    try:
        placement = placed(points, before.camera, fit_focal, wanted.ground)
    except CalibrationError as error:
        raise CalibrationError(f"{wanted.points}: {error}") from error
    what = wanted.template.name if wanted.template is not None else "own"
    source = f"calibrate extrinsics, {datetime.now(UTC):%Y-%m-%d}: {len(placement.points)} points, {what}"
    board = None if wanted.template is None else wanted.template.board
    calibration = placement.calibration(before, board, source)
    picture = _picture(wanted, calibration.camera)
    save(wanted.out, calibration)
    drawing = None if picture is None else _draw(wanted, picture, calibration, placement, points)
    _report(wanted, calibration, placement, drawing, console)
    return placement


def _camera(wanted: Wanted) -> Calibration:
    if wanted.camera is not None:
        before = load(wanted.camera)
        if wanted.name:
            return Calibration(before.camera, board=before.board, focal_sd_px=before.focal_sd_px, name=wanted.name)
        return before
    size = size_px(wanted.size)
    if size is None:
        raise CalibrationError("give a camera file, or --size WIDTHxHEIGHT: then the focal length is found")
    return Calibration(Camera.guessed(*size, _GUESSED_FOV_DEG), name=wanted.name or wanted.out.stem)


def _picture(wanted: Wanted, camera: Camera) -> Bytes | None:
    """The picture to draw over, that asked for or that beside the list; None without either."""
    beside = plain_beside(wanted.points)
    if not wanted.over and not beside.exists():
        return None
    picture = picture_at(wanted.over or str(beside), wanted.at_s if wanted.over else 0.0)
    if picture.shape[:2] != (camera.height, camera.width):
        raise CalibrationError(
            f"{wanted.over or beside}: is {picture.shape[1]}x{picture.shape[0]}, but the camera "
            f"{camera.width}x{camera.height}; points and camera file must be of the same picture"
        )
    return picture


def _draw(wanted: Wanted, picture: Bytes, calibration: Calibration, placement: Placement, points: Points) -> Path:
    out = wanted.out.with_suffix(".png")
    left_out = np.array([points.img_px[points.names.index(name)] for name in placement.left_out]).reshape(-1, 2)
    write_placed(out, picture, calibration, placement, wanted.template, left_out)
    return out


def _report(
    wanted: Wanted, calibration: Calibration, placement: Placement, drawing: Path | None, console: Console
) -> None:
    pose, points = placement.pose, placement.points
    assert calibration.world_from_cam is not None
    place, sd = calibration.world_from_cam[:3, 3], placement.place_sd_m
    pitch, roll = tilt_deg(calibration)
    table = Table(box=None, pad_edge=False, show_header=False)
    coordinates = ", ".join(f"{axis} {at:.2f} ({off:.2f})" for axis, at, off in zip("xyz", place, sd, strict=True))
    table.add_row("place", f"{coordinates} m, in brackets the standard deviations")
    table.add_row(
        "view",
        f"{abs(pitch):.1f} degrees {'down' if pitch >= 0 else 'up'}, roll {roll:.1f} degrees "
        f"(sd {math.degrees(placement.turn_sd_rad):.2f})",
    )
    if placement.focal_sd_px is not None:
        table.add_row("focal length", f"{pose.camera.focal_px:.0f} px (sd {placement.focal_sd_px:.0f}), found too")
    table.add_row("points", f"{len(points)}, {pose.rms_px:.1f} px rms from where they are expected")
    table.add_row("", _words(points.names, np.linalg.norm(pose.residuals_px, axis=1)))
    console.print(table)
    for name, off_px in placement.left_out.items():
        console.print(
            f"point {name} is {off_px:.0f} px off: clicked wrongly? It was left out.", style="yellow", soft_wrap=True
        )
    files = str(wanted.out) if drawing is None else f"{wanted.out} and {drawing.name}: look whether the board fits"
    console.print(f'{files}; next: file = "{wanted.out}" under [camera] in the settings', soft_wrap=True, markup=False)


def _words(names: Sequence[str], off_px: NDArray[np.float64]) -> str:
    return ", ".join(f"{name} {off:.1f}" for name, off in zip(names, off_px, strict=True))
