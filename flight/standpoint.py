"""How a camera stands in the world, as far as it is known: calibrated, or guessed and said to be guessed."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.venue import Board, Calibration

Floats = NDArray[np.float64]
World = Literal["metric", "estimated"]

_DOWN_PICTURE: Final = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True, slots=True)
class Standpoint:
    """Camera, its place `world_from_cam` (4, 4), and the board where one is known.

    `world` metric: lens and vertical are calibrated, so that a fall gives true metres; estimated: either was guessed.
    Without a calibrated place the world's origin is the camera: x to its right, y ahead of it, both level, z up.
    """

    camera: Camera
    world_from_cam: Floats
    world: World
    board: Board | None = None

    @property
    def down_cam(self) -> Floats:
        """Unit vector (3,) along gravity in camera axes."""
        return np.asarray(-self.world_from_cam[2, :3])

    def to_world(self, points_cam_m: Floats) -> Floats:
        """Points (..., 3) of camera axes in the world."""
        return np.asarray(points_cam_m @ self.world_from_cam[:3, :3].T + self.world_from_cam[:3, 3])


def standpoint(camera: Camera, calibration: Calibration | None) -> Standpoint:
    """Where a camera stands by its calibration; without one it is taken to stand level.

    `camera` is that of the calibration for pictures of the size at hand, or a guess.
    """
    if calibration is None:
        return Standpoint(camera, levelled(_DOWN_PICTURE), "estimated")
    if calibration.world_from_cam is not None:
        return Standpoint(camera, calibration.world_from_cam, "metric", calibration.board)
    if calibration.gravity_cam is not None:
        return Standpoint(camera, levelled(calibration.gravity_cam), "metric")
    return Standpoint(camera, levelled(_DOWN_PICTURE), "estimated")


def levelled(down_cam: Floats) -> Floats:
    """`world_from_cam` (4, 4) of a world about the camera: z up, y level ahead, x level to the right."""
    up = -down_cam / np.linalg.norm(down_cam)
    ahead = np.array([0.0, 0, 1]) - up[2] * up
    if np.linalg.norm(ahead) < 1e-6:  # it looks straight down or up: the picture's own upward is ahead
        ahead = np.array([0.0, -1, 0]) - -up[1] * up
    ahead = ahead / np.linalg.norm(ahead)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([np.cross(ahead, up), ahead, up])
    return matrix
