"""Clips of a flight to learn from without labels: small pictures, the background behind them, how bodies fall in them.

A clip is a video beside nothing at all, or beside the truth that `posecast synth dive` writes, which is used for
measuring only; or it is drawn here, a figure of capsules in free fall, which needs no renderer.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from engines.skeleton import BONES
from training.errors import TrainingError
from training.geometry import keypoint_box
from training.scenes import Scenes, canvases
from training.synth.motion import random_rotation, sample_random

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]

SUFFIX: Final = (".mp4", ".mov", ".mkv")
GRAVITY_M_S2: Final = 9.81
STATURE_M: Final = 1.7
JITTER: Final = 0.15


@dataclass(frozen=True)
class Clip:
    """One flight seen by a camera at rest, the whole picture squeezed to a square."""

    frames: Picture  # (T, S, S, 3) RGB
    background: Picture  # (S, S, 3)
    gravity: float
    """Downward acceleration in window coordinates per frame squared."""
    flight: tuple[int, int]
    """First frame of the free fall and the one after its last."""
    theta: Array | None = None  # (T, 4) true boxes


class Tuples(NamedTuple):
    """A batch of four frames each of a video, in order."""

    picture: torch.Tensor  # (B, 4, S, S, 3) uint8
    background: torch.Tensor  # (B, S, S, 3) uint8
    time: torch.Tensor  # (B, 4) frames
    gravity: torch.Tensor  # (B,) window coordinates per frame squared
    jitter: torch.Tensor  # (B, 4, 2, 3) gain and offset of each channel
    shift: torch.Tensor  # () by how many frames the time-invariant vectors are handed on


def median_background(frames: Picture) -> Picture:
    """Per-pixel median over time (T, h, w, 3): right where the subject covers a pixel less than half of the time."""
    return np.asarray(np.median(frames[:: max(1, len(frames) // 60)], axis=0), np.uint8)


def half_background(frames: Picture) -> Picture:
    """Lower half of the first frame and upper half of the last: a diver moves from top to bottom."""
    middle = frames.shape[1] // 2
    return np.concatenate([frames[-1, :middle], frames[0, middle:]])


def drawn_clip(seed: int, side: int, frames: int = 48, rate_hz: float = 50.0) -> Clip:
    """A figure of capsules that turns in free fall before a painted background; the same for the same seed."""
    rng = np.random.default_rng([0xF17, seed])
    bank = canvases(1)
    scenery = cv2.resize(bank[int(rng.integers(len(bank)))], (side, side), interpolation=cv2.INTER_AREA)
    height_share = rng.uniform(0.22, 0.34)  # of the picture, stretched out
    per_m = 2 * height_share / STATURE_M  # window units a metre
    fall = GRAVITY_M_S2 * per_m / rate_hz**2
    # Thrown up, apex after a fifth to a third of the clip, and inside the picture at the end.
    apex = rng.uniform(0.15, 0.35) * frames
    top = rng.uniform(-0.75, -0.6)
    t = np.arange(frames)
    y = top + fall / 2 * (t - apex) ** 2
    y = top + (y - top) * min(1.0, (0.85 - top) / (y.max() - top))
    acceleration = float(np.diff(y, 2)[0])
    x = rng.uniform(-0.4, 0.4) + rng.uniform(-0.4, 0.4) * t / frames
    keys = sample_random(rng, 3).joints_m  # (3, 17, 3)
    share = np.linspace(0, 1.999, frames)
    first = share.astype(int)
    blend = (share - first)[:, None, None]
    shape = keys[first] * (1 - blend) + keys[first + 1] * blend
    start, turns = random_rotation(rng), rng.uniform(-2, 2) * 2 * np.pi / frames
    tint, limb = rng.uniform(0, 255, (2, 3)), max(2, round(0.09 * per_m * side / 2))
    pictures, boxes = [], []
    for k in range(frames):
        spin = _spin(turns * k)
        flat = (shape[k] - shape[k].mean(0)) @ (spin @ start).T
        points = np.stack([x[k], y[k]]) + per_m * np.stack([flat[:, 0], -flat[:, 2]], 1)
        picture = scenery.copy()
        pixels = np.rint(((points + 1) / 2 * side - 0.5) * 16).astype(int)
        for number, (a, b) in enumerate(BONES):
            colour = tuple(float(v) for v in (tint[0] if number % 3 else tint[1]))
            cv2.line(picture, pixels[a].tolist(), pixels[b].tolist(), colour, limb, cv2.LINE_AA, 4)
        pictures.append(picture)
        margin = limb / side
        boxes.append(_theta(points.min(0) - margin, points.max(0) + margin))
    stack = np.stack(pictures)
    return Clip(stack, np.asarray(scenery, np.uint8), acceleration, (0, frames), np.stack(boxes))


def _spin(angle: float) -> Array:
    """Rotation about the line of sight of a picture whose axes are x right and z up."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _theta(low: Array, high: Array) -> Array:
    low, high = low.clip(-1, 1), high.clip(-1, 1)
    return np.concatenate([(high - low) / 2, (high + low) / 2])


def read_clip(path: Path, side: int, background: str, gravity: float) -> Clip:
    """A video file; its truth where FILE.truth.json lies beside it, else all of it counts as flight.

    `background` is `median` or `halves`; `gravity` in window coordinates per frame squared where no truth says it.
    """
    try:
        with av.open(str(path)) as container:
            frames = np.stack(
                [
                    cv2.resize(frame.to_ndarray(format="rgb24"), (side, side), interpolation=cv2.INTER_AREA)
                    for frame in container.decode(video=0)
                ]
            )
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise TrainingError(f"{path}: no video can be read here ({error}); remove it or record it again") from None
    make = {"median": median_background, "halves": half_background}[background]
    truth = path.with_suffix(".truth.json")
    if not truth.exists():
        return Clip(frames, make(frames), gravity, (0, len(frames)))
    try:
        fall, flight, theta = _told(json.loads(truth.read_text()), len(frames))
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise TrainingError(
            f"{truth}: not the truth of a camera at rest ({reason}); remove the video, or render it again"
        ) from None
    return Clip(frames[: len(theta)], make(frames), fall, flight, theta)


def _told(data: dict[str, Any], frames: int) -> tuple[float, tuple[int, int], Array]:
    """Gravity (window coordinates per frame squared), first and last frame of the flight, boxes (T, 4)."""
    width, height = data["size_px"]
    rows = data["frames"][:frames]
    joints = np.array([row["joints_img_px"] for row in rows], float)
    centre, size = keypoint_box((joints + 0.5) / [width / 2, height / 2] - 1, pad=0.05)
    theta = np.stack([_theta(c - s / 2, c + s / 2) for c, s in zip(centre, size, strict=True)])
    flying = [k for k, row in enumerate(rows) if row["phase"] == "flight"]
    flight = (flying[0], flying[-1] + 1) if flying else (0, len(rows))
    camera = np.array(data["world_from_cam"])
    root = np.array([row["joints_world_m"][0] for row in rows])
    depth = float(np.median((root - camera[:3, 3]) @ camera[:3, 2]))
    per_m = 2 * float(data["camera_matrix_px"][1][1]) / depth / height
    return GRAVITY_M_S2 * per_m * abs(float(camera[2, 1])) / float(data["fps"]) ** 2, flight, theta


def read_clips(folder: Path, side: int, background: str, gravity: float) -> list[Clip]:
    """Every video of a folder and its subfolders, in order of name."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIX)
    if not paths:
        raise TrainingError(f"{folder}: no videos ({', '.join(SUFFIX)}); make some with `posecast synth dive`")
    return [read_clip(path, side, background, gravity) for path in paths]


@dataclass(frozen=True)
class Sampling:
    """Which four frames: equally spaced ones by `spacing` (least, most), or a reference with a near, a middle and a
    far one by `near` and `far` (d_max), all in frames."""

    spacing: tuple[int, int] = (3, 8)
    near: int = 3
    far: int = 20


def equal_times(rng: np.random.Generator, flight: tuple[int, int], sampling: Sampling) -> NDArray[np.int64]:
    """Four equidistant frames (4,) of a flight."""
    first, end = flight
    most = min(sampling.spacing[1], (end - 1 - first) // 3)
    spacing = int(rng.integers(min(sampling.spacing[0], most), most + 1))
    start = int(rng.integers(first, end - 3 * spacing))
    return start + spacing * np.arange(4)


def contrast_times(rng: np.random.Generator, frames: int, sampling: Sampling) -> NDArray[np.int64]:
    """A reference, a frame at most `near` away, one between, and one at least `far` away (4,)."""
    far = min(sampling.far, (frames - 1) // 2)
    near = min(sampling.near, max(1, far - 2))
    reference = int(rng.integers(frames))

    def other(least: int, most: int) -> int:
        choices = [k for k in range(frames) if least <= abs(k - reference) <= most]
        return int(rng.choice(choices))

    return np.array([reference, other(1, near), other(near + 1, max(near + 1, far - 1)), other(far, frames)])


class Flights:
    """Batches of tuples; `make(step, count, contrast)` depends on the seed and its arguments alone."""

    def __init__(self, clips: list[Clip], sampling: Sampling, seed: int) -> None:
        self.clips = [clip for clip in clips if clip.flight[1] - clip.flight[0] >= 4]
        self.sampling, self.seed = sampling, seed
        if not self.clips:
            raise TrainingError("no clip holds four frames of flight; give longer videos")

    def make(self, step: int, count: int, contrast: bool) -> Tuples:
        """Batch number `step` of `count` tuples, equally spaced in flight or sampled for the contrastive loss."""
        rng = np.random.default_rng([self.seed, step])
        rows = []
        for _ in range(count):
            clip = self.clips[int(rng.integers(len(self.clips)))]
            if contrast:
                times = contrast_times(rng, len(clip.frames), self.sampling)
            else:
                times = equal_times(rng, clip.flight, self.sampling)
            jitter = np.stack([np.exp(rng.normal(0, JITTER, (4, 3))), rng.normal(0, 2 * JITTER, (4, 3))], 1)
            rows.append((clip.frames[times], clip.background, times.astype(np.float32), clip.gravity, jitter))
        columns = [np.stack(column) for column in zip(*rows, strict=True)]
        picture, background = (torch.from_numpy(column) for column in columns[:2])
        numbers = [torch.from_numpy(np.asarray(column, np.float32)) for column in columns[2:]]
        return Tuples(picture, background, *numbers, torch.tensor(int(rng.integers(1, 4))))


def frames_of(clips: list[Clip], limit: int = 1000) -> Scenes:
    """The frames in flight of clips with truth, as whole pictures with the subject's box; every clip's share alike."""
    rows = [(c.frames[k], c.theta[k]) for c in clips if c.theta is not None for k in range(*c.flight)]
    if not rows:
        raise TrainingError("no clip has truth beside it; boxes cannot be measured")
    chosen = [rows[k] for k in np.linspace(0, len(rows) - 1, min(limit, len(rows))).astype(int)]
    one = torch.ones(len(chosen), 1)
    theta = torch.from_numpy(np.stack([box for _, box in chosen]).astype(np.float32))
    return Scenes(torch.from_numpy(np.stack([picture for picture, _ in chosen])), theta, one, one, one)
