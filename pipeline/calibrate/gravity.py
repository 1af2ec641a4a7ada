"""`posecast calibrate gravity`: which way is down before a camera, from the flights that it has seen, with no board.

The poses of a replay are read; flights are found in them, and the vertical they share is fitted (`flight.verticals`).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.store import Calibration, load, save
from flight.centres import Recording
from flight.verticals import Plumb, plumbed
from pipeline.calibrate.show import tilt_deg
from pipeline.edges.poses import Poses

MOST_SD_DEG: Final = 3.0
"""A vertical less sure than this is not written: with it, heights and distances would be called metres and be none."""
GOOD_SD_DEG: Final = 1.0
"""From here on more dives hardly pay: depths change with the cosine of the angle."""


def calibrate_gravity(camera: Path, dives: Sequence[Path], out: Path, console: Console) -> Plumb:
    """Find the vertical and write the camera file with it. Raises CalibrationError and OutputError."""
    before = load(camera)
    if not dives:
        raise CalibrationError("no poses given; say --dives results/*/poses.npz, of posecast replay")
    recordings = [recording(path, before.camera) for path in dives]
    with console.status(f"looking for flights in {len(recordings)} recordings"):
        plumb = plumbed(recordings, before.camera, before.gravity_cam)
    sd_deg = math.degrees(plumb.sd_rad)
    _report(plumb, recordings, before, console)
    if sd_deg > MOST_SD_DEG:
        raise CalibrationError(
            f"the vertical is uncertain by {sd_deg:.1f} degrees, {MOST_SD_DEG:g} are allowed; about "
            f"{plumb.more_flights(math.radians(MOST_SD_DEG))} more dives of this camera would do, higher ones sooner"
        )
    if before.world_from_cam is not None:
        console.print(f"{camera} says where the camera stands, which is kept; nothing was written", soft_wrap=True)
        return plumb
    what = f"{len(plumb.flights)} flights, sd {sd_deg:.1f} degrees"
    source = f"calibrate gravity, {datetime.now(UTC):%Y-%m-%d}: {what}; {before.source}".rstrip("; ")
    save(out, replace(before, gravity_cam=plumb.down_cam, source=source))
    console.print(f'{out}; next: file = "{out}" under [camera] in the settings', soft_wrap=True, markup=False)
    return plumb


def recording(path: Path, camera: Camera) -> Recording:
    """The poses of a replay as flights are looked for in them.

    Raises OutputError when they cannot be read, CalibrationError when they are of another picture or nobody's.
    """
    poses = Poses.read(path)
    name = path.parent.name if path.name == "poses.npz" and path.parent.name else path.stem
    tracked = poses.tracked & np.isfinite(poses.joints_root_m).all(axis=(1, 2))
    if not tracked.any():
        raise CalibrationError(f"{path}: holds nobody's poses; was the athlete found? look at overlay.mp4")
    sizes = {(int(width), int(height)) for width, height in poses.size_px[tracked]}
    if sizes != {(camera.width, camera.height)}:
        other = next(f"{width}x{height}" for width, height in sizes if (width, height) != (camera.width, camera.height))
        raise CalibrationError(
            f"{path}: is of pictures of {other}, but the camera file of {camera.width}x{camera.height}; another camera?"
        )
    root, pixels = (np.asarray(values, np.float64) for values in (poses.joints_root_m, poses.joints_img_px))
    unknown = ~tracked[:, None, None]
    return Recording(
        name,
        poses.t_media_s,
        np.where(unknown, np.nan, root),
        np.where(unknown, np.nan, pixels),
        np.where(unknown[..., 0], 0.0, np.nan_to_num(np.asarray(poses.joints_conf, np.float64))),
    )


def _report(plumb: Plumb, recordings: Sequence[Recording], before: Calibration, console: Console) -> None:
    sd_deg = math.degrees(plumb.sd_rad)
    pitch, roll = tilt_deg(replace(before, world_from_cam=None, gravity_cam=plumb.down_cam))
    table = Table(box=None, pad_edge=False, show_header=False)
    right, down, forward = plumb.down_cam
    table.add_row("down", f"right {right:.3f}, down {down:.3f}, forward {forward:.3f}, in camera axes")
    table.add_row("view", f"{abs(pitch):.1f} degrees {'down' if pitch >= 0 else 'up'}, roll {roll:.1f} degrees")
    table.add_row("uncertainty", f"sd {sd_deg:.1f} degrees, from {len(plumb.flights)} flights{_wish(plumb, sd_deg)}")
    if before.gravity_cam is not None:
        off = math.degrees(math.acos(float(np.clip(plumb.down_cam @ before.gravity_cam, -1, 1))))
        table.add_row("before", f"the camera file's vertical is {off:.1f} degrees away")
    console.print(table)
    flights = Table(box=None, pad_edge=False)
    for column in ("flight", "from", "to", "distance", "sd", "fit"):
        flights.add_column(column, justify="left" if column == "flight" else "right")
    for flight in plumb.flights:
        fall = flight.fall
        flights.add_row(
            recordings[flight.recording].name,
            f"{flight.first_s:.2f} s",
            f"{flight.last_s:.2f} s",
            f"{flight.distance_m:.2f} m",
            f"{fall.depth_sd * math.sqrt(max(fall.chi2, 1.0)):.1%}",
            f"{math.sqrt(fall.chi2):.1f}",
        )
    console.print(flights)
    console.print(
        "fit: rms of what the fall leaves over, in standard deviations; about 1 is as it should be", style="dim"
    )
    for number, first_s in plumb.left_out:
        console.print(
            f"{recordings[number].name} at {first_s:.2f} s is no fall and was left out; did the camera move?",
            style="yellow",
            soft_wrap=True,
        )


def _wish(plumb: Plumb, sd_deg: float) -> str:
    if sd_deg <= GOOD_SD_DEG:
        return ""
    return f"; {plumb.more_flights(math.radians(GOOD_SD_DEG))} more for {GOOD_SD_DEG:g} degree"
