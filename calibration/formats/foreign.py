"""A camera as another program's file has it, in this project's terms."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.distortion import COEFFICIENTS, Model
from calibration.errors import CalibrationError

Floats = NDArray[np.float64]

_SKEW: Final = 1e-3
"""Of the focal length: more than that is no rounding."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """One camera: `program` names the format, `notes` say what was not taken and why, a line each.

    `world_from_cam` (4, 4) in metres, z up; None where the file does not say enough.
    """

    name: str
    program: str
    camera: Camera
    world_from_cam: Floats | None = None
    notes: tuple[str, ...] = ()


def camera_of(size_px: tuple[int, int], matrix: Any, distortion: Any, model: Model) -> Camera:
    """A camera of K (3, 3) and OpenCV's coefficients. Raises CalibrationError for what there is no model for."""
    k = np.asarray(matrix, dtype=np.float64)
    numbers = [float(number) for number in np.ravel(distortion)]
    if k.shape != (3, 3):
        raise CalibrationError(f"expected a camera matrix of 3 x 3; got {' x '.join(map(str, k.shape))}")
    if abs(k[0, 1]) > _SKEW * abs(k[0, 0]):
        raise CalibrationError(f"the camera matrix has a skew of {k[0, 1]:g}; expected none")
    most = len(COEFFICIENTS[model])
    if any(numbers[most:]):
        raise CalibrationError(
            f"{len(numbers)} distortion coefficients; expected at most {most} ({', '.join(COEFFICIENTS[model])}): "
            "calibrate anew without the rational, thin-prism and tilted models"
        )
    width, height = size_px
    aspect = float(k[1, 1] / k[0, 0]) if k[0, 0] else 0.0
    centre = (float(k[0, 2]), float(k[1, 2]))
    return Camera(width, height, float(k[0, 0]), centre, tuple(numbers[:most]), aspect, model)


def world_from_cam_of(rotation: Floats, translation_m: Floats) -> Floats:
    """The inverse of X_cam = R X_world + t, with R (3, 3) and t (3,)."""
    pose = np.eye(4)
    pose[:3, :3] = rotation.T
    pose[:3, 3] = -rotation.T @ translation_m
    return pose
