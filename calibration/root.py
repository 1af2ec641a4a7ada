"""Where the pelvis is: the root position at which a relative pose projects to the joints that are seen.

For joint j with relative pose (x, y, z) and normalised image point (a, b), the root (X, Y, Z) satisfies X - a
Z = a z - x and Y - b Z = b z - y: least squares, weighted by confidence over squared depth, with Huber's
weights.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.camera import Camera

Floats = NDArray[np.float64]

MIN_JOINTS: Final = 4
MAX_RELATIVE_DEPTH_SD: Final = 0.5
"""A root whose depth is less certain than this, relative to itself, is no answer."""
_HUBER: Final = 1.5
_NORMAL_MAD: Final = 1.4826
_ITERATIONS: Final = 15
_SETTLED_M: Final = 1e-4
_WORST_CONDITION: Final = 1e12


@dataclass(frozen=True, slots=True)
class Root:
    """Position of the pelvis in camera axes (3,), metres, and its covariance (3, 3), square metres."""

    root_cam_m: Floats
    covariance_m2: Floats

    @property
    def sd_m(self) -> Floats:
        """Standard deviations (3,) along x, y, z, metres."""
        return np.asarray(np.sqrt(np.diag(self.covariance_m2)))


def root_from_joints(
    joints_root_m: ArrayLike, joints_img_px: ArrayLike, confidence: ArrayLike, camera: Camera
) -> Root | None:
    """Root of a pose (J, 3) in camera axes from its joints (J, 2) in the picture with confidences (J,).

    The covariance takes its scale from how well pose and picture agree. None when fewer than four joints
    count, the body is too small in the picture to tell its distance, or the answer lies behind the camera.
    """
    pose = np.asarray(joints_root_m, dtype=np.float64)
    flat = camera.normalised(joints_img_px)
    weight = np.asarray(confidence, dtype=np.float64)
    usable = (weight > 0) & np.isfinite(flat).all(axis=-1) & np.isfinite(pose).all(axis=-1)
    if np.count_nonzero(usable) < MIN_JOINTS:
        return None
    return _solve(pose[usable], flat[usable], weight[usable])


def _solve(pose: Floats, flat: Floats, confidence: Floats) -> Root | None:
    rows, values = _equations(pose, flat)
    base = np.repeat(confidence, 2)
    root = _least_squares(rows, values, base)
    for _ in range(_ITERATIONS):
        if root is None:
            return None
        depth = np.repeat(root[2] + pose[:, 2], 2)
        if depth.min() <= 0:
            return None
        error = (rows @ root - values) / depth
        before, root = root, _least_squares(rows, values, base * _huber(error) / depth**2)
        if root is not None and np.abs(root - before).max() < _SETTLED_M:
            break
    return None if root is None else _answer(pose, rows, values, base, root)


def _equations(pose: Floats, flat: Floats) -> tuple[Floats, Floats]:
    """Rows (2J, 3) and right-hand sides (2J,), for each joint that of a, then that of b."""
    rows = np.zeros((len(pose), 2, 3))
    rows[:, 0, 0] = rows[:, 1, 1] = 1.0
    rows[:, :, 2] = -flat
    return rows.reshape(-1, 3), (flat * pose[:, 2:] - pose[:, :2]).reshape(-1)


def _least_squares(rows: Floats, values: Floats, weight: Floats) -> Floats | None:
    """Solution (3,); None when the rows do not determine it."""
    normal = rows.T @ (rows * weight[:, None])
    if np.linalg.cond(normal) > _WORST_CONDITION:
        return None
    return np.asarray(np.linalg.solve(normal, rows.T @ (weight * values)))


def _huber(error: Floats) -> Floats:
    """Weights in 0..1: one within 1.5 robust standard deviations, then falling with the error."""
    size = np.abs(error)
    limit = _HUBER * _NORMAL_MAD * float(np.median(size))
    return np.asarray(limit / np.maximum(size, limit)) if limit > 0 else np.ones_like(size)


def _answer(pose: Floats, rows: Floats, values: Floats, base: Floats, root: Floats) -> Root | None:
    """The root with its covariance: inverse normal matrix times the variance of Huber's estimate."""
    depth = np.repeat(root[2] + pose[:, 2], 2)
    if depth.min() <= 0:
        return None
    normal = rows.T @ (rows * (base / depth**2)[:, None])
    error = (rows @ root - values) / depth
    huber = _huber(error)
    inliers = float(np.mean(huber == 1.0))
    variance = float(base @ (huber * error) ** 2) / (len(values) - 3) / inliers**2
    covariance = np.linalg.inv(normal) * variance
    if np.sqrt(covariance[2, 2]) > MAX_RELATIVE_DEPTH_SD * root[2]:
        return None
    return Root(root, covariance)
