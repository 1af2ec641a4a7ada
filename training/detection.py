"""What a keypoint network, a per-frame decoder and a live stream do to true motion.

Errors of detectors are not white: they last for some frames, sit on wrists and ankles, exchange left and right, and
large ones often come with a low confidence. All functions work on one window of T frames.
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import BONES, MIRROR, PARENTS, PELVIS, J
from training.poses import PX, SIDES

Array = NDArray[np.float32]
Floats = NDArray[np.floating]

JOINT_NOISE: Final = np.array([0.8, 0.9, 1.0, 1.3, 0.9, 1.0, 1.3, 0.9, 0.8, 0.8, 0.9, 0.9, 1.2, 1.6, 0.9, 1.2, 1.6])
"""Size of a detector's errors by joint, relative to the mean: wrists and ankles are the worst."""
LIMBS: Final = ((2, 3), (5, 6), (12, 13), (15, 16), (1, 2, 3), (4, 5, 6), (11, 12, 13), (14, 15, 16))
"""Joints that vanish together."""
DEPTH_FLIPS: Final = ((2, 3), (5, 6), (12, 13), (15, 16))
"""Limbs, from the knee or elbow on, whose depth a decoder of single frames mistakes."""


def correlated(rng: np.random.Generator, frames: int, shape: tuple[int, ...], rho: float) -> Floats:
    """Unit-variance noise (frames, *shape) whose neighbours in time correlate by `rho` (first-order
    autoregression)."""
    white = rng.standard_normal((frames, int(np.prod(shape))))
    return filtered(white, rho).reshape(frames, *shape)


def filtered(white: Floats, rho: float) -> Floats:
    """x_t = rho x_(t-1) + sqrt(1 - rho^2) e_t of independent rows e (frames, k); x keeps their covariance."""
    driven = white * np.sqrt(1 - rho**2)
    driven[0] = white[0]
    return np.asarray(_decay(len(white), round(float(rho), 2)) @ driven)


@lru_cache(maxsize=256)
def _decay(frames: int, rho: float) -> Floats:
    apart = np.arange(frames)[:, None] - np.arange(frames)[None]
    return np.where(apart >= 0, float(rho) ** np.maximum(apart, 0), 0.0)


def bursts(rng: np.random.Generator, frames: int, rate: float, shortest: int, longest: int) -> list[slice]:
    """Stretches of `shortest` to `longest` frames that begin with probability `rate` in each frame."""
    starts = np.flatnonzero(rng.random(frames) < rate)
    return [
        slice(int(s), int(s + n)) for s, n in zip(starts, rng.integers(shortest, longest + 1, len(starts)), strict=True)
    ]


def swapped(rng: np.random.Generator, points: Floats, rate: float = 0.01) -> Floats:
    """Points (T, J, d) with left and right of the legs or the arms exchanged for 2 to 6 frames at a time."""
    out = points.copy()
    for part in bursts(rng, len(out), rate, 2, 6):
        group = list(SIDES[int(rng.integers(2))])
        out[part, group] = points[part][:, [MIRROR[j] for j in group]]
    return out


def detected(rng: np.random.Generator, keypoints: Floats) -> tuple[Floats, Array]:
    """Keypoints (T, J, 2) in crop units as a detector finds them, and `missing` (T, J) where it is not confident.

    A window's noise lies between 0.3 and 5 pixels of the full-size crop; a tenth of the windows is exact.
    """
    frames = len(keypoints)
    if rng.random() < 0.1:
        return keypoints, unseen_joints(rng, frames)
    spread_px = np.exp(rng.uniform(np.log(0.3), np.log(5))) * JOINT_NOISE * np.exp(rng.normal(0, 0.25, J))
    noise_px = correlated(rng, frames, (J, 2), rng.uniform(0, 0.9)) * spread_px[:, None]
    noise_px += rng.normal(0, 0.4, (J, 2)) * spread_px[:, None]  # what one calls the joint is a matter of taste
    missing = unseen_joints(rng, frames)
    for part in bursts(rng, frames, 0.015 * rng.random() * J, 1, 6):
        joint = int(rng.choice(J, p=JOINT_NOISE / JOINT_NOISE.sum()))
        noise_px[part, joint] += rng.normal(0, 18, 2)
        if rng.random() < 0.5:  # the network knows that it does not know
            missing[part, joint] = 1
    return swapped(rng, keypoints) + noise_px * PX, missing


def unseen_joints(rng: np.random.Generator, frames: int) -> Array:
    """`missing` (T, J): joints and limbs hidden for a while, sometimes a limb all the time, with probability 0.3 any
    joints in any frame, on average up to five."""
    missing = np.zeros((frames, J), np.float32)
    for part in bursts(rng, frames, 1 / 90, 2, 25):
        if rng.random() < 0.5:
            missing[part, list(LIMBS[int(rng.integers(len(LIMBS)))])] = 1
        else:
            missing[part, int(rng.integers(J))] = 1
    if rng.random() < 0.06:
        missing[:, list(LIMBS[int(rng.integers(len(LIMBS)))])] = 1
    if rng.random() < 0.3:
        missing[rng.random((frames, J)) < 5 / J * rng.random()] = 1
    return missing


def dropped(rng: np.random.Generator, missing: Array) -> tuple[Array, Array]:
    """`missing` (T, J) and `seen` (T,): frames lost (0 to 30 %, unseen or without a joint) and windows not yet full,
    of 9 frames and more; the newest frame always stays seen."""
    frames = len(missing)
    seen = np.ones(frames, np.float32)
    if rng.random() < 0.4:
        lost = rng.random(frames) < rng.uniform(0, 0.3)
        missing = np.where((lost & (rng.random(frames) < 0.5))[:, None], 1.0, missing)
        seen[lost & (missing.min(1) < 1)] = 0
    if rng.random() < 0.4:
        seen[: frames - int(rng.integers(min(9, frames), frames + 1))] = 0
    seen[-1] = 1
    return np.asarray(missing, np.float32), seen


def decoded(rng: np.random.Generator, joints: Array, residuals: Array) -> Array:
    """Root-relative joints (T, J, 3) as a decoder of single frames gives them.

    Args:
        joints: the truth, metres, camera axes.
        residuals: (N, J, 3) errors of such a decoder on frames it was not trained on; they are drawn at random and
            made to last (first-order autoregression, 0.6 to 0.9 at 50 frames a second).
    """
    frames = len(joints)
    drawn = residuals[rng.integers(len(residuals), size=frames)].reshape(frames, -1)
    errors = filtered(drawn, rng.uniform(0.6, 0.9)).reshape(frames, J, 3) * rng.uniform(0.5, 1.2)
    out = joints + errors.astype(np.float32)
    for part in bursts(rng, frames, 0.01, 2, 12):
        hinge, *rest = DEPTH_FLIPS[int(rng.integers(len(DEPTH_FLIPS)))]
        start = PARENTS[hinge]
        flipped = out[part].copy()
        for joint in (hinge, *rest):
            flipped[:, joint, 2] = 2 * out[part, start, 2] - out[part, joint, 2]
        out[part] = flipped
    out = np.asarray(swapped(rng, out), np.float32)
    return out - out[:, PELVIS : PELVIS + 1]


def rough_residuals(rng: np.random.Generator, count: int = 4000) -> Array:
    """Residuals (count, J, 3) where no decoder is at hand: errors that add up from the pelvis outwards, larger in
    depth, about 90 mm in the mean."""
    step = rng.normal(0, 1, (count, J, 3)) * np.array([0.03, 0.03, 0.06])
    out = np.zeros((count, J, 3))
    for parent, joint in BONES:
        out[:, joint] = out[:, parent] + step[:, joint]
    return out.astype(np.float32)
