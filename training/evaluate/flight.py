"""`flight`: free fall as a measure: places, moments and dives, from noisy joints and from pixels, with controls.

From joints: simulated dives before simulated cameras, 3 cm and 3 px of noise, placed and told by the live code
(`falls`). From pixels: rendered clips through `posecast replay` with their camera files, as a user would run it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from engines import store
from flight.report import DiveReport
from training.errors import TrainingError
from training.evaluate import controls, falls, rigs, told
from training.evaluate.flight_clips import Clip, clips
from training.evaluate.networks import digest
from training.evaluate.result import Figures, Plot, Request, Result, Row
from training.evaluate.synth_dives import CONFIG

Array = NDArray[Any]

DIVES: Final = 200
JOINTS, PIXELS = "Dives, from noisy joints", "Dives, from pixels"
PLACES: Final = "Places in flight"
CALIBRATION: Final = "Calibration"
COVERAGE: Final = "coverage of 95 % intervals, %"
FROM_JOINTS, FROM_PIXELS = "from noisy joints", "from pixels"
CHI2_95: Final = 7.815
"""95 % of chi-square with three degrees of freedom."""


def flight(request: Request) -> Result:
    """Every figure of free fall, and what is lost without it."""
    count = request.at_most(DIVES)
    by_joints = list(falls.outcomes(count))
    rendered = clips(request.data, request.limit)
    by_pixels = list(_replayed(rendered, request))
    joints_errors = [_errors_of_joints(outcome) for outcome in by_joints]
    pixels_errors = [replayed.errors for replayed in by_pixels]
    cases = falls.camera_cases()
    return Result(
        "flight",
        f"{count} simulated dives, and {len(rendered)} rendered ones in `flight` through `posecast replay`",
        count + len(rendered),
        (
            Figures(PLACES, {FROM_JOINTS: _places_of_joints(by_joints), FROM_PIXELS: _places_of_pixels(by_pixels)}),
            Figures(JOINTS, told.summed_up(joints_errors)),
            Figures(PIXELS, told.summed_up(pixels_errors)),
            Figures(falls.CASES_TITLE, cases),
            Figures(
                CALIBRATION, controls.boards_and_falls(request.limit, [(one.clip, one.poses) for one in by_pixels])
            ),
            Figures(rigs.TITLE, rigs.errors(request.limit)),
            Figures(controls.TITLE, controls.tracking(request.limit)),
        ),
        (_moments(joints_errors, pixels_errors), _cases(cases)),
        notes=(
            "Depth bias: mean relative error of the distance along the optical axis while in flight. Height: root mean "
            "square of the vertical error of the centre of gravity (from pixels: of the pelvis), as at "
            f"{told.NOMINAL_M:g} m. Coverage: share of places whose stated 95 % region holds the truth. Entry angles "
            "are compared at the moment of the entry, between the frames.",
        ),
        networks={file.stem: digest(file.stem, request.weights) for file in _networks(request)},
    )


def _moments(joints: list[told.Errors], pixels: list[told.Errors]) -> Plot:
    """How large the errors of the two moments are, in how many of the dives."""
    shares = tuple(range(5, 100, 5))
    series = {}
    for source, errors in ((FROM_JOINTS, joints), (FROM_PIXELS, pixels)):
        for moment, name in (("take_off_s", "take-off"), ("entry_s", "entry")):
            sizes = np.abs([1e3 * one[moment] for one in errors])
            series[f"{name}, {source}"] = tuple(np.nanpercentile(sizes, shares).tolist())
    return Plot(
        "flight-moments", "Errors of take-off and entry", shares, series, "percent of the dives", "error at most, ms"
    )


def _cases(cases: dict[str, Row]) -> Plot:
    """What a fall alone tells of the distance, by the camera."""
    names = tuple(cases)
    return Plot(
        "flight-depth",
        "Error of a fall's distance, by the camera",
        names,
        {column: tuple(cases[name][column] for name in names) for column in ("depth bias %", "depth sd %")},
        "",
        "percent",
    )


def _networks(request: Request) -> list[Path]:
    wanted = store.folder_of(request.weights).glob("*.onnx")
    return sorted(file for file in wanted if "." not in file.stem and file.stem.split("_")[0] != "diffusion")


def _errors_of_joints(outcome: falls.Outcome) -> told.Errors:
    report = None if outcome.told is None else outcome.told.report
    if not isinstance(report, DiveReport):
        return told.nothing()
    true, dived = outcome.sighted.told, outcome.sighted.truth
    angle = told.entry_angle_deg(dived.t_s, dived.joints_world_m, true["entry_s"], true["head_first"])
    return told.errors(msgspec.to_builtins(report), true, angle)


def _places(depths: list[float], heights_rms_m: list[float], inside: list[float]) -> Row:
    return {
        "depth bias %": 100 * float(np.nanmean(depths)),
        "depth sd %": 100 * float(np.nanstd(depths)),
        "height rms, cm": 100 * float(np.sqrt(np.nanmean(np.square(heights_rms_m)))),
        COVERAGE: 100 * float(np.nanmean(inside)),
        "dives": len(depths),
    }


def _places_of_joints(outcomes: list[falls.Outcome]) -> Row:
    return _places(
        [one.fall_depth for one in outcomes], [one.height_rms_m for one in outcomes], [one.inside for one in outcomes]
    )


@dataclass(frozen=True)
class Replayed:
    """What `posecast replay` gave of a clip, beside its truth."""

    clip: Clip
    errors: told.Errors
    depth: float
    height_rms_m: float
    inside: float
    poses: dict[str, Array]


def _places_of_pixels(found: list[Replayed]) -> Row:
    return _places([one.depth for one in found], [one.height_rms_m for one in found], [one.inside for one in found])


def _replayed(rendered: list[Clip], request: Request) -> Iterator[Replayed]:
    """Every clip through the pipeline by its command, with its camera file: training may not import the pipeline."""
    weights = store.folder_of(request.weights).resolve()
    with tempfile.TemporaryDirectory() as name:
        for clip in rendered:
            config, out = Path(name) / "replay.toml", Path(name) / clip.name
            settings = f'\n[camera]\nfile = "{clip.camera_file.resolve()}"\n\n[engines]\nweights = "{weights}"\n'
            config.write_text(CONFIG.read_text(encoding="utf-8") + settings, encoding="utf-8")
            command = [sys.executable, "-m", "pipeline.cli", "replay", str(clip.video), "--out", str(out)]
            command += ["--config", str(config), "--no-overlay", "--no-plot"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                last = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
                raise TrainingError(f"{clip.video}: posecast replay ended with {done.returncode}: {last[-1]}")
            with np.load(out / "poses.npz", allow_pickle=False) as data:
                yield _compared(clip, {column: data[column] for column in data.files}, _report(out))


def _report(out: Path) -> dict[str, Any] | None:
    """The longest flight that was told as a dive."""
    reports = [json.loads(path.read_text(encoding="utf-8"))["report"] for path in sorted(out.glob("dive-*.json"))]
    return max(reports, key=lambda report: report["flight_time_s"]["value"], default=None)


def _compared(clip: Clip, poses: dict[str, Array], report: dict[str, Any] | None) -> Replayed:
    frames = clip.truth["frames"]
    t_s = np.array([frame["t_s"] for frame in frames])
    joints = np.array([frame["joints_world_m"] for frame in frames])
    true = clip.report
    angle = told.entry_angle_deg(t_s, joints, true["entry_s"], true["head_first"])
    errors = told.nothing() if report is None else told.errors(report, true, angle)
    rows = (poses["t_media_s"] >= true["take_off_s"]) & (poses["t_media_s"] <= true["entry_s"])
    rows &= np.isfinite(poses["joints_world_m"]).all((1, 2)) & (poses["seq"] < len(frames))
    if not rows.any():
        return Replayed(clip, errors, np.nan, np.nan, np.nan, poses)
    matrix = np.array(clip.truth["world_from_cam"])
    pelvis, exact = poses["joints_world_m"][rows, 0].astype(float), joints[poses["seq"][rows], 0]
    ahead, away = matrix[:3, 2], exact - matrix[:3, 3]
    off = pelvis - exact
    distance = float(np.linalg.norm(away, axis=1).mean())
    xx, xy, xz, yy, yz, zz = poses["joints_cov_m2"][rows, 0].astype(float).T
    covariance = np.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], -1).reshape(-1, 3, 3)
    squared = np.einsum("ta,tab,tb->t", off, np.linalg.inv(covariance + 1e-9 * np.eye(3)), off)
    return Replayed(
        clip,
        errors,
        float(np.mean((off @ ahead) / (away @ ahead))),
        float(np.sqrt(np.mean(off[:, 2] ** 2))) * told.NOMINAL_M / distance,
        float(np.mean(squared <= CHI2_95)),
        poses,
    )
