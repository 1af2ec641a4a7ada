"""Windows of motion as the temporal network meets them live: keypoints frame by frame in a moving crop, at the
model's rate.

A clip is played at some speed, its bones changed, tumbled, filmed, cropped by a lagging tracker, measured by a noisy
keypoint network at the camera's own rate and brought to the model's rate by linear interpolation.
"""

from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from engines.skeleton import PELVIS, J
from training import geometry as geo
from training.detection import correlated, detected, dropped
from training.poses import CALIBRATED, FOCAL_GUESS, Clip, PoseBank, looked_at, random_root, vary_bones

Array = NDArray[np.float32]

RATE_HZ: Final = 50.0
CAMERA_RATES_HZ: Final = (24.0, 25.0, 30.0, 50.0, 60.0, 100.0)


class Windows(NamedTuple):
    """A batch of windows, oldest frame first."""

    keypoints: torch.Tensor  # (B, T, J, 2), 0 where missing
    missing: torch.Tensor  # (B, T, J) 1 where not measured
    seen: torch.Tensor  # (B, T) 0 where the frame does not exist for the network
    joints: torch.Tensor  # (B, T, J, 3) root-relative, camera axes, metres
    box: torch.Tensor  # (B, T, 3) bearing and height of each frame's crop by the guessed focal length


def sample_windows(
    rng: np.random.Generator,
    bank: PoseBank,
    n: int,
    frames: int,
    clean: bool = False,
    natural: bool = False,
    dive_share: float | None = None,
    ahead: int = 0,
) -> Windows:
    """`n` windows of `frames` frames.

    Args:
        clean: without noise and drop-outs, the focal length known.
        natural: motion as recorded before a level camera, nothing calibrated; else every speed, body and orientation,
            looked at from above and below, half of the cameras calibrated.
        dive_share: instead of the bank's.
        ahead: frames behind the one of interest, which is any of a dive's that is shorter than the window.
    """
    parts = [_window(rng, bank, frames, clean, natural, dive_share, ahead) for _ in range(n)]
    return Windows(*(torch.from_numpy(np.stack(x).astype(np.float32)) for x in zip(*parts, strict=True)))


def _window(
    rng: np.random.Generator,
    bank: PoseBank,
    frames: int,
    clean: bool,
    natural: bool,
    dive_share: float | None,
    ahead: int,
) -> tuple[Array, ...]:
    clip = bank.clip(rng, dive_share)
    motion, root = _motion(rng, clip, frames, natural, ahead)
    circle, down_deg = (0.0, geo.LEVEL_DEG) if natural else (0.3, geo.POOL_DEG)
    turn = geo.random_views(rng, 1, circle, down_deg)[0]
    if not natural:
        motion = _altered(rng, bank, clip, motion)
        if rng.random() < 0.15:
            turn = geo.random_rotations(rng, 1)[0]
    joints = motion @ turn.T
    path = _film(rng, root @ turn.T)
    rays = geo.project(joints + path[:, None])
    keypoints, box = _crop(rng, rays)
    if clean:
        return keypoints, np.zeros((frames, J)), np.ones(frames), joints, box
    keypoints, missing, box = _measure(rng, keypoints, box)
    missing, seen = dropped(rng, missing)
    keypoints = keypoints * (1 - missing[..., None])
    if natural or rng.random() > CALIBRATED:
        return keypoints, missing, seen, joints, box * np.float32(np.exp(rng.normal(0, FOCAL_GUESS)))
    keypoints, box, joints = looked_at(keypoints, box, joints)
    return keypoints * (1 - missing[..., None]), missing, seen, joints, box


def _motion(rng: np.random.Generator, clip: Clip, frames: int, natural: bool, ahead: int = 0) -> tuple[Array, Array]:
    """Root-relative joints (T, J, 3) and root path (T, 3) in world axes, at the model's rate, played at some speed,
    scaled, mirrored."""
    last = len(clip.joints_world_m) - 1
    slowest, fastest = (0.85, 1.15) if clip.dive else (0.6, 1.7)
    speed = 1.0 if natural else np.exp(rng.uniform(np.log(slowest), np.log(fastest)))
    at = np.arange(frames) * (clip.rate_hz / RATE_HZ * speed)
    slack = last - at[-1]
    if clip.dive and slack < 0:
        at = np.clip(at + rng.uniform(0, last) - at[-1 - ahead], 0, last)  # a dive begins and ends at rest
    else:
        at = at + rng.uniform(min(0.0, slack), max(0.0, slack))
        at = last - np.abs(last - np.mod(at, 2 * last))  # what is too short is played to and fro
    joints = interpolate(clip.joints_world_m, at)
    root = joints[:, PELVIS].copy()
    joints = joints - root[:, None]
    if rng.random() < 0.5:
        joints, root = geo.mirror(joints), root * np.array([-1, 1, 1], np.float32)
    if not natural:
        joints = vary_bones(rng, joints * geo.stature_like(rng, 1), alike=True)
    return joints, root - root[len(root) // 2]


def _altered(rng: np.random.Generator, bank: PoseBank, clip: Clip, motion: Array) -> Array:
    """Recorded motion with the legs or arms of another recording, and tumbling: more poses than were recorded."""
    if clip.dive:
        return motion
    if rng.random() < 0.3:
        other, _ = _motion(rng, bank.clip(rng, 0.0), len(motion), natural=False)
        motion = with_limbs_of(motion, other, arms=bool(rng.random() < 0.5))
    return tumble(rng, motion) if rng.random() < 0.35 else motion


def with_limbs_of(motion: Array, other: Array, arms: bool) -> Array:
    """`motion` (T, J, 3) with the legs, or the arms, that `other` has relative to its own trunk."""
    base, left, right, along, limbs = (8, 11, 14, 7, slice(11, 17)) if arms else (0, 4, 1, 7, slice(1, 7))
    frames = [trunk_axes(m[:, right] - m[:, left], m[:, along] - m[:, base]) for m in (motion, other)]
    local = (other[:, limbs] - other[:, base, None]) @ frames[1]
    out = motion.copy()
    out[:, limbs] = local @ np.swapaxes(frames[0], -1, -2) + motion[:, base, None]
    return np.asarray(out, np.float32)


def trunk_axes(across: Array, along: Array) -> Array:
    """Right-handed orthonormal axes (T, 3, 3), in columns, from directions (T, 3) across and along the trunk."""
    x = across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-6)
    z = along - (along * x).sum(-1, keepdims=True) * x
    z = z / np.maximum(np.linalg.norm(z, axis=-1, keepdims=True), 1e-6)
    return np.stack([x, np.cross(z, x), z], -1)


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
    """Root-relative motion (T, J, 3) turned about a fixed horizontal axis at up to 2.5 turns a second, from some
    frame on, and half the time spinning about the vertical as well."""
    frames = len(joints)
    heading = geo.rotation(2, np.float32(rng.uniform(-np.pi, np.pi)))
    turn = heading @ geo.rotation(0, _turned(rng, frames, 2.5)) @ heading.T
    if rng.random() < 0.5:
        turn = turn @ geo.rotation(2, _turned(rng, frames, 2.0))
    return np.asarray(joints @ np.swapaxes(turn, -1, -2), np.float32)


def _turned(rng: np.random.Generator, frames: int, fastest_hz: float) -> NDArray[np.floating]:
    """Angles (T,) of a turn that begins and ends somewhere."""
    start = rng.uniform(-0.5, 0.8) * frames
    length = rng.uniform(0.2, 1.0) * RATE_HZ * 3
    turns = rng.uniform(-fastest_hz, fastest_hz) / RATE_HZ * np.clip(np.arange(frames) - start, 0, length)
    # A body does not start to spin at once: smooth over a tenth of a second.
    kernel = np.hanning(13) / np.hanning(13).sum()
    return np.asarray(2 * np.pi * np.convolve(np.pad(turns, 6, mode="edge"), kernel, mode="valid"))


def _film(rng: np.random.Generator, root_path: Array) -> Array:
    """Root path (T, 3) in camera axes: a still camera, or one that follows; never nearer than 2 m."""
    path = random_root(rng, 1) + root_path * (0.0 if rng.random() < 0.3 else 1.0)
    path[:, 2] += max(0.0, 2.5 - float(path[:, 2].min()))
    return np.asarray(path, np.float32)


def _crop(rng: np.random.Generator, rays: Array) -> tuple[Array, Array]:
    """Keypoints (T, J, 2) in the crop of a tracker that follows with noise, bias and lag, and the crops' `box`
    (T, 3)."""
    frames = len(rays)
    centre, size = geo.keypoint_box(rays)
    height = geo.crop_height(size)
    jitter = correlated(rng, frames, (3,), rng.uniform(0, 0.9)) * [0.02, 0.02, 0.04] * rng.uniform(0.3, 1.3)
    scale = np.log(height) + rng.normal(0, 0.05) + jitter[:, 2]
    noisy = np.concatenate([centre + jitter[:, :2] * height[:, None], scale[:, None]], 1)
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


def _measure(rng: np.random.Generator, keypoints: Array, box: Array) -> tuple[Array, Array, Array]:
    """Noisy keypoints (T, J, 2), `missing` (T, J) and `box` (T, 3), measured at a camera's rate and interpolated to
    the model's."""
    frames = len(keypoints)
    step = max(1.0, RATE_HZ / float(rng.choice(CAMERA_RATES_HZ)))
    count = int(np.ceil((frames - 1) / step)) + 1
    at = np.minimum(np.arange(count) * step, frames - 1)
    measured, gone = detected(rng, interpolate(keypoints, at))
    boxes = interpolate(box, at)
    index = np.arange(frames) / step
    low = np.clip(np.floor(index).astype(int), 0, max(count - 2, 0))
    high = np.minimum(low + 1, count - 1)
    t = np.clip(index - low, 0, 1)[:, None]
    missing = np.maximum(gone[low], gone[high])
    between = np.asarray(measured[low] * (1 - t[..., None]) + measured[high] * t[..., None], np.float32)
    return between, missing, np.asarray(boxes[low] * (1 - t) + boxes[high] * t, np.float32)
