"""The centre of gravity in one frame, as evidence for a fall: its direction, and how far away it seems to be."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.root import Root
from engines.skeleton import PELVIS
from flight import mass

Floats = NDArray[np.float64]

_MASSES: Final = mass.points(0.5)
CENTRE: Final = np.asarray(_MASSES.masses @ _MASSES.from_joints)
"""(17,) weights of the joints whose sum is the centre of gravity, midway between man and woman."""
_FLAT_FLOOR: Final = 0.01
"""Least deviation of the centre's direction, in heights of a body in the picture: the segments' masses are averages."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """The centre of gravity in one frame: its direction on the plane Z = 1 with deviation, its depth by the size of the
    body in the picture with relative deviation (both at the decoder's own size of body)."""

    flat: tuple[float, float]
    flat_sd: float
    depth_m: float
    depth_sd: float


def sighting(root: Root, joints_root_m: Floats) -> Sighting:
    """The centre of gravity of a pose (17, 3) whose pelvis was seen at `root`, as evidence for a fall."""
    pose = joints_root_m - joints_root_m[PELVIS]
    centre = root.root_cam_m + CENTRE @ pose
    depth = float(centre[2])
    body = float(np.linalg.norm(np.ptp(pose, axis=0))) / depth
    flat_sd = float(np.sqrt(across(root).trace() / 2))
    depth_sd = float(np.sqrt(root.covariance_m2[2, 2])) / float(root.root_cam_m[2])
    return Sighting(
        (float(centre[0]) / depth, float(centre[1]) / depth), max(flat_sd, _FLAT_FLOOR * body), depth, depth_sd
    )


def across(root: Root) -> Floats:
    """Covariance (2, 2) of the root's direction on the plane Z = 1."""
    ray = root.root_cam_m / root.root_cam_m[2]
    slopes = np.column_stack([np.eye(2), -ray[:2]]) / root.root_cam_m[2]
    return np.asarray(slopes @ root.covariance_m2 @ slopes.T)
