"""A diving pool as scenery: the hall, boards on their towers, people at rest, the splash. Drawn by rays and polygons.

World as in `dive`: origin at the board's edge, x over the water, z up, metres; colours are RGB 0-255.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from training.synth.camera import Camera
from training.synth.dive import GRAVITY_M_S2
from training.synth.hall import BASIN_M, DECK_ABOVE_WATER_M, WALL_Y_M, Style, random_style, scenery
from training.synth.render import Layer

__all__ = ["BASIN_M", "BOARD_LENGTH_M", "WALL_Y_M", "Figure", "Pool", "Splash", "Style", "Tower", "random_style"]

Array = npt.NDArray[Any]
Place = tuple[float, float, float]

BOARD_LENGTH_M: Final = 4.8
FULCRUM_X_M: Final = -2.6
PLATFORM_FROM_M: Final = 5.0
"""From this height on a dive starts from a rigid platform instead of a springboard."""
_RAIL_M: Final = 0.032
_CONCRETE: Final = np.array([150.0, 150, 146])
_BOARD: Final = np.array([150.0, 196, 214])


@dataclass(frozen=True)
class Figure:
    """Somebody at rest: the foot of `sprite` [H, W, 4] uint8 (premultiplied) at `foot_m` [3], `height_m` high."""

    sprite: Array
    foot_m: Array
    height_m: float


@dataclass(frozen=True)
class Tower:
    """Another springboard or platform beside the one dived from: its middle line `y_m`, `height_m` above the water."""

    y_m: float
    height_m: float


@dataclass(frozen=True)
class Pool:
    """The scenery seen by one `camera`, with the water `height_m` below the board."""

    camera: Camera
    height_m: float
    style: Style = field(default_factory=Style)
    towers: tuple[Tower, ...] = ()
    figures: tuple[Figure, ...] = ()

    def backdrop(self, rng: np.random.Generator, fine: int = 1) -> Array:
        """Everything that does not move, [H, W, 3] uint8; `fine` squared rays go into a pixel."""
        image = scenery(self.style, self.camera, -self.height_m, rng, fine)
        standing: list[tuple[Array, Callable[[Array], None]]] = [
            (np.array([FULCRUM_X_M, 0.0, 0.0]), lambda image: self._tower(image, Tower(0.0, self.height_m), False))
        ]
        for tower in self.towers:
            place = np.array([FULCRUM_X_M, tower.y_m, tower.height_m - self.height_m])
            standing.append((place, lambda image, tower=tower: self._tower(image, tower, True)))  # type: ignore[misc]
        for figure in self.figures:
            standing.append((figure.foot_m, lambda image, figure=figure: self._figure(image, figure)))  # type: ignore[misc]
        forward = self.camera.world_from_cam[:3, 2]
        for _, draw in sorted(standing, key=lambda item: -float(item[0] @ forward)):
            draw(image)
        return image

    def _face(self, image: Array, corners_m: Array, colour: Array) -> None:
        cam = self.camera.to_cam(np.asarray(corners_m, float))
        if cam[:, 2].min() < 0.2:
            return
        pixels = np.rint(self.camera.project(cam) * 16).clip(-1e8, 1e8).astype(np.int32)
        cv2.fillPoly(image, [pixels], tuple(np.minimum(colour, 255.0).tolist()), cv2.LINE_AA, 4)

    def _box(self, image: Array, low: Place, high: Place, colour: Array) -> None:
        """A box between two corners: the faces that the eye sees, each lit differently."""
        eye = self.camera.world_from_cam[:3, 3]
        ends = np.array([low, high])
        for axis, shades in ((2, (0.5, 1.15)), (0, (0.8, 0.7)), (1, (1.0, 0.85))):
            side = 1 if eye[axis] > ends[1, axis] else 0 if eye[axis] < ends[0, axis] else None
            if side is None:
                continue
            first, second = (k for k in range(3) if k != axis)
            corners = np.tile(ends[0], (4, 1))
            corners[:, axis] = ends[side, axis]
            corners[1:3, first], corners[2:, second] = ends[1, first], ends[1, second]
            self._face(image, corners, colour * shades[side])

    def _tower(self, image: Array, tower: Tower, with_board: bool) -> None:
        z, y, foot = tower.height_m - self.height_m, tower.y_m, -self.height_m + DECK_ABOVE_WATER_M
        if tower.height_m >= PLATFORM_FROM_M:
            self._platform(image, y, z, foot)
            return
        self._box(image, (-6.5, y - 0.6, foot), (-4.6, y + 0.6, z - 0.05), _CONCRETE)
        self._box(
            image,
            (FULCRUM_X_M - 0.25, y - 0.35, foot),
            (FULCRUM_X_M + 0.25, y + 0.35, z - 0.12),
            _CONCRETE * 0.89,
        )
        self._box(image, (-4.9, y - 0.45, z - 0.35), (FULCRUM_X_M + 0.3, y + 0.45, z - 0.12), _CONCRETE * 0.94)
        if with_board:
            self._board(image, y, z, 0.0)
        self._rails(image, (-6.3, -5.0, -3.9, FULCRUM_X_M), (y + 0.5, y - 0.5), z)

    def _platform(self, image: Array, y: float, z: float, foot: float) -> None:
        self._box(image, (-6.6, y - 0.5, foot), (-5.2, y + 0.5, z - 0.25), _CONCRETE * 0.9)
        above = self.camera.world_from_cam[2, 3] > z
        posts, sides = (-6.9, -5.2, -3.4, -1.0), (y + 1.25, y - 1.25)
        if not above:
            self._rails(image, posts, sides, z + 0.1)
        self._box(image, (-7.0, y - 1.3, z - 0.28), (0.0, y + 1.3, z), _CONCRETE)
        if above:
            mat = np.array([[-1.2, y - 1.2, z], [0, y - 1.2, z], [0, y + 1.2, z], [-1.2, y + 1.2, z]])
            self._face(image, mat, _BOARD * 0.8)
            self._rails(image, posts, sides, z + 0.1)

    def _rails(self, image: Array, posts: tuple[float, ...], sides: tuple[float, ...], z: float) -> None:
        for y in sides:
            for x in posts:
                self._bar(image, (x, y, z - 0.1), (x, y, z + 0.95))
            for up in (0.5, 0.95):
                self._bar(image, (posts[0], y, z + up), (posts[-1], y, z + up))

    def _bar(self, image: Array, start: Place, end: Place) -> None:
        cam = self.camera.to_cam(np.array([start, end], float))
        if cam[:, 2].min() < 0.2:
            return
        ends = np.rint(self.camera.project(cam) * 16).clip(-1e8, 1e8)
        first, second = (tuple(int(v) for v in point) for point in ends)
        thick = _RAIL_M * float(self.camera.matrix_px[0, 0]) / float(cam[:, 2].mean())
        # Thinner than a pixel: fainter instead, over what is behind.
        below = image if thick >= 1 else image.copy()
        cv2.line(below, first, second, (120, 132, 142), max(1, round(thick)), cv2.LINE_AA, 4)
        if thick < 1:
            image[:] = cv2.addWeighted(image, 1 - thick, below, thick, 0)

    def board(self, image: Array, tip_m: float) -> None:
        """Draw the board, bent so that its tip is at height `tip_m`; a platform is part of the backdrop."""
        if self.height_m < PLATFORM_FROM_M:
            self._board(image, 0.0, 0.0, tip_m)

    def _board(self, image: Array, y: float, height: float, tip_m: float) -> None:
        x = np.linspace(-BOARD_LENGTH_M, 0, 25)
        bend = height + tip_m * np.clip((x - FULCRUM_X_M) / -FULCRUM_X_M, 0, None) ** 1.7
        eye = self.camera.world_from_cam[:3, 3]
        near, far = (y - 0.25, y + 0.25) if eye[1] < y else (y + 0.25, y - 0.25)
        for k in range(len(x) - 1):
            (x0, x1), (z0, z1) = x[k : k + 2], bend[k : k + 2]
            below = z1 if eye[2] > z1 else z1 - 0.05
            top = [[x0, near, z0 + below - z1], [x1, near, below], [x1, far, below], [x0, far, z0 + below - z1]]
            side = [[x0, near, z0 - 0.05], [x1, near, z1 - 0.05], [x1, near, z1], [x0, near, z0]]
            self._face(image, np.array(top), _BOARD if eye[2] > z1 else _BOARD * 0.45)
            self._face(image, np.array(side), _BOARD * 0.62)
        if eye[0] > 0:
            z = bend[-1]
            tip = [[0, near, z - 0.05], [0, near, z], [0, far, z], [0, far, z - 0.05]]
            self._face(image, np.array(tip), _BOARD * 0.55)

    def _figure(self, image: Array, figure: Figure) -> None:
        cam = self.camera.to_cam(figure.foot_m)
        if cam[2] < 1.0:
            return
        x, y = self.camera.project(cam)
        height = figure.height_m * self.camera.matrix_px[1, 1] / cam[2]
        rows, columns = figure.sprite.shape[:2]
        high, wide = max(1, round(height)), max(1, round(height * columns / rows))
        left, top = round(x - wide / 2), round(y - high)
        x0, y0 = max(0, left), max(0, top)
        x1, y1 = min(image.shape[1], left + wide), min(len(image), top + high)
        if x0 >= x1 or y0 >= y1:
            return
        shown = cv2.resize(figure.sprite, (wide, high), interpolation=cv2.INTER_AREA)
        shown = shown[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.uint16)
        part = image[y0:y1, x0:x1]
        part[:] = np.minimum(shown[..., :3] + part * (255 - shown[..., 3:]) // 255, 255)

    def with_athlete(self, image: Array, layer: Layer, camera: Camera) -> Array:
        """The picture [H, W, 3] of `camera` with a layer that it drew in it, as it looks through water below the
        surface."""
        wet = self._under_water(layer.depth_m, camera) & layer.mask
        rgba = layer.rgba.astype(float)
        hidden = 0.72 * wet[..., None]
        tint = np.append(self.style.water * 1.05, 255.0) * (rgba[..., 3:] / 255)
        rgba = rgba * (1 - hidden) + 0.35 * tint * hidden
        return np.asarray(np.clip(rgba[..., :3] + image * (1 - rgba[..., 3:] / 255), 0, 255), np.uint8)

    def _under_water(self, depth_m: Array, camera: Camera) -> Array:
        height, width = depth_m.shape
        matrix = camera.matrix_px
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        rays = np.stack(
            [(columns - matrix[0, 2]) / matrix[0, 0], (rows - matrix[1, 2]) / matrix[1, 1], np.ones_like(rows)], -1
        )
        z = depth_m * (rays @ camera.world_from_cam[2, :3]) + camera.world_from_cam[2, 3]
        return np.asarray(z < -self.height_m)


class Splash:
    """Drops thrown up where the diver enters, and a patch of foam that spreads and fades."""

    def __init__(self, rng: np.random.Generator, where_m: Array, start_s: float, count: int = 260) -> None:
        direction = rng.uniform(0, 2 * np.pi, count)
        out = rng.gamma(2.0, 0.32, count)
        self.start_s, self.where_m = start_s, where_m
        self.delay_s = rng.uniform(0.0, 0.28, count)
        self.speed = np.stack([np.cos(direction) * out, np.sin(direction) * out, rng.gamma(3.0, 0.75, count)], -1)
        self.origin = where_m + rng.normal(0, [0.12, 0.12, 0.0], (count, 3))
        self.radius_m = rng.uniform(0.008, 0.028, count)

    def draw(self, image: Array, camera: Camera, t_s: float) -> None:
        """Draw the splash of time `t_s` into `image` (RGB uint8)."""
        age = t_s - self.start_s
        if age <= 0:
            return
        self._foam(image, camera, age)
        drops = age - self.delay_s
        place = self.origin + drops[:, None] * self.speed
        place[:, 2] -= GRAVITY_M_S2 / 2 * drops**2
        alive = (drops > 0) & (place[:, 2] > self.where_m[2])
        cam = camera.to_cam(place[alive])
        for (x, y), depth, radius in zip(camera.project(cam), cam[:, 2], self.radius_m[alive], strict=True):
            size = max(1, round(16 * radius * camera.matrix_px[0, 0] / depth))
            centre = (round(float(x) * 16), round(float(y) * 16))
            cv2.circle(image, centre, size, (236, 244, 246), -1, cv2.LINE_AA, 4)

    def _foam(self, image: Array, camera: Camera, age: float) -> None:
        angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        wobble = 1 + 0.12 * np.sin(5 * angle) + 0.08 * np.sin(9 * angle + 1)
        radius = 0.25 + 0.7 * (1 - np.exp(-age / 0.35))
        ring = self.where_m + np.stack(
            [radius * wobble * np.cos(angle), radius * wobble * np.sin(angle), np.zeros(60)], -1
        )
        pixels = np.rint(camera.project(camera.to_cam(ring))).astype(np.int32)
        low, high = pixels.min(0).clip(0), pixels.max(0) + 1
        part = image[low[1] : high[1], low[0] : high[0]]
        if not part.size:
            return
        cover = np.zeros(part.shape[:2], np.uint8)
        cv2.fillPoly(cover, [pixels - low], 255, cv2.LINE_AA)
        strength = 0.75 * min(1.0, age / 0.1) * np.exp(-age / 0.9)
        alpha = cv2.GaussianBlur(cover, (0, 0), 3)[..., None] / 255 * strength
        part[:] = (part * (1 - alpha) + 238 * alpha).astype(np.uint8)
