"""Windows of motion as the temporal network meets them live: keypoints frame by frame in a moving crop, at the
model's rate.

A clip is warped in time, turned, tumbled, filmed, cropped by a lagging tracker, measured by a noisy keypoint
network at the camera's own rate and brought to the model's rate by linear interpolation.
"""

from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from engines.skeleton import PELVIS, J
from training import geometry as geo
from training.poses import PX, Clip, PoseBank, random_root, swap_sides

Array = NDArray[np.float32]

RATE_HZ: Final = 50.0
CAMERA_RATES_HZ: Final = (24.0, 25.0, 30.0, 50.0, 60.0, 100.0)


class Windows(NamedTuple):
    """A batch of windows, oldest frame first."""

    keypoints: torch.Tensor  # (B, T, J, 2), 0 where missing
    missing: torch.Tensor  # (B, T, J) 1 where not measured
    seen: torch.Tensor  # (B, T) 0 where the frame does not exist for the network
    joints: torch.Tensor  # (B, T, J, 3) root-relative, camera axes, metres
    box: torch.Tensor  # (B, T, 3) of each frame's crop, for decoders of single frames


def sample_windows(rng: np.random.Generator, bank: PoseBank, n: int, frames: int, clean: bool = False) -> Windows:
    """`n` windows of `frames` frames; `clean` leaves noise and drop-outs away (for masked modelling)."""
    parts = [_window(rng, bank.clip(rng), frames, clean) for _ in range(n)]
    return Windows(*(torch.from_numpy(np.stack(x).astype(np.float32)) for x in zip(*parts, strict=True)))


def _window(rng: np.random.Generator, clip: Clip, frames: int, clean: bool) -> tuple[Array, ...]:
    motion, root = _motion(rng, clip, frames)
    if clip.dive is False and rng.random() < 0.35:
        motion = tumble(rng, motion)
    turn = geo.random_views(rng, 1, full_circle=0.3)[0]
    joints = motion @ turn.T
    path = _film(rng, root @ turn.T)
    rays = geo.project(joints + path[:, None])
    keypoints, box = _crop(rng, rays)
    if clean:
        return keypoints, np.zeros((frames, J)), np.ones(frames), joints, box
    keypoints, missing = _measure(rng, keypoints)
    missing, seen = _drop(rng, missing)
    return keypoints * (1 - missing[..., None]), missing, seen, joints, box


def _motion(rng: np.random.Generator, clip: Clip, frames: int) -> tuple[Array, Array]:
    """Root-relative joints (T, J, 3) and root path (T, 3) in world axes, at the model's rate, warped, scaled,
    mirrored."""
    last = len(clip.joints_world_m) - 1
    warp = rng.uniform(0.9, 1.1) if clip.dive else np.exp(rng.uniform(np.log(0.7), np.log(1.5)))
    at = np.arange(frames) * (clip.rate_hz / RATE_HZ * warp)
    slack = last - at[-1]
    at = at + rng.uniform(min(0.0, slack), max(0.0, slack))
    # A dive begins and ends at rest; any other clip that is too short is played to and fro.
    at = np.clip(at, 0, last) if clip.dive else last - np.abs(last - np.mod(at, 2 * last))
    joints = interpolate(clip.joints_world_m, at)
    root = joints[:, PELVIS].copy()
    joints = (joints - root[:, None]) * geo.stature_like(rng, 1)
    if rng.random() < 0.5:
        joints, root = geo.mirror(joints), root * np.array([-1, 1, 1], np.float32)
    return joints, root - root[len(root) // 2]


def interpolate(samples: Array, at: NDArray[np.floating]) -> Array:
    """Catmull-Rom interpolation of `samples` (T, ...) at fractional indices `at` (n,), which stay inside
    0..T-1."""
    last = len(samples) - 1
    i = np.clip(np.floor(at).astype(int), 0, last - 1)
    t = (at - i).astype(np.float32).reshape(-1, *([1] * (samples.ndim - 1)))
    p0, p1, p2, p3 = (samples[np.clip(i + k, 0, last)] for k in (-1, 0, 1, 2))
    return np.asarray(
        0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * (p1 - p2) + p3 - p0) * t**3)
    )


def tumble(rng: np.random.Generator, joints: Array) -> Array:
    """Root-relative motion (T, J, 3) turned about a fixed horizontal axis at up to 2.5 turns a second, from
    some frame on."""
    frames = len(joints)
    rate = rng.uniform(-2.5, 2.5)
    start = rng.uniform(-0.5, 0.8) * frames
    length = rng.uniform(0.2, 1.0) * RATE_HZ * 3
    turns = rate / RATE_HZ * np.clip(np.arange(frames) - start, 0, length)
    # A body does not start to spin at once: smooth over a tenth of a second.
    kernel = np.hanning(13) / np.hanning(13).sum()
    turns = np.convolve(np.pad(turns, 6, mode="edge"), kernel, mode="valid")
    heading = geo.rotation(2, np.float32(rng.uniform(-np.pi, np.pi)))
    spin = heading @ geo.rotation(0, 2 * np.pi * turns) @ heading.T
    return np.asarray(joints @ np.swapaxes(spin, -1, -2), np.float32)


def _film(rng: np.random.Generator, root_path: Array) -> Array:
    """Root path (T, 3) in camera axes: a still camera, or one that follows; never nearer than 2 m."""
    path = random_root(rng, 1) + root_path * (0.0 if rng.random() < 0.3 else 1.0)
    path[:, 2] += max(0.0, 2.5 - float(path[:, 2].min()))
    return np.asarray(path, np.float32)


def _crop(rng: np.random.Generator, rays: Array) -> tuple[Array, Array]:
    """Keypoints (T, J, 2) in the crop of a tracker that follows with noise, bias and lag, and the crops' `box`
    (T, 3)."""
    centre, size = geo.keypoint_box(rays)
    height = geo.crop_height(size)
    scale = np.log(height) + rng.normal(0, 0.05) + rng.normal(0, 0.04, len(rays))
    noisy = np.concatenate([centre + rng.normal(0, 0.02, centre.shape) * height[:, None], scale[:, None]], 1)
    noisy[:, :2] += rng.normal(0, 0.03, 2) * height.mean()
    smooth = follow(noisy, position_gain=rng.uniform(0.25, 0.8))
    box = np.concatenate([smooth[:, :2], np.exp(smooth[:, 2:])], 1).astype(np.float32)
    return geo.normalise(rays, box[:, :2], box[:, 2]), box


def follow(measured: NDArray[np.floating], position_gain: float) -> NDArray[np.float64]:
    """Constant-velocity filter in its steady state (alpha-beta) over `measured` (T, k): what a Kalman tracker
    settles to."""
    velocity_gain = position_gain**2 / (2 - position_gain)
    out = np.empty(measured.shape)
    state, velocity = measured[0].astype(float), np.zeros(measured.shape[1])
    for t, z in enumerate(measured):
        state = state + velocity
        innovation = z - state
        state = state + position_gain * innovation
        velocity = velocity + velocity_gain * innovation
        out[t] = state
    return out


def _measure(rng: np.random.Generator, keypoints: Array) -> tuple[Array, Array]:
    """Noisy keypoints (T, J, 2) and `missing` (T, J), measured at a camera's rate and interpolated to the
    model's."""
    frames = len(keypoints)
    camera = float(rng.choice(CAMERA_RATES_HZ))
    step = max(1.0, RATE_HZ / camera)
    count = int(np.ceil((frames - 1) / step)) + 1
    at = np.minimum(np.arange(count) * step, frames - 1)
    measured = interpolate(keypoints, at)
    sigma_px = rng.uniform(1, 5) * np.exp(rng.normal(0, 0.3, (1, J, 1)))
    noise = follow_noise(rng, count, rng.uniform(0.0, 0.7)) * sigma_px
    wild = rng.random((count, J, 1)) < 0.01
    noise = np.where(wild, rng.normal(0, 20, noise.shape), noise)
    measured = _swap_bursts(rng, measured) + noise * PX
    gone = _joint_bursts(rng, count)
    index = np.arange(frames) / step
    low = np.clip(np.floor(index).astype(int), 0, max(count - 2, 0))
    missing = np.maximum(gone[low], gone[np.minimum(low + 1, count - 1)])
    t = np.clip(index - low, 0, 1)[:, None, None]
    return np.asarray(measured[low] * (1 - t) + measured[np.minimum(low + 1, count - 1)] * t), missing


def follow_noise(rng: np.random.Generator, count: int, rho: float) -> NDArray[np.float64]:
    """Unit-variance noise (count, J, 2) whose neighbours correlate by `rho` (first-order autoregression)."""
    noise = rng.standard_normal((count, J, 2))
    for t in range(1, count):
        noise[t] = rho * noise[t - 1] + np.sqrt(1 - rho**2) * noise[t]
    return noise


def _swap_bursts(rng: np.random.Generator, keypoints: Array) -> Array:
    """Left and right exchanged for 2 to 6 frames, about once in 100 frames."""
    out = keypoints.copy()
    for start in np.flatnonzero(rng.random(len(out)) < 0.01):
        part = slice(start, start + int(rng.integers(2, 7)))
        out[part] = swap_sides(np.random.default_rng(int(rng.integers(1 << 30))), out[part], 1.0)
    return out


def _joint_bursts(rng: np.random.Generator, count: int) -> Array:
    """`missing` (count, J): with probability 0.3 five joints in each frame, and short bursts of single
    joints."""
    missing = np.zeros((count, J), np.float32)
    for _ in range(int(rng.poisson(count / 60))):
        start, length = int(rng.integers(count)), int(rng.integers(2, 25))
        missing[start : start + length, rng.integers(J)] = 1
    if rng.random() < 0.3:
        missing[rng.random((count, J)) < 5 / J * rng.random()] = 1
    return missing


def _drop(rng: np.random.Generator, missing: Array) -> tuple[Array, Array]:
    """Frames lost (0 to 30 %, unseen or without a joint) and windows not yet full; the newest frame always
    stays seen."""
    frames = len(missing)
    seen = np.ones(frames, np.float32)
    if rng.random() < 0.5:
        lost = rng.random(frames) < rng.uniform(0, 0.3)
        missing = np.where((lost & (rng.random(frames) < 0.5))[:, None], 1.0, missing)
        seen[lost & (missing.min(1) < 1)] = 0
    if rng.random() < 0.5:
        seen[: frames - int(rng.integers(min(9, frames), frames + 1))] = 0
    seen[-1] = 1
    return np.asarray(missing, np.float32), seen
