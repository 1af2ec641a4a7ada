"""How a dive is filmed: where the camera stands, and whether it rests, follows the diver or zooms.

A camera stands on a tripod: it turns about its optical centre and zooms, and never moves otherwise. World as in `dive`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from training.synth.camera import Camera, looking

Array = npt.NDArray[Any]
Kind = Literal["static", "follow", "zoom", "random"]
Stand = Literal["side", "quarter", "front", "level", "low", "random"]

KINDS: Final[tuple[str, ...]] = get_args(Kind)
STANDS: Final[tuple[str, ...]] = get_args(Stand)
_AZIMUTH_DEG: Final = {"side": (-14, 18), "quarter": (28, 58), "front": (68, 86), "level": (-10, 50), "low": (-10, 55)}
"""Of the camera about the board's edge: 0 is square to the flight on the diver's right, 90 straight ahead."""
_SWIFTNESS: Final = 9.0
"""Of the operator, rad/s: natural frequency of hand and eye, critically damped."""
_FORESIGHT: Final = 0.8
"""Share of the diver's angular velocity that the operator swings along with."""
_LONGEST: Final = 3.8
"""Focal length of a camera that follows, in heights of the picture, at most (4100 px at 1080p); a zoom reaches more."""
_STEPS: Final = 10
MOST_PX: Final = 26_000_000
"""Pixels of a wide backdrop at most."""


class ShotError(ValueError):
    """No such camera."""


@dataclass(frozen=True)
class Shot:
    """What was asked for: `kind` of movement and where the camera stands."""

    kind: str = "static"
    stand: str = "side"

    def __post_init__(self) -> None:
        for value, known in ((self.kind, KINDS), (self.stand, STANDS)):
            if value not in known:
                raise ShotError(f"camera {value!r}: unknown; choose from {', '.join(known)}")

    def drawn(self, rng: np.random.Generator) -> Shot:
        """The shot with nothing left to chance."""
        kind = str(rng.choice(KINDS[:-1])) if self.kind == "random" else self.kind
        stand = str(rng.choice(STANDS[:-1])) if self.stand == "random" else self.stand
        return Shot(kind, stand)


def position(rng: np.random.Generator, stand: str, height_m: float) -> Array:
    """Where a camera of this stand is, [3], 10 to 22 m away from the edge of a board `height_m` above the water."""
    azimuth = np.deg2rad(rng.uniform(*_AZIMUTH_DEG[stand]))
    away = rng.uniform(10, 15) if stand == "low" else rng.uniform(12, 21)
    low, high = {"level": (0.2, 1.8), "low": (-height_m + 0.6, -height_m + 1.2)}.get(
        stand, (-height_m + 1.6, min(2.5, 6 - height_m))
    )
    x, y = 0.6 + away * np.sin(azimuth), -away * np.cos(azimuth)
    return np.array([x, y, rng.uniform(low, high)])


def framing(position_m: Array, points_m: Array, size_px: tuple[int, int], share: float = 0.88) -> Camera:
    """A camera at `position_m` whose picture shows all `points_m` [N, 3] within this share of its sides."""
    target = (points_m.min(0) + points_m.max(0)) / 2
    for _ in range(3):
        cam = looking(position_m, target, 1.0, size_px).to_cam(points_m)
        flat = cam[:, :2] / cam[:, 2:]
        low, high = flat.min(0), flat.max(0)
        focal = float((share * np.array(size_px) / (high - low)).min())
        axes = looking(position_m, target, 1.0, size_px).world_from_cam[:3, :3]
        target = position_m + axes @ np.append((low + high) / 2, 1.0) * 10
    return looking(position_m, target, focal, size_px)


def followed(rng: np.random.Generator, directions_rad: Array, rate_hz: float) -> Array:
    """Where an operator points while the diver is seen at `directions_rad` [T, 2]: a little late, a little unsteady."""
    step = 1 / (rate_hz * _STEPS)
    times = np.arange(len(directions_rad)) / rate_hz
    fine = np.arange(0, times[-1] + step / 2, step)
    target = np.stack([np.interp(fine, times, directions_rad[:, k]) for k in range(2)], -1)
    speed = np.gradient(target, step, axis=0)
    at, swing = target[0].copy(), np.zeros(2)
    pointed = np.empty_like(target)
    for k in range(len(fine)):
        pull = _SWIFTNESS**2 * (target[k] - at) + 2 * _SWIFTNESS * (_FORESIGHT * speed[k] - swing)
        swing = swing + step * pull
        at = at + step * swing
        pointed[k] = at
    return np.asarray(pointed[::_STEPS][: len(times)] + shake(rng, len(times), 2, rate_hz))


def shake(rng: np.random.Generator, count: int, axes: int, rate_hz: float, size_rad: float = 0.0011) -> Array:
    """Unrest of a hand on a tripod [count, axes], radians: slow noise, about 1.5 Hz."""
    reach = int(rate_hz / 2)
    bell = np.exp(-(((np.arange(-reach, reach + 1) / rate_hz) / 0.12) ** 2) / 2)
    noise = rng.normal(size=(count + 2 * reach, axes))
    slow = np.stack([np.convolve(noise[:, k], bell, "valid") for k in range(axes)], -1)
    return np.asarray(size_rad * slow / np.sqrt((bell**2).sum()))


def _zoomed(rng: np.random.Generator, count: int) -> Array:
    """Factor [count] of a focal length that goes smoothly once from one value to another."""
    start, length = rng.uniform(0.1, 0.5) * count, rng.uniform(0.25, 0.5) * count
    way = np.clip((np.arange(count) - start) / length, 0, 1)
    way = way * way * (3 - 2 * way)
    change = float(np.log(rng.uniform(1.4, 2.2)))
    return np.asarray(np.exp(change * (way if rng.random() < 0.6 else 1 - way) - change / 2))


def cameras(
    rng: np.random.Generator,
    shot: Shot,
    joints_world_m: Array,
    height_m: float,
    rate_hz: float,
    size_px: tuple[int, int],
) -> list[Camera]:
    """One camera a frame for a dive [T, 17, 3], or a single one that rests. `shot` must leave nothing to chance."""
    board = np.array([[-1.5, 0, 0.0], [0.5, 0, -height_m]])
    place = position(rng, shot.stand, height_m)
    if shot.kind == "static":
        return [framing(place, np.concatenate([joints_world_m.reshape(-1, 3), board]), size_px)]
    target = joints_world_m[:, [0, 8]].mean(1)
    target[:, 2] = np.maximum(target[:, 2], -height_m - 0.2)
    way = target - place
    directions = np.stack([np.arctan2(way[:, 0], way[:, 1]), np.arctan2(way[:, 2], np.hypot(way[:, 0], way[:, 1]))], -1)
    pointed = followed(rng, directions, rate_hz)
    count, away = len(target), float(np.linalg.norm(way, axis=1).mean())
    focal = np.full(count, size_px[1] * min(away / rng.uniform(3.6, 5.5), _LONGEST))
    if shot.kind == "zoom":
        focal = focal * 0.9 * _zoomed(rng, count)
    roll = rng.normal(0, 0.008) + shake(rng, count, 1, rate_hz, 0.0007)[:, 0]
    return [
        looking(place, place + _direction(azimuth, rise), float(f), size_px, float(r))
        for (azimuth, rise), f, r in zip(pointed, focal, roll, strict=True)
    ]


def _direction(azimuth: float, rise: float) -> Array:
    return np.array([np.sin(azimuth) * np.cos(rise), np.cos(azimuth) * np.cos(rise), np.sin(rise)])


def wide(frames: list[Camera]) -> Camera:
    """One camera in the same place whose picture holds the pictures of all `frames`, as fine as the longest lens."""
    place = frames[0].world_from_cam[:3, 3]
    forward = np.mean([camera.world_from_cam[:3, 2] for camera in frames], axis=0)
    flat = looking(place, place + forward, 1.0, (1, 1))
    corners = np.concatenate([_corners(camera) for camera in frames]) @ flat.world_from_cam[:3, :3]
    if corners[:, 2].min() < 0.2:
        raise ShotError("the camera turns too far for one backdrop; choose a place farther away")
    corners = corners[:, :2] / corners[:, 2:]
    low, high = corners.min(0), corners.max(0)
    focal = max(float(camera.matrix_px[0, 0]) for camera in frames)
    focal *= min(1.0, float(np.sqrt(MOST_PX / np.prod((high - low) * focal))))
    matrix = np.array([[focal, 0, 2 - focal * low[0]], [0, focal, 2 - focal * low[1]], [0, 0, 1.0]])
    width, height = (int(v) + 5 for v in np.ceil((high - low) * focal))
    return Camera(matrix, flat.world_from_cam, (width, height))


def _corners(camera: Camera) -> Array:
    """Directions [4, 3] in the world, of length about 1, of the corners of the picture."""
    width, height = camera.size_px
    pixels = np.array([[x, y, 1.0] for x in (-0.5, width - 0.5) for y in (-0.5, height - 0.5)])
    rays = pixels @ np.linalg.inv(camera.matrix_px).T @ camera.world_from_cam[:3, :3].T
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


class Panning:
    """Pictures of everything that rests, for cameras that turn and zoom about one place: cut out of one wide picture.

    Exact, for such cameras differ by a homography whatever the depth.
    """

    def __init__(self, camera: Camera, picture: Array) -> None:
        self.camera = camera
        self.pictures = [picture]
        while min(self.pictures[-1].shape[:2]) > 800:
            half = tuple(side // 2 for side in self.pictures[-1].shape[1::-1])
            self.pictures.append(cv2.resize(self.pictures[-1], half, interpolation=cv2.INTER_AREA))

    def seen(self, camera: Camera) -> Array:
        """The picture of `camera`, [H, W, 3] uint8."""
        ratio = float(self.camera.matrix_px[0, 0] / camera.matrix_px[0, 0])
        level = int(np.clip(np.floor(np.log2(ratio) + 0.4), 0, len(self.pictures) - 1))
        picture = self.pictures[level]
        x, y = (full / side for full, side in zip(self.camera.size_px, picture.shape[1::-1], strict=True))
        grown = np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5], [0, 0, 1.0]])
        turn = camera.world_from_cam[:3, :3].T @ self.camera.world_from_cam[:3, :3]
        matrix = camera.matrix_px @ turn @ np.linalg.inv(self.camera.matrix_px) @ grown
        return np.asarray(
            cv2.warpPerspective(
                picture, matrix, camera.size_px, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
        )
