"""Rotations, projection and mirroring of pose labels, in batches of numpy arrays.

Frames of reference: `world` is z up, `cam` is x right, y down, z forward, `root` is pelvis-relative in camera
axes, all in metres. Image points here are in units of the focal length (`ray` = X/Z, Y/Z); a crop is a centre
and a height in those units.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.contracts import CROP_H, CROP_W
from engines.skeleton import MIRROR

Array = NDArray[np.float32]

CAM_FROM_WORLD: Final = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)
"""A level camera that looks along world y."""
CROP_MARGIN: Final = 1.25
"""The crop's height is this times the larger of the box's height and its width x 4/3."""
ASPECT: Final = CROP_H / CROP_W
LEVEL_DEG: Final = (6.0, 12.0)
"""Mean and standard deviation of how far a camera beside a field or a stage looks down."""
POOL_DEG: Final = (0.0, 18.0)
"""The same at a pool: from the deck up to a diver on the tower, from the stands down on the entry."""


def rotation(axis: int, angle_rad: NDArray[np.floating]) -> Array:
    """Rotation matrices (..., 3, 3) by `angle_rad` (...) about axis 0, 1 or 2, right-handed."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    out = np.zeros((*np.shape(angle_rad), 3, 3), np.float32)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out[..., axis, axis] = 1
    out[..., i, i] = out[..., j, j] = c
    out[..., i, j] = -s
    out[..., j, i] = s
    return out


def random_rotations(rng: np.random.Generator, n: int) -> Array:
    """`n` rotations (n, 3, 3), uniform over SO(3), from unit quaternions."""
    q = rng.standard_normal((n, 4))
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows, np.float32), -1, 0)


def view(yaw_rad: Array, pitch_rad: Array, roll_rad: Array) -> Array:
    """`cam_from_world` (n, 3, 3): body turned by yaw about world z, camera pitched down by pitch, rolled by
    roll."""
    return rotation(2, roll_rad) @ rotation(0, pitch_rad) @ CAM_FROM_WORLD @ rotation(2, yaw_rad)


def random_views(
    rng: np.random.Generator, n: int, full_circle: float = 0.5, down_deg: tuple[float, float] = LEVEL_DEG
) -> Array:
    """Random `cam_from_world` (n, 3, 3): any yaw, looking down by `down_deg` (mean and standard deviation); a share
    `full_circle` rolled by any angle."""
    yaw = rng.uniform(-np.pi, np.pi, n)
    pitch = np.radians(rng.normal(*down_deg, n))
    roll = np.radians(rng.normal(0, 4, n))
    circle = rng.random(n) < full_circle
    roll[circle] = rng.uniform(-np.pi, np.pi, int(circle.sum()))
    return view(yaw.astype(np.float32), pitch.astype(np.float32), roll.astype(np.float32))


def project(joints_cam_m: Array) -> Array:
    """Rays (..., 2) of camera-frame points (..., 3): X/Z, Y/Z."""
    return joints_cam_m[..., :2] / joints_cam_m[..., 2:]


def keypoint_box(points: Array, pad: float = 0.075) -> tuple[Array, Array]:
    """Centre (..., 2) and size (..., 2) of the box around points (..., J, 2), enlarged by `pad` of its
    diagonal on each side, since skin, hair and fingers reach beyond joint centres."""
    low, high = points.min(-2), points.max(-2)
    size = high - low
    size = size + 2 * pad * np.linalg.norm(size, axis=-1, keepdims=True)
    return (low + high) / 2, size


def crop_height(size: Array, margin: float = CROP_MARGIN) -> Array:
    """Height (...) of the live crop around a box of `size` (..., 2) = width, height, in the box's unit."""
    return margin * np.maximum(size[..., 1], size[..., 0] * ASPECT)


def normalise(points: Array, centre: Array, height: Array) -> Array:
    """The contract's `keypoints`: points (..., J, 2) relative to the crop's centre (..., 2), over half its
    height (...)."""
    return (points - centre[..., None, :]) / (height[..., None, None] / 2)


def mirror(joints: Array) -> Array:
    """Joints (..., J, 2 or 3) of the mirrored picture: first coordinate negated, left and right exchanged."""
    out = joints[..., list(MIRROR), :].copy()
    out[..., 0] *= -1
    return out


def stature_like(rng: np.random.Generator, n: int) -> Array:
    """Scale factors (n,) that spread mocap statures of about 1.7 m over 1.45 to 1.95 m."""
    return np.clip(rng.normal(1.0, 0.06, n), 0.85, 1.15).astype(np.float32)
