"""Several cameras before the same simulated dives, each with a clock of its own: what they saw, and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.several import related
from flight.centres import Recording, centres_of
from flight.synchrony import body, common, offset_between, tops_of, watched
from flight.verticals import plumbed
from training.evaluate.falls import NOISE_PX, RATE_HZ, SIZE_PX
from training.evaluate.result import Row
from training.evaluate.verticals import dives_of
from training.synth import dive, shots
from training.synth.camera import Camera as View

Array = NDArray[Any]

OUTLIERS: Final = 0.1
OUTLIER_PX: Final = 60.0
"""Standard deviation of a joint that is found elsewhere."""
_POSE_NOISE_M: Final = 0.05
_BETWEEN_S: Final = 10.0
_STANDS: Final = ("side", "front", "quarter")

TITLE: Final = "Two cameras placed from a third by the divers all saw"
REFUSED: Final = "rigs"
RIGS: Final = 4
DIVES_EACH: Final = 3
_FIRST_SEED: Final = 9700


@dataclass(frozen=True)
class Rig:
    """What cameras have seen, one recording each, and the truth: `views`, `offsets_s` of the clocks against the
    first."""

    recordings: list[Recording]
    cameras: list[Camera]
    views: list[View]
    offsets_s: list[float]

    def cam_from_first(self, camera: int) -> Array:
        """The true pose [4, 4] of the first camera's axes in another's."""
        return np.asarray(np.linalg.inv(self.views[camera].world_from_cam) @ self.views[0].world_from_cam)


def rig(
    dives: Sequence[dive.Dive], cameras: int, seed: int, noise_px: float = NOISE_PX, outliers: float = OUTLIERS
) -> Rig:
    """Cameras beside the pool by the seed, whose clocks differ by seconds and whose pictures fall between each
    other's."""
    rng = np.random.default_rng([95, seed])
    points = np.concatenate([one.joints_world_m.reshape(-1, 3) for one in dives])
    views, recordings, lenses, offsets = [], [], [], []
    for k in range(cameras):
        height_m = dives[0].plan.height_m
        view = shots.framing(shots.position(rng, _STANDS[k], height_m), points, SIZE_PX)
        matrix = view.matrix_px
        camera = Camera(*SIZE_PX, float(matrix[0, 0]), (float(matrix[0, 2]), float(matrix[1, 2])))
        offset = float(rng.uniform(-3, 3)) if k else 0.0
        recordings.append(_recorded(rng, f"camera {k}", dives, view, camera, offset, noise_px, outliers))
        views.append(view)
        lenses.append(camera)
        offsets.append(offset)
    return Rig(recordings, lenses, views, offsets)


def _recorded(
    rng: np.random.Generator,
    name: str,
    dives: Sequence[dive.Dive],
    view: View,
    camera: Camera,
    offset_s: float,
    noise_px: float,
    outliers: float,
) -> Recording:
    times, poses, pixels = [], [], []
    for k, one in enumerate(dives):
        t_s = np.arange(rng.uniform(0, 1 / RATE_HZ), one.t_s[-1], 1 / RATE_HZ)
        cam = view.to_cam(_between(one, t_s))
        seen = camera.project(cam) + rng.normal(0, noise_px, (*cam.shape[:2], 2))
        wrong = rng.random(seen.shape[:2]) < outliers
        seen[wrong] += rng.normal(0, OUTLIER_PX, (np.count_nonzero(wrong), 2))
        pose = cam - cam[:, :1] + rng.normal(0, _POSE_NOISE_M, cam.shape)
        under = t_s > one.events_s["under"]
        seen[under], pose[under] = np.nan, np.nan
        times.append(t_s + offset_s + k * _BETWEEN_S)
        poses.append(pose - pose[:, :1])
        pixels.append(seen)
    found = np.concatenate(pixels)
    sure = np.where(np.isfinite(found).all(axis=2), 1.0, 0.0)
    return Recording(name, np.concatenate(times), np.concatenate(poses), found, sure)


def _between(one: dive.Dive, t_s: Array) -> Array:
    """Joints [T, 17, 3] at times between those that were simulated, by cubics through four neighbours."""
    after = np.clip(np.searchsorted(one.t_s, t_s, side="right"), 2, len(one.t_s) - 2)
    part = ((t_s - one.t_s[after - 1]) * one.rate_hz)[:, None, None]
    zero, first, second, third = (one.joints_world_m[after + k] for k in (-2, -1, 0, 1))
    a, b = (third - zero + 3 * (first - second)) / 2, zero - 2.5 * first + 2 * second - third / 2
    return np.asarray(((a * part + b) * part + (second - zero) / 2) * part + first)


def errors(limit: int) -> dict[str, Row]:
    """How well `posecast calibrate extrinsics --several` places two cameras against a third, its files left aside.

    Each rig has dives of its own, from 10 m and 3 m by turns; the clocks are set by the flights alone. Rigs that are
    refused, as a user's would be, are counted.
    """
    count = min(limit or RIGS, RIGS)
    found, refused = [], 0
    for k in range(count):
        try:
            found.append(_errors(_FIRST_SEED + DIVES_EACH * k, 3.0 if k % 2 else 10.0))
        except CalibrationError:
            refused += 1
    if not found:
        return {REFUSED: {"of": float(count), "refused": float(refused)}}
    offset, baseline, turn, down = (np.concatenate(column) for column in zip(*found, strict=True))
    return {
        REFUSED: {"of": float(count), "refused": float(refused)},
        "clock, ms": _spread(offset),
        "distance of the cameras, %": _spread(baseline),
        "turn of a camera, degrees": _spread(turn),
        "vertical, degrees": _spread(down),
    }


def _errors(seed: int, height_m: float) -> tuple[list[float], list[float], list[float], list[float]]:
    made = rig(dives_of(range(seed, seed + DIVES_EACH), height_m), 3, seed)
    tops = []
    for recording, camera in zip(made.recordings, made.cameras, strict=True):
        tops.append(tops_of(centres_of(recording, camera), plumbed([recording], camera).down_cam))
    names = [recording.name for recording in made.recordings]
    guesses = [0.0] + [offset_between(tops[0], tops[k], (names[0], names[k])) for k in (1, 2)]
    seen = [watched(name, one, lens) for name, one, lens in zip(names, made.recordings, made.cameras, strict=True)]
    scene = related(seen, guesses, common(tops, guesses), body()).found.scene
    offset, baseline, turn = [], [], []
    for k in (1, 2):
        true, pose = made.cam_from_first(k), scene.poses[k]
        offset.append(1e3 * float(scene.offsets_s[k] - made.offsets_s[k]))
        baseline.append(100 * float(np.linalg.norm(pose[:3, 3]) / np.linalg.norm(true[:3, 3]) - 1))
        turn.append(_degrees((np.trace(pose[:3, :3] @ true[:3, :3].T) - 1) / 2))
    return offset, baseline, turn, [_degrees(-scene.down @ made.views[0].world_from_cam[2, :3])]


def _degrees(cosine: float) -> float:
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _spread(errors: Array) -> Row:
    sizes = np.abs(errors)
    return {"median": float(np.median(sizes)), "largest": float(sizes.max()), "of": float(len(sizes))}
