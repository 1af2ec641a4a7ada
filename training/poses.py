"""Poses and motion to learn from: mocap clips and generated dives, and pairs of noisy keypoints with true
joints.

No pictures here: a pose is placed before a random camera, projected, cropped as the live tracker would crop it
and disturbed as a keypoint network disturbs it. Units and frames as in `training.geometry`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray

from engines.contracts import CROP_H
from engines.skeleton import BONES, MIRROR, PELVIS, J
from models.view import into_view, keypoints_in_view, view_of
from training import geometry as geo
from training.errors import TrainingError
from training.npz import numbers, read_npz

Array = NDArray[np.float32]

COLLECTIONS: Final = ("cmu_", "acrnn_", "dm_", "mass_", "jump_")
HELD_OUT: Final = frozenset({"cmu_02", "cmu_06", "cmu_49", "cmu_88", "acrnn_martial"})
"""Subjects kept for validation, 14 % of the frames: walks and jumps, basketball, cartwheels and jumps, flips and
handstands, martial arts."""
MIN_FRAMES: Final = 24
DIVE_RATE_HZ: Final = 50.0
FOCAL_GUESS: Final = 0.1
"""Error (standard deviation of the logarithm) of the focal length of a camera that nobody has calibrated."""
PX: Final = 2.0 / CROP_H
"""One pixel of the full-size crop in the unit of `keypoints`."""
LAYOUT: Final = "expected pos17 (F,17,3), metres, z up, ok (F), fps, and name, start, length of each clip"
CALIBRATED: Final = 0.5
"""Share of what is shown in training that was filmed by a camera whose focal length is known."""
SIDES: Final = ((1, 2, 3, 4, 5, 6), (11, 12, 13, 14, 15, 16))
"""Legs, arms: groups a keypoint network swaps left for right as a whole."""


@dataclass(frozen=True)
class Clip:
    """One motion: joints (T, J, 3) in the world, metres, z up, at `rate_hz`."""

    name: str
    joints_world_m: Array
    rate_hz: float
    dive: bool = False


class Pairs(NamedTuple):
    """Keypoints with confidence and box as the contract's pose2d_encoder takes them, and the joints they came
    from."""

    keypoints: torch.Tensor  # (B, J, 2)
    confidence: torch.Tensor  # (B, J)
    box: torch.Tensor  # (B, 3)
    joints: torch.Tensor  # (B, J, 3) root-relative, camera axes, metres


def subject(name: str) -> str:
    """Who moves in a clip `SOURCE_SUBJECT_TRIAL`: all but the trial, or the whole name where it has no parts."""
    return name.rpartition("_")[0] or name


def held_out(name: str) -> bool:
    """Whether a clip is kept for validation; a subject's clips all are, or none.

    Of the known collections the subjects in `HELD_OUT`; of others a tenth of the subjects, by checksum.
    """
    if name.startswith(COLLECTIONS):
        return subject(name) in HELD_OUT
    return crc32(subject(name).encode()) % 10 == 0


def mocap_clips(folder: Path) -> list[Clip]:
    """Every run of at least 24 sound frames of the mocap files in `folder`."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise TrainingError(f"{folder}: no mocap files (*.npz); give the folder with --mocap")
    clips = []
    for file in files:
        clips += _clips(file)
    return clips


def _clips(file: Path) -> list[Clip]:
    data = read_npz(file, LAYOUT, ("pos17", "ok", "fps", "name", "start", "length"))
    pos = numbers(file, "pos17", data["pos17"], np.float32)
    ok, start, length = (numbers(file, name, data[name], np.int64) for name in ("ok", "start", "length"))
    rate = numbers(file, "fps", data["fps"], np.float64)
    if pos.shape[1:] != (J, 3) or ok.shape != pos.shape[:1] or rate.size != 1 or not rate > 0:
        raise TrainingError(f"{file}: pos17 is {pos.shape}, ok {ok.shape}, fps {rate}; {LAYOUT}")
    if start.ndim != 1 or not start.shape == length.shape == data["name"].shape:
        raise TrainingError(f"{file}: name, start and length differ in length; {LAYOUT}")
    clips = []
    for name, first, count in zip(data["name"], start, length, strict=True):
        clips += _sound_runs(str(name), pos[first : first + count], ok[first : first + count] > 0, float(rate.item()))
    return clips


def _sound_runs(name: str, pos: Array, ok: NDArray[np.bool_], rate_hz: float) -> list[Clip]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ok.astype(np.int8), [0]])))
    runs = [(a, b) for a, b in edges.reshape(-1, 2) if b - a >= MIN_FRAMES]
    return [Clip(name, pos[a:b].astype(np.float32), rate_hz) for a, b in runs]


class PoseBank:
    """Clips of one split and all their frames, root-relative, for drawing single poses."""

    def __init__(self, clips: list[Clip], stills: Array | None = None, dive_share: float = 0.35) -> None:
        self.mocap = [clip for clip in clips if not clip.dive]
        self.dives = [clip for clip in clips if clip.dive]
        if not self.mocap:
            raise TrainingError("the pose bank holds no mocap clip: check --mocap")
        self.dive_share = dive_share if self.dives else 0.0
        lengths = np.array([len(clip.joints_world_m) for clip in self.mocap], float)
        self._ends = np.cumsum(lengths / lengths.sum())
        self._mocap_frames = _root_relative(self.mocap)
        if stills is not None:
            self._mocap_frames = np.concatenate([self._mocap_frames, stills - stills[:, PELVIS : PELVIS + 1]])
        self._dive_frames = _root_relative(self.dives) if self.dives else self._mocap_frames[:0]

    def poses(self, rng: np.random.Generator, n: int) -> Array:
        """`n` root-relative poses (n, J, 3) in world axes, mirrored at random, statures and bones varied."""
        dives = int(rng.binomial(n, self.dive_share))
        frames = [self._mocap_frames[rng.integers(len(self._mocap_frames), size=n - dives)]]
        if dives:
            frames.append(self._dive_frames[rng.integers(len(self._dive_frames), size=dives)])
        joints = vary_bones(rng, np.concatenate(frames))
        flip = rng.random(n) < 0.5
        joints[flip] = geo.mirror(joints[flip])
        return joints * geo.stature_like(rng, n)[:, None, None]

    def clip(self, rng: np.random.Generator, dive_share: float | None = None) -> Clip:
        """A clip: a dive with probability `dive_share` (the bank's when absent), else mocap by length."""
        if self.dives and rng.random() < (self.dive_share if dive_share is None else dive_share):
            return self.dives[int(rng.integers(len(self.dives)))]
        return self.mocap[min(int(np.searchsorted(self._ends, rng.random())), len(self.mocap) - 1)]


def _root_relative(clips: list[Clip]) -> Array:
    return np.concatenate([c.joints_world_m - c.joints_world_m[:, PELVIS : PELVIS + 1] for c in clips])


def vary_bones(rng: np.random.Generator, joints: Array, spread: float = 0.06, alike: bool = False) -> Array:
    """Poses (n, J, 3) with every bone's length scaled by its own factor, the same left and right; `alike`: the same
    in all poses, those of one body."""
    factor = np.exp(rng.normal(0, spread, (1 if alike else len(joints), J))).astype(np.float32)
    factor = (factor + factor[:, list(MIRROR)]) / 2
    out = joints.copy()
    for parent, joint in BONES:
        out[:, joint] = out[:, parent] + (joints[:, joint] - joints[:, parent]) * factor[:, joint, None]
    return out


def sample_pairs(rng: np.random.Generator, bank: PoseBank, n: int) -> Pairs:
    """`n` training pairs: half of the poses upright before a level camera, a quarter rolled by any angle, a
    quarter tumbling."""
    turn = geo.random_views(rng, n, full_circle=1 / 3, down_deg=geo.POOL_DEG)
    tumbling = rng.random(n) < 0.25
    turn[tumbling] = geo.random_rotations(rng, int(tumbling.sum()))
    joints = bank.poses(rng, n) @ np.swapaxes(turn, -1, -2)
    rays = geo.project(joints + random_root(rng, n)[:, None])
    guessed, known = observe(rng, rays, joints), rng.random(n) < CALIBRATED
    exact = observe(rng, rays[known], joints[known], guess=0.0)
    pairs = [x.numpy() for x in guessed]
    pairs[1][known] = exact.confidence
    for column, turned in zip((0, 2, 3), looked_at(*(exact[i].numpy() for i in (0, 2, 3))), strict=True):
        pairs[column][known] = turned
    return Pairs(*(torch.from_numpy(x) for x in pairs))


def looked_at(keypoints: Array, box: Array, joints: Array) -> tuple[Array, Array, Array]:
    """Keypoints (n, J, 2), box (n, 3) and joints (n, J, 3) as a calibrated camera's are told to the networks: turned
    onto the crop, whose bearing is then 0 (`engines.view`)."""
    flat, place, solid = (torch.from_numpy(np.asarray(x, np.float32)) for x in (keypoints, box, joints))
    view = view_of(place)
    height = place[:, 2] * torch.sqrt(1 - (view**2).sum(-1))
    turned = torch.stack([torch.zeros_like(height), torch.zeros_like(height), height], -1)
    return keypoints_in_view(flat, place).numpy(), turned.numpy(), into_view(solid, view).numpy()


def random_root(rng: np.random.Generator, n: int) -> Array:
    """Pelvis positions (n, 3) in camera axes, metres: 3 to 40 m away, anywhere in the picture of a lens of 20
    to 70 degrees."""
    focal_widths = np.exp(rng.uniform(np.log(0.7), np.log(3.0), n))
    x = rng.uniform(-0.42, 0.42, n) / focal_widths
    y = rng.uniform(-0.24, 0.24, n) / focal_widths
    depth = np.exp(rng.uniform(np.log(3.0), np.log(40.0), n))
    return (np.stack([x, y, np.ones(n)], -1) * depth[:, None]).astype(np.float32)


def observe(rng: np.random.Generator, rays: Array, joints: Array, guess: float = FOCAL_GUESS) -> Pairs:
    """Crop, normalise and disturb exact rays (n, J, 2) as tracker and keypoint network would; `joints` pass
    unchanged. `guess`: how wrong the focal length is."""
    n = len(rays)
    centre, size = geo.keypoint_box(rays)
    height = geo.crop_height(size) * np.exp(rng.normal(0, 0.08, n)).astype(np.float32)
    centre = centre + (rng.normal(0, 0.04, (n, 2)) * height[:, None]).astype(np.float32)
    keypoints, confidence = disturb(rng, geo.normalise(rays, centre, height))
    # The focal length of an uncalibrated camera is a guess: the box is told with the error such guesses have.
    box = np.concatenate([centre, height[:, None]], -1) * np.exp(rng.normal(0, guess, (n, 1)))
    return Pairs(*(torch.from_numpy(np.asarray(x, np.float32)) for x in (keypoints, confidence, box, joints)))


def disturb(rng: np.random.Generator, keypoints: Array) -> tuple[Array, Array]:
    """Noise of 1 to 6 pixels, outliers, side swaps and dropped joints on `keypoints` (n, J, 2); with a
    confidence (n, J)."""
    n = len(keypoints)
    noise_px = rng.uniform(1, 6, (n, 1)) * np.exp(rng.normal(0, 0.4, (n, J)))
    noise_px = np.where(rng.random((n, J)) < 0.03, 25.0, noise_px)
    out = swap_sides(rng, keypoints, 0.05)
    out = out + rng.standard_normal((n, J, 2)) * (noise_px[..., None] * PX)
    confidence = np.clip(1.05 - noise_px / 14 + rng.normal(0, 0.08, (n, J)), 0.05, 1)
    lost = rng.random((n, J)) < rng.choice([0.0, 0.05, 0.2], size=(n, 1), p=[0.5, 0.35, 0.15])
    out[lost] = 0
    confidence[lost] = 0
    return out.astype(np.float32), confidence.astype(np.float32)


def swap_sides(rng: np.random.Generator, keypoints: Array, share: float) -> Array:
    """Left and right exchanged, for the legs or the arms of each pose with probability `share`."""
    out = keypoints.copy()
    for group in SIDES:
        rows = np.flatnonzero(rng.random(len(out)) < share)
        mirrored = [MIRROR[j] for j in group]
        out[np.ix_(rows, group)] = keypoints[np.ix_(rows, mirrored)]
    return out


def load_bank(mocap: Path, validation: bool, dives: int = 150, stills: int = 20000, seed: int = 5) -> PoseBank:
    """The pose bank of one split: mocap clips by subject, `dives` generated dives, random poses.

    The splits' dives and random poses come from different seeds.
    """
    from training.synth.motion import sample_random

    rng = np.random.default_rng([seed, int(validation)])
    clips = [clip for clip in mocap_clips(mocap) if held_out(clip.name) is validation]
    clips += dive_clips(rng, dives)
    return PoseBank(clips, sample_random(rng, stills).joints_m.astype(np.float32))


def dive_clips(rng: np.random.Generator, count: int) -> list[Clip]:
    """`count` generated dives, from the board to below the water, at the rate of the temporal network."""
    from training.synth.dive import random_dive
    from training.synth.poses import joints_of

    dives = (random_dive(rng, joints_of, DIVE_RATE_HZ) for _ in range(count))
    return [Clip(f"dive{i}", d.joints_world_m.astype(np.float32), d.rate_hz, dive=True) for i, d in enumerate(dives)]
