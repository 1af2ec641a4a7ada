"""Errors of poses, exactly as the field reports them. Arrays in, plain numbers or arrays out.

`predicted` and `truth` are (N, J, 3) joints in metres, pelvis-relative; results are in millimetres. Sequences
are (..., T, J, 3). Pictures: (N, J, 2) points in one unit, with a reference length (N,) in the same unit.
Several hypotheses a pose are (N, H, J, 3).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import JOINT_NAMES, MIRROR, PELVIS

Array = NDArray[np.floating]

MM: Final = 1000.0
PCK_3D_MM: Final = 150.0
TILTS: Final = ("upright", "sideways", "inverted")
LEVELS: Final = np.linspace(0.05, 1.0, 20)
FACTORS: Final = np.geomspace(0.25, 8.0, 61)
"""Inflations that `fit_inflation` tries."""
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
    """Mean error of accelerations of sequences (..., T, J, 3), millimetres a frame squared.

    Times the frame rate squared, over 1000, it is in metres a second squared.
    """
    return mpjpe(np.diff(predicted, n=2, axis=-3), np.diff(truth, n=2, axis=-3))


def jitter(predicted: Array, rate_hz: float) -> float:
    """Mean length of the third derivative of sequences (..., T, J, 3), metres a second cubed; needs no truth."""
    return float(np.linalg.norm(np.diff(predicted, n=3, axis=-3), axis=-1).mean() * rate_hz**3)


def pck_3d(predicted: Array, truth: Array, threshold_mm: float = PCK_3D_MM) -> float:
    """Percentage of the joints (..., J, 3) with an error below `threshold_mm`; all J joints count (PCK@150)."""
    return float(100 * (np.linalg.norm(predicted - truth, axis=-1) * MM < threshold_mm).mean())


def auc(predicted: Array, truth: Array) -> float:
    """Mean of `pck_3d`, percent, over the 31 thresholds 0, 5, ... 150 mm (Mehta et al., 3DV 2017)."""
    error_mm = np.linalg.norm(predicted - truth, axis=-1).ravel() * MM
    return float(100 * (error_mm < np.linspace(0, PCK_3D_MM, 31)[:, None]).mean())


def pck(predicted: Array, truth: Array, reference: Array, threshold: float, weight: Array | None = None) -> float:
    """Percentage of points (N, J, 2) within `threshold` times `reference` (N,); points of zero `weight` (N, J)
    left out."""
    hit = np.linalg.norm(predicted - truth, axis=-1) <= threshold * np.asarray(reference)[..., None]
    keep = np.ones(hit.shape, bool) if weight is None else np.asarray(weight) > 0
    return float(100 * hit[keep].mean()) if keep.any() else float("nan")


def epe(predicted: Array, truth: Array, weight: Array | None = None) -> float:
    """End-point error: mean distance of points (N, J, 2), in their unit; points of zero `weight` (N, J) left out."""
    distance = np.linalg.norm(predicted - truth, axis=-1)
    keep = np.ones(distance.shape, bool) if weight is None else np.asarray(weight) > 0
    return float(distance[keep].mean()) if keep.any() else float("nan")


def trunk(points: Array) -> Array:
    """From the middle of the hips to that of the shoulders (N, 2) of points (N, J, 2); its length is the torso."""
    hips = (points[..., _INDEX["left_hip"], :] + points[..., _INDEX["right_hip"], :]) / 2
    shoulders = (points[..., _INDEX["left_shoulder"], :] + points[..., _INDEX["right_shoulder"], :]) / 2
    return np.asarray(shoulders - hips)


def tilt(trunks: Array) -> NDArray[np.str_]:
    """Of trunks (N, 2), y down, one of `TILTS` (N,): upright below 45 degrees from up, inverted above 135, or sideways.

    Empty where a trunk is NaN.
    """
    angle = np.degrees(np.arctan2(np.abs(trunks[:, 0]), -trunks[:, 1]))
    return np.select([angle < 45, angle <= 135, angle > 135], TILTS, "")


def orientation(joints_cam_m: Array) -> NDArray[np.str_]:
    """`upright`, `side` or `inverted` (N,) by the trunk in the picture (pelvis to thorax): within 45 degrees
    of up, beyond 135, or between. Joints (N, J, 2 or 3) with y down."""
    way = tilt(joints_cam_m[..., _INDEX["thorax"], :2] - joints_cam_m[..., _INDEX["pelvis"], :2])
    return np.where(way == "sideways", "side", way)


def box_iou(predicted: Array, truth: Array) -> Array:
    """Intersection over union (N,) of boxes (N, 4) = half width, half height, centre x, centre y."""
    low = np.maximum(predicted[:, 2:] - predicted[:, :2], truth[:, 2:] - truth[:, :2])
    high = np.minimum(predicted[:, 2:] + predicted[:, :2], truth[:, 2:] + truth[:, :2])
    shared = np.clip(high - low, 0, None).prod(-1)
    union = 4 * predicted[:, :2].prod(-1) + 4 * truth[:, :2].prod(-1) - shared
    return np.asarray(shared / np.maximum(union, 1e-12))


def normalised_poses(joints: Array) -> Array:
    """Poses (N, J, 3) as vectors (N, 3 J) for `pose_clusters`: centred on the mean joint, scaled to unit norm."""
    flat = (joints - joints.mean(-2, keepdims=True)).reshape(len(joints), -1)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=-1, keepdims=True), 1e-12))


def pose_clusters(training: Array, k: int, seed: int = 0, rounds: int = 50) -> Array:
    """Centres (k, 3 J) of the `training` poses (N, J, 3) by k-means, started as k-means++ does (N at least k)."""
    rng = np.random.default_rng(seed)
    poses = normalised_poses(training)
    if len(poses) < k:
        raise ValueError(f"{len(poses)} poses do not make {k} clusters")
    centres = poses[rng.integers(len(poses))][None]
    nearest = _squared_distances(poses, centres)[:, 0]
    for _ in range(k - 1):
        total = nearest.sum()
        chosen = rng.choice(len(poses), p=nearest / total) if total > 0 else rng.integers(len(poses))
        centres = np.concatenate([centres, poses[chosen][None]])
        nearest = np.minimum(nearest, _squared_distances(poses, centres[-1:])[:, 0])
    for _ in range(rounds):
        member = _squared_distances(poses, centres).argmin(1)
        moved = np.stack([poses[member == i].mean(0) if (member == i).any() else centres[i] for i in range(k)])
        if np.allclose(moved, centres):
            break
        centres = moved
    return centres


def pss(predicted: Array, truth: Array, centres: Array) -> float:
    """Mean pose structure score, percent: how often `predicted` (N, J, 3) falls into the cluster of `truth`
    (Kundu et al., CVPR 2020)."""
    ours, theirs = (_squared_distances(normalised_poses(x), centres).argmin(1) for x in (predicted, truth))
    return float(100 * (ours == theirs).mean())


def _squared_distances(rows: Array, centres: Array) -> Array:
    """(N, D) and (k, D) to (N, k)."""
    crossed = rows @ centres.T
    return np.asarray(np.maximum((rows**2).sum(1)[:, None] - 2 * crossed + (centres**2).sum(1), 0))


def min_mpjpe(hypotheses: Array, truth: Array) -> float:
    """minMPJPE (P-Best): MPJPE of the best whole pose among the H, millimetres. An oracle, no result."""
    errors = np.linalg.norm(hypotheses - truth[:, None], axis=-1).mean(-1)
    return float(errors.min(1).mean() * MM)


def j_best(hypotheses: Array, truth: Array) -> float:
    """J-Best: mean error of the best hypothesis of each joint, millimetres. An oracle, no result."""
    return float(np.linalg.norm(hypotheses - truth[:, None], axis=-1).min(1).mean() * MM)


def p_agg(hypotheses: Array, truth: Array) -> float:
    """P-Agg: MPJPE of the mean of the hypotheses, millimetres."""
    return mpjpe(hypotheses.mean(1), truth)


def coverage(hypotheses: Array, truth: Array) -> Array:
    """Share (20,) of joints whose true distance from the median is within the q-quantile of the hypotheses' distances.

    q is each of `LEVELS`; honest hypotheses give q. The median is taken coordinate by coordinate; quantiles of H
    distances are at (H + 1) q, so that few hypotheses are not taken for over-confident ones.
    """
    centre = np.median(hypotheses, axis=1)
    error = np.linalg.norm(truth - centre, axis=-1)
    spread = np.linalg.norm(hypotheses - centre[:, None], axis=-1)
    bounds = np.quantile(spread, LEVELS, axis=1, method="weibull")
    return np.asarray((error <= bounds).mean((1, 2)))


def ece(hypotheses: Array, truth: Array) -> float:
    """Expected calibration error, 0..1: mean over q of |coverage(q) - q| (Pierzchlewicz et al., 2022).

    The pelvis, the origin of all hypotheses, is left out where all joints of the skeleton are given.
    """
    if hypotheses.shape[-2] == len(MIRROR):
        hypotheses, truth = np.delete(hypotheses, PELVIS, -2), np.delete(truth, PELVIS, -2)
    return float(np.abs(coverage(hypotheses, truth) - LEVELS).mean())


def inflate(hypotheses: Array, factor: Array) -> Array:
    """Hypotheses moved from their mean by `factor` (J,) or (): mean + factor (hypothesis - mean)."""
    mean = hypotheses.mean(1, keepdims=True)
    return np.asarray(mean + np.asarray(factor)[..., None] * (hypotheses - mean))


def fit_inflation(hypotheses: Array, truth: Array) -> Array:
    """Factor (J,) of each joint that makes its ECE smallest, the same left and right; 1 for the pelvis.

    Never fitted to minMPJPE, which rewards any spread.
    """
    factor = np.ones(len(MIRROR))
    for joint, other in enumerate(MIRROR):
        if joint == PELVIS or other < joint:
            continue
        joints = sorted({joint, other})
        ours, theirs = hypotheses[:, :, joints], truth[:, joints]
        errors = [ece(inflate(ours, np.asarray(a)), theirs) for a in FACTORS]
        factor[joints] = FACTORS[int(np.argmin(errors))]
    return factor
