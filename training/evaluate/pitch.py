"""Poses from exact keypoints by how far the camera looks up or down at the athlete, who stands in the middle of it.

One frame tells little of that: a body that leans away looks like one seen from above. So a lifter takes the cameras
that it was trained with for granted, and turns whole poses seen by others.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from training import geometry as geo
from training import metrics
from training.evaluate.networks import Networks
from training.evaluate.poses3d import SEED
from training.evaluate.result import Row

Array = NDArray[Any]

DOWN_DEG: Final = (-40, -30, -20, -10, 0, 10, 20, 30)
"""How far the cameras look down; up where negative."""
DISTANCE_M: Final = (5.0, 20.0)


def by_pitch(networks: Networks, poses: dict[str, Array]) -> dict[str, Row]:
    """A row for each set of root-relative poses (N, J, 3), world axes, and each pitch: the same poses in all of them,
    from any side."""
    rows: dict[str, Row] = {}
    for name, world in poses.items():
        rng = np.random.default_rng(SEED)
        yaw = rng.uniform(-np.pi, np.pi, len(world)).astype(np.float32)
        away = np.array([0, 0, 1]) * rng.uniform(*DISTANCE_M, (len(world), 1, 1))
        for down in DOWN_DEG:
            pitch = np.full(len(world), np.radians(down), np.float32)
            joints = world @ np.swapaxes(geo.view(yaw, pitch, np.zeros_like(pitch)), -1, -2)
            rows[f"{name}, {_words(down)}"] = _row(_lifted(networks, joints, joints + away), joints)
    return rows


def _words(down_deg: int) -> str:
    return f"{abs(down_deg)}° {'down' if down_deg > 0 else 'up'}" if down_deg else "level"


def _lifted(networks: Networks, joints_root_m: Array, joints_cam_m: Array) -> Array:
    rays = geo.project(joints_cam_m)
    centre, size = geo.keypoint_box(rays)
    height = geo.crop_height(size)
    box = np.concatenate([centre, height[:, None]], -1)
    return networks.lift(geo.normalise(rays, centre, height), np.ones(joints_root_m.shape[:2]), box)


def _row(predicted: Array, truth: Array) -> Row:
    return {
        "MPJPE mm": metrics.mpjpe(predicted, truth),
        "P-MPJPE mm": metrics.p_mpjpe(predicted, truth),
        "seen too far from above, degrees": float(np.median(from_above_deg(predicted, truth))),
        "poses": float(len(truth)),
    }


def from_above_deg(predicted: Array, truth: Array) -> Array:
    """How far (N,) poses (N, J, 3), camera axes, are turned about the camera's x axis against the truth, in degrees:
    above 0 as if the camera looked further down."""
    left, _, right = np.linalg.svd(np.swapaxes(predicted, -1, -2) @ truth)
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    return np.asarray(np.degrees(Rotation.from_matrix(left @ right).as_rotvec()[:, 0]))
