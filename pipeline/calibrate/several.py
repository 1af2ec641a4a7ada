"""`posecast calibrate extrinsics --several`: resting cameras placed by an athlete whom all of them saw.

The poses of the same dives from each camera go in; out come camera files in one world, and how the clocks differ.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from calibration.errors import CalibrationError
from calibration.several import Related, related
from calibration.store import Calibration, load, save
from flight.centres import Recording, centres_of
from flight.standpoint import levelled
from flight.synchrony import body, common, offset_between, tops_of, watched
from flight.verticals import plumbed
from pipeline.calibrate.gravity import recording

Floats = NDArray[np.float64]

MOST_SD: Final = 0.05
"""Standard deviation of a camera's place over its distance from the first, above which nothing is written."""


@dataclass(frozen=True)
class Seen:
    """One camera: its file as it is, and what it has seen."""

    name: str
    before: Calibration
    recording: Recording


def calibrate_several(given: Sequence[str], out: Path, console: Console) -> Related:
    """Place the cameras and write NAME.toml for each into the folder `out`. Raises CalibrationError, OutputError."""
    seen = [_read(text) for text in given]
    _refuse_names([one.name for one in seen])
    with console.status("looking for flights"):
        tops = [tops_of(centres_of(one.recording, one.before.camera), _down(one)) for one in seen]
        names = [one.name for one in seen]
        offsets = [0.0] + [
            offset_between(tops[0], other, (names[0], name)) for other, name in zip(tops[1:], names[1:], strict=True)
        ]
        flights = common(tops, offsets)
    with console.status(f"adjusting {len(seen)} cameras over {len(flights)} flights"):
        found = related([watched(one.name, one.recording, one.before.camera) for one in seen], offsets, flights, body())
    _report(seen, found, len(flights), console)
    _refuse_unsure(seen, found)
    for one, calibration in zip(seen, _placed(seen, found, len(flights)), strict=True):
        save(out / f"{one.name}.toml", calibration)
    console.print(", ".join(str(out / f"{one.name}.toml") for one in seen), soft_wrap=True, highlight=False)
    return found


def _read(text: str) -> Seen:
    name, _, files = text.partition("=")
    poses, _, camera = files.rpartition(",")
    if not (name and poses and camera) or "/" in name:
        raise CalibrationError(f"{text}: expected NAME=POSES,CAMERA, such as left=left/poses.npz,left.toml")
    before = load(Path(camera))
    return Seen(name, before, recording(Path(poses), before.camera))


def _refuse_names(names: Sequence[str]) -> None:
    if len(names) < 2:
        raise CalibrationError("--several: expected two cameras or more, each as NAME=POSES,CAMERA")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CalibrationError(f"--several: the name {twice[0]} is there twice; each camera needs its own")


def _down(seen: Seen) -> Floats:
    """The vertical as the file says, or from the flights; where they do not tell it, the camera is taken as level."""
    if seen.before.gravity_cam is not None:
        return np.asarray(seen.before.gravity_cam)
    try:
        return plumbed([seen.recording], seen.before.camera).down_cam
    except CalibrationError:
        return np.array([0.0, 1.0, 0.0])


def _placed(seen: Sequence[Seen], found: Related, flights: int) -> list[Calibration]:
    scene, first = found.found.scene, seen[0].before
    world_from_first = levelled(scene.down) if first.world_from_cam is None else np.asarray(first.world_from_cam)
    source = f"calibrate extrinsics --several, {datetime.now(UTC):%Y-%m-%d}: {len(seen)} cameras, {flights} flights"
    made = []
    for k, one in enumerate(seen):
        pose = world_from_first @ np.linalg.inv(scene.poses[k])
        clock = f", clock {scene.offsets_s[k]:+.4f} s against {seen[0].name}" if k else ""
        made.append(
            replace(
                one.before,
                world_from_cam=pose,
                gravity_cam=None,
                board=first.board,
                source=f"{source}{clock}",
                name=one.before.name or one.name,
            )
        )
    return made


def _refuse_unsure(seen: Sequence[Seen], found: Related) -> None:
    for k in range(1, len(seen)):
        away = float(np.linalg.norm(found.found.scene.poses[k][:3, 3]))
        sd = found.sd(k)[1]
        if sd > MOST_SD * away:
            raise CalibrationError(
                f"the place of {seen[k].name} is uncertain by {sd / away:.0%} of its distance from {seen[0].name}, "
                f"{MOST_SD:.0%} are allowed; record more dives, or place the cameras farther apart"
            )


def _report(seen: Sequence[Seen], found: Related, flights: int, console: Console) -> None:
    scene = found.found.scene
    table = Table(box=None, pad_edge=False)
    for column in ("camera", "distance", "sd", "turn sd", "clock", "sd", "reprojection", "left out"):
        table.add_column(column, justify="left" if column == "camera" else "right")
    for k, one in enumerate(seen):
        track_px = watched(one.name, one.recording, one.before.camera).track.sd * one.before.camera.focal_px
        rms_px = float(np.sqrt(np.nanmean(found.found.residuals[k] ** 2))) * track_px
        row = ["", "", "", "", ""]
        if k:
            turn, place, clock = found.sd(k)
            away = float(np.linalg.norm(scene.poses[k][:3, 3]))
            row = [f"{away:.2f} m", f"{place:.2f} m", f"{math.degrees(turn):.2f} deg"]
            row += [f"{1e3 * scene.offsets_s[k]:+.1f} ms", f"{1e3 * clock:.1f} ms"]
        table.add_row(one.name, *row, f"{rms_px:.1f} px", f"{found.share_wrong[k]:.0%}")
    console.print(table)
    console.print(
        f"from {flights} flights; distances, turns and clocks against {seen[0].name}; the vertical has sd "
        f"{math.degrees(found.down_sd_rad):.1f} degrees",
        style="dim",
        soft_wrap=True,
    )
    down = seen[0].before.gravity_cam
    if down is not None:
        off = math.degrees(math.acos(float(np.clip(down @ scene.down, -1, 1))))
        console.print(f"the vertical in {seen[0].name}'s file is {off:.1f} degrees away", style="dim", soft_wrap=True)
    if seen[0].before.world_from_cam is None:
        console.print(
            f"{seen[0].name} is not placed, so the world's origin is there; place it first with --template to have it "
            "at the board",
            style="dim",
            soft_wrap=True,
        )
