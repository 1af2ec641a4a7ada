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
    """Iteratively reweighted; arrays are (2, J), the equations of X above those of Y."""
    a, z = np.ascontiguousarray(flat.T), np.ascontiguousarray(pose[:, 2])
    nearest = float(z.min())
    values = a * z - pose[:, :2].T
    products = np.stack([np.ones_like(a), a, values, a * a, a * values], axis=-1)
    root = _least_squares(products, np.stack([confidence, confidence]))
    for _ in range(_ITERATIONS):
        if root is None or root[2] + nearest <= 0:
            return None
        depth = root[2] + z
        weight = confidence / (depth * depth) * _huber(_error(root, a, values, depth))
        before, root = root, _least_squares(products, weight)
        if root is not None and max(abs(now - then) for now, then in zip(root, before, strict=True)) < _SETTLED_M:
            break
    return None if root is None else _answer(a, z, values, confidence, root)


def _least_squares(products: Floats, weight: Floats) -> tuple[float, float, float] | None:
    """X, Y, Z that solve X - a Z = value and its like for Y best; None when the points do not determine them.

    For any Z the best X and Y are weighted means, so Z is the slope of the centred equations. `products` (2, J, 5)
    are 1, a, value, a^2, a value.
    """
    (n_x, a_x, v_x, aa_x, av_x), (n_y, a_y, v_y, aa_y, av_y) = (weight[:, None] @ products)[:, 0].tolist()
    spread = aa_x - a_x * a_x / n_x + aa_y - a_y * a_y / n_y
    if spread * _WORST_CONDITION < n_x + n_y:
        return None
    z = (a_x * v_x / n_x - av_x + a_y * v_y / n_y - av_y) / spread
    return (v_x + a_x * z) / n_x, (v_y + a_y * z) / n_y, z


def _error(root: tuple[float, float, float], a: Floats, values: Floats, depth: Floats) -> Floats:
    """What is left of the equations (2, J), on the plane Z = 1."""
    x, y, z = root
    return np.asarray((np.array([[x], [y]]) - a * z - values) / depth)


def _huber(error: Floats) -> Floats:
    """Weights in 0..1: one within 1.5 robust standard deviations, then falling with the error."""
    size = np.abs(error)
    half = size.size // 2  # an even number of them: the median is the mean of the two in the middle
    ordered = np.partition(size.ravel(), (half - 1, half))
    limit = _HUBER * _NORMAL_MAD * float(ordered[half - 1] + ordered[half]) / 2
    return np.asarray(limit / np.maximum(size, limit)) if limit > 0 else np.ones_like(size)


def _answer(a: Floats, z: Floats, values: Floats, confidence: Floats, root: tuple[float, float, float]) -> Root | None:
    """The root with its covariance: inverse normal matrix times the variance of Huber's estimate."""
    depth = root[2] + z
    if depth.min() <= 0:
        return None
    weight = confidence / depth**2
    total, (by_x, by_y) = weight.sum(), (a * weight).sum(axis=1)
    normal = np.array([[total, 0, -by_x], [0, total, -by_y], [-by_x, -by_y, (a**2 * weight).sum()]])
    error = _error(root, a, values, depth)
    huber = _huber(error)
    inliers = float(np.mean(huber == 1.0))
    variance = float((confidence * (huber * error) ** 2).sum()) / (error.size - 3) / inliers**2
    covariance = np.linalg.inv(normal) * variance
    if np.sqrt(covariance[2, 2]) > MAX_RELATIVE_DEPTH_SD * root[2]:
        return None
    return Root(np.array(root), covariance)
