"""`synth-dives`: the whole pipeline, `posecast replay` in its own processes, on rendered dives never trained on.

The clips are the *.mp4 with a *.truth.json beside them below DATA/dives; where there are none, some are rendered.
Clips that an older recipe rendered are rendered again.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from engines import store
from engines.codecs import Crop, box_token, crop_of_box, normalised_keypoints
from engines.contracts import SHIPPED
from training import geometry as geo
from training import metrics
from training.errors import TrainingError
from training.evaluate.networks import Networks, digest
from training.evaluate.poses3d import pose_row, sequence_row
from training.evaluate.result import Figures, MaterialMissing, Plot, Request, Result, Row
from training.evaluate.truth import Truth

Array = NDArray[Any]

SEEDS: Final = (9201, 9202, 9203, 9204)
"""Seeds of the clips rendered here; training uses small ones, the sample dive 7001."""
CAMERAS: Final = ("static", "follow", "follow", "static")
"""How the camera of each of them moves; where it stands is drawn by the seed."""
RECIPE: Final = 2
"""Number of the recipe by which they are rendered, written into their truth: count on when pictures change."""
CONFIG: Final = Path(__file__).resolve().parents[2] / "configs" / "replay.toml"
CROP_FACTOR: Final = 1.25
POSES, MOTION, PICTURE = "3D poses", "Motion", "In the picture"
PIPELINE, PER_FRAME = "whole pipeline, final poses", "same keypoints, frame by frame"
ALL = "all clips"


@dataclass(frozen=True)
class Measured:
    """One clip through the pipeline, at the F frames that are tracked and in view."""

    seq: Array  # (F,)
    joints_root_m: Array  # (F, J, 3)
    alone_root_m: Array  # (F, J, 3) by the per-frame lifter
    joints_img_px: Array  # (F, J, 2)
    boxes_img_px: Array  # (F, 4)
    truth: Truth

    @property
    def truth_root_m(self) -> Array:
        """Truth of the same frames."""
        return np.asarray(self.truth.joints_root_m[self.seq])


def synth_dives(request: Request) -> Result:
    """Errors of final poses, of their motion, of keypoints, and of the tracker's box."""
    folder = request.data / "dives"
    videos = _videos(folder)[: request.limit or None]
    networks = Networks(request.weights, request.encoder, request.precision)
    clips = {}
    for video, poses in zip(videos, _replayed(videos, request), strict=True):
        clips[str(video.relative_to(folder).with_suffix(""))] = _measured(networks, poses, Truth.beside(video))
    if not any(len(clip.seq) for clip in clips.values()):
        raise TrainingError(f"{folder}: in no clip was the subject tracked while in view")
    return Result(
        "synth-dives",
        f"{len(clips)} rendered dives in `{folder.name}`, not trained on, through `posecast replay`",
        sum(int(clip.truth.in_view.sum()) for clip in clips.values()),
        _tables(clips),
        (_plot(clips),),
        (
            "Samples are frames with the diver in view: pelvis and 8 other joints inside the picture and above the "
            "water. Errors are of those of them in which it was tracked; a frame that was not tracked has no box. The "
            "true box is that of the joints, enlarged by 7.5 % of its diagonal on each side. First lock: from the "
            "first frame in view to the first tracked one.",
        ),
        networks.used | {c.network: digest(c.network, request.weights) for c in _shipped(request)},
    )


def _shipped(request: Request) -> list[Any]:
    there = {file.stem for file in store.folder_of(request.weights).glob("*.onnx")}
    skipped = {name for name in there if name.startswith("hrnet_") and name != f"hrnet_{request.encoder}"}
    return [contract for contract in SHIPPED if contract.network in there - skipped]


def _videos(folder: Path) -> list[Path]:
    found = _with_truth(folder)
    ours = [folder / f"dive-{seed}" for seed in SEEDS]
    for seed, camera, clip in zip(SEEDS, CAMERAS, ours, strict=True):
        if not found or (clip.is_dir() and not _up_to_date(clip)):
            _render(clip, seed, camera)
    return _with_truth(folder)


def _with_truth(folder: Path) -> list[Path]:
    return [video for video in sorted(folder.rglob("*.mp4")) if video.with_suffix(".truth.json").is_file()]


def _up_to_date(folder: Path) -> bool:
    """Whether the clip in `folder` is whole and was rendered by today's recipe."""
    try:
        truth = json.loads((folder / "dive.truth.json").read_text(encoding="utf-8"))
        return isinstance(truth, dict) and truth.get("recipe") == RECIPE and (folder / "dive.mp4").is_file()
    except (OSError, ValueError):
        return False


def _render(folder: Path, seed: int, camera: str) -> None:
    try:
        from training.synth import clip, dive, render, shots
    except ImportError as error:
        raise MaterialMissing(f"{folder.parent}: clips to render, and none can be rendered ({error})") from None
    chance = np.random.default_rng(seed)
    told = {"recipe": RECIPE, "made_with": f"posecast eval synth-dives, seed {seed}"}
    try:
        while True:
            try:
                # Not thorough: the clips of a recipe stay the same when the search for twists learns more.
                plan = dive.random_plan(chance)
                clip.write(folder, seed, plan, shots.Shot(camera, "random"), thorough=False, **told)
                return
            except dive.DiveError:  # this body cannot make it: another dive
                continue
    except (render.NoGraphicsError, OSError) as error:
        raise MaterialMissing(f"{folder.parent}: clips to render, and none can be rendered ({error})") from None


def _replayed(videos: list[Path], request: Request) -> Iterator[dict[str, Array]]:
    """Columns of `poses.npz` of every video. The pipeline runs by its command: training may not import it."""
    weights = store.folder_of(request.weights).resolve()
    settings = f'\n[encode]\nnetwork = "{request.encoder}"\n\n[engines]\nweights = "{weights}"\n'
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "replay.toml"
        config.write_text(CONFIG.read_text(encoding="utf-8") + settings, encoding="utf-8")
        for number, video in enumerate(videos):
            out = Path(name) / str(number)
            command = [sys.executable, "-m", "pipeline.cli", "replay", str(video), "--out", str(out)]
            command += ["--config", str(config), "--no-overlay", "--no-plot"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                last = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
                raise TrainingError(f"{video}: posecast replay ended with {done.returncode}: {last[-1]}")
            with np.load(out / "poses.npz", allow_pickle=False) as data:
                yield {column: data[column] for column in data.files}


def _measured(networks: Networks, poses: dict[str, Array], truth: Truth) -> Measured:
    known = (poses["seq"] >= 0) & (poses["seq"] < len(truth.in_view))
    rows = known & poses["tracked"] & truth.in_view[np.where(known, poses["seq"], 0)]
    rows &= np.isfinite(poses["joints_root_m"]).all((1, 2))
    chosen = {name: poses[name][rows] for name in ("seq", "joints_root_m", "joints_img_px", "box_img_px")}
    alone = _alone(networks, {name: column[rows] for name, column in poses.items() if len(column) == len(rows)})
    return Measured(chosen["seq"], chosen["joints_root_m"], alone, chosen["joints_img_px"], chosen["box_img_px"], truth)


def _alone(networks: Networks, poses: dict[str, Array]) -> Array:
    """What the per-frame lifter (MLP decoder) makes of the very keypoints that the temporal network had, (F, J, 3)."""
    if not len(poses["seq"]):
        return np.zeros((0, 17, 3))
    keypoints, boxes = [], []
    for box, points, size, focal in zip(
        poses["box_img_px"], poses["joints_img_px"], poses["size_px"], poses["focal_px"], strict=True
    ):
        crop: Crop = crop_of_box(tuple(float(edge) for edge in box), CROP_FACTOR)
        width, height = (int(side) for side in size)
        camera = Camera(width, height, float(focal), ((width - 1) / 2, (height - 1) / 2))
        keypoints.append(normalised_keypoints(points, crop))
        boxes.append(box_token(crop, camera))
    return networks.lift(np.array(keypoints), poses["joints_conf"], np.array(boxes))


def _tables(clips: dict[str, Measured]) -> tuple[Figures, ...]:
    truth = np.concatenate([clip.truth_root_m for clip in clips.values()])
    ours = np.concatenate([clip.joints_root_m for clip in clips.values()])
    alone = np.concatenate([clip.alone_root_m for clip in clips.values()])
    poses = {PIPELINE: pose_row(ours, truth), PER_FRAME: pose_row(alone, truth)}
    motion = {
        PIPELINE: _motion(clips, lambda clip: clip.joints_root_m),
        PER_FRAME: _motion(clips, lambda clip: clip.alone_root_m),
    }
    if "acceleration mm/frame2" in motion[PIPELINE]:
        change = motion[PIPELINE]["acceleration mm/frame2"] / motion[PER_FRAME]["acceleration mm/frame2"] - 1
        motion[PIPELINE]["acceleration against per frame %"] = 100 * change
    picture = {name: _picture_row([clip]) for name, clip in clips.items()}
    picture[ALL] = _picture_row(list(clips.values()))
    return Figures(POSES, poses), Figures(MOTION, motion), Figures(PICTURE, picture)


def _motion(clips: dict[str, Measured], of: Callable[[Measured], Array]) -> Row:
    """Errors of motion over all runs of at least four frames without a gap, weighted by their length."""
    total: Row = {}
    weight = 0
    for clip in clips.values():
        cuts = [0, *(np.flatnonzero(np.diff(clip.seq) != 1) + 1).tolist(), len(clip.seq)]
        for first, end in pairwise(cuts):
            if end - first >= 4:
                row = sequence_row(of(clip)[None, first:end], clip.truth_root_m[None, first:end], clip.truth.rate_hz)
                total = {name: total.get(name, 0.0) + value * (end - first) for name, value in row.items()}
                weight += end - first
    return {name: value / weight for name, value in total.items()}


def _picture_row(clips: list[Measured]) -> Row:
    """Keypoints and boxes: PCK over the tracked frames, overlap over all frames in view, time to the first lock."""
    in_view = sum(int(clip.truth.in_view.sum()) for clip in clips)
    tracked = sum(len(clip.seq) for clip in clips)
    row: Row = {"frames in view": float(in_view)}
    if in_view:
        row["tracked %"] = 100 * tracked / in_view
        row["box IoU > 0.5 %"] = 100 * sum(int((_overlap(clip) > 0.5).sum()) for clip in clips) / in_view
    if tracked:
        seen = np.concatenate([clip.joints_img_px for clip in clips])
        truth = np.concatenate([clip.truth.joints_img_px[clip.seq] for clip in clips])
        torso, box = np.linalg.norm(metrics.trunk(truth), axis=-1), (truth.max(1) - truth.min(1)).max(-1)
        row["PCK@0.1 box %"] = metrics.pck(seen, truth, box, 0.1)
        row["PCK@0.2 torso %"] = metrics.pck(seen, truth, torso, 0.2)
        row["EPE px"] = metrics.epe(seen, truth, np.isfinite(seen).all(-1))
    locks = [first_lock_s(clip.seq, clip.truth) for clip in clips]
    return row | {"first lock s": max(locks)}


def first_lock_s(seq: Array, truth: Truth) -> float:
    """Seconds from the first frame in view to the first tracked one; infinite where there is none."""
    if not len(seq):
        return float("inf")
    return float((seq.min() - np.flatnonzero(truth.in_view)[0]) / truth.rate_hz)


def _overlap(clip: Measured) -> Array:
    """Intersection over union (F,) of the tracker's boxes with those of the joints."""
    centre, size = geo.keypoint_box(clip.truth.joints_img_px[clip.seq])
    boxes = clip.boxes_img_px
    ours = np.concatenate([(boxes[:, 2:] - boxes[:, :2]) / 2, (boxes[:, 2:] + boxes[:, :2]) / 2], 1)
    return metrics.box_iou(ours, np.concatenate([size / 2, centre], 1))


def _plot(clips: dict[str, Measured]) -> Plot:
    name, clip = max(clips.items(), key=lambda item: len(item[1].seq))
    truth = clip.truth_root_m
    series = {
        who: tuple(np.linalg.norm(poses - truth, axis=-1).mean(-1) * metrics.MM)
        for who, poses in ((PIPELINE, clip.joints_root_m), (PER_FRAME, clip.alone_root_m))
    }
    places = tuple(float(seq) / clip.truth.rate_hz for seq in clip.seq)
    return Plot("synth-dives", f"Error over {name}", places, series, "seconds", "MPJPE, mm")
