"""Pinhole cameras of the generator: fixed ones in a world, and virtual ones that look at the centre of a crop.

Camera axes x right, y down, z forward. Pixel coordinates follow OpenCV: (0, 0) is the centre of the first pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Camera:
    """`matrix_px` [3, 3] intrinsics, `world_from_cam` [4, 4] rigid, `size_px` (width, height)."""

    matrix_px: Array
    world_from_cam: Array
    size_px: tuple[int, int]

    def to_cam(self, points_world_m: Array) -> Array:
        """Points [..., 3] of the world in camera axes, metres."""
        rotation, centre = self.world_from_cam[:3, :3], self.world_from_cam[:3, 3]
        return np.asarray((points_world_m - centre) @ rotation)

    def project(self, points_cam_m: Array) -> Array:
        """Pixel coordinates [..., 2] of points [..., 3] in camera axes."""
        matrix = self.matrix_px
        depth = points_cam_m[..., 2:]
        return np.asarray(points_cam_m[..., :2] / depth * [matrix[0, 0], matrix[1, 1]] + [matrix[0, 2], matrix[1, 2]])


def looking(
    position_m: Array, target_m: Array, focal_px: float, size_px: tuple[int, int], roll_rad: float = 0.0
) -> Camera:
    """A camera at `position_m` (world, z up) with `target_m` in the middle of its picture."""
    forward = np.asarray(target_m, float) - position_m
    forward = forward / np.linalg.norm(forward)
    hint = np.array([0, 0, 1.0]) if abs(forward[2]) < 0.99 else np.array([0, 1.0, 0])
    right = np.cross(forward, hint)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cosine, sine = np.cos(roll_rad), np.sin(roll_rad)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([cosine * right + sine * down, cosine * down - sine * right, forward], 1)
    pose[:3, 3] = position_m
    width, height = size_px
    matrix = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1.0]])
    return Camera(matrix, pose, size_px)


def around(rng: np.random.Generator, target_m: Array, distance_m: float, size_px: tuple[int, int]) -> Camera:
    """A camera `distance_m` away from `target_m`, any azimuth, pitched down up to 25 degrees, rarely up; focal 1 px."""
    azimuth = rng.uniform(0, 2 * np.pi)
    pitch = np.deg2rad(rng.uniform(-6, 25))
    offset = np.array([np.cos(azimuth) * np.cos(pitch), np.sin(azimuth) * np.cos(pitch), np.sin(pitch)])
    return looking(target_m + distance_m * offset, target_m, 1.0, size_px, rng.normal(0, 0.03))


def filling(camera: Camera, points_world_m: Array, side_share: float) -> Camera:
    """`camera` turned and zoomed so that the box of `points_world_m` is centred and fills `side_share` of the side.

    Two rounds: the box moves a little when the optical axis does.
    """
    position = camera.world_from_cam[:3, 3]
    for _ in range(2):
        cam = camera.to_cam(points_world_m)
        flat = cam[:, :2] / cam[:, 2:]
        low, high = flat.min(0), flat.max(0)
        middle = np.append((low + high) / 2, 1.0)
        focal = side_share * min(camera.size_px) / float(max(high - low))
        axes = camera.world_from_cam[:3, :3]
        forward = axes @ (middle / np.linalg.norm(middle))
        pose = np.eye(4)
        right = axes[:, 0] - (axes[:, 0] @ forward) * forward
        right /= np.linalg.norm(right)
        pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], 1)
        pose[:3, 3] = position
        width, height = camera.size_px
        matrix = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
        camera = Camera(matrix, pose, camera.size_px)
    return camera
