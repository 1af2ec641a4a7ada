"""Errors of poses, exactly as the field reports them. Arrays in, plain numbers or arrays out.

`predicted` and `truth` are (N, J, 3) joints in metres, pelvis-relative; results are in millimetres. Sequences
are (N, T, J, 3). Pictures: (N, J, 2) points in one unit, with a reference length (N,) in the same unit.
"""

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import JOINT_NAMES

Array = NDArray[np.floating]

MM = 1000.0
_INDEX = {name: i for i, name in enumerate(JOINT_NAMES)}


def mpjpe(predicted: Array, truth: Array) -> float:
    """Mean per-joint position error, millimetres."""
    return float(np.linalg.norm(predicted - truth, axis=-1).mean() * MM)


def n_mpjpe(predicted: Array, truth: Array) -> float:
    """MPJPE after the best scale of each frame: s = <P, G> / <P, P>."""
    scale = (predicted * truth).sum((-2, -1)) / np.maximum((predicted**2).sum((-2, -1)), 1e-12)
    return mpjpe(scale[..., None, None] * predicted, truth)


def align(predicted: Array, truth: Array) -> Array:
    """`predicted` (N, J, 3) moved onto `truth` by the best similarity of each frame (Procrustes, no
    reflection)."""
    mean_p, mean_t = predicted.mean(-2, keepdims=True), truth.mean(-2, keepdims=True)
    p, t = predicted - mean_p, truth - mean_t
    norm_p = np.maximum(np.linalg.norm(p, axis=(-2, -1), keepdims=True), 1e-12)
    norm_t = np.maximum(np.linalg.norm(t, axis=(-2, -1), keepdims=True), 1e-12)
    u, s, vt = np.linalg.svd(np.swapaxes(t / norm_t, -1, -2) @ (p / norm_p))
    sign = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    s[..., -1] *= sign
    vt[..., -1, :] *= sign[..., None]
    turn = np.swapaxes(vt, -1, -2) @ np.swapaxes(u, -1, -2)
    scale = s.sum(-1)[..., None, None] * norm_t / norm_p
    return np.asarray(scale * p @ turn + mean_t)


def p_mpjpe(predicted: Array, truth: Array) -> float:
    """MPJPE after the best rotation, translation and scale of each frame."""
    return mpjpe(align(predicted, truth), truth)


def mpjve(predicted: Array, truth: Array) -> float:
    """Mean error of velocities of sequences (..., T, J, 3), millimetres a frame."""
    return mpjpe(np.diff(predicted, axis=-3), np.diff(truth, axis=-3))


def acceleration_error(predicted: Array, truth: Array) -> float:
    """Mean error of accelerations of sequences (..., T, J, 3), millimetres a frame squared."""
    return mpjpe(np.diff(predicted, n=2, axis=-3), np.diff(truth, n=2, axis=-3))


def pck(predicted: Array, truth: Array, reference: Array, threshold: float, weight: Array | None = None) -> float:
    """Percentage of points (N, J, 2) within `threshold` times `reference` (N,); points of zero `weight` (N, J)
    left out."""
    hit = np.linalg.norm(predicted - truth, axis=-1) <= threshold * np.asarray(reference)[..., None]
    keep = np.ones(hit.shape, bool) if weight is None else np.asarray(weight) > 0
    return float(100 * hit[keep].mean()) if keep.any() else float("nan")


def torso_length(points: Array) -> Array:
    """Distance (N,) from left shoulder to right hip in points (N, J, 2), the reference of PCK of the torso."""
    return np.asarray(
        np.linalg.norm(points[..., _INDEX["left_shoulder"], :] - points[..., _INDEX["right_hip"], :], axis=-1)
    )


def orientation(joints_cam_m: Array) -> NDArray[np.str_]:
    """`upright`, `side` or `inverted` (N,) by the trunk in the picture (pelvis to thorax): within 45 degrees
    of up, beyond 135, or between. Joints (N, J, 2 or 3) with y down."""
    trunk = joints_cam_m[..., _INDEX["thorax"], :2] - joints_cam_m[..., _INDEX["pelvis"], :2]
    angle = np.degrees(np.arctan2(np.abs(trunk[..., 0]), -trunk[..., 1]))
    return np.where(angle < 45, "upright", np.where(angle > 135, "inverted", "side"))


def box_iou(predicted: Array, truth: Array) -> Array:
    """Intersection over union (N,) of boxes (N, 4) = half width, half height, centre x, centre y."""
    low = np.maximum(predicted[:, 2:] - predicted[:, :2], truth[:, 2:] - truth[:, :2])
    high = np.minimum(predicted[:, 2:] + predicted[:, :2], truth[:, 2:] + truth[:, :2])
    shared = np.clip(high - low, 0, None).prod(-1)
    union = 4 * predicted[:, :2].prod(-1) + 4 * truth[:, :2].prod(-1) - shared
    return np.asarray(shared / np.maximum(union, 1e-12))
