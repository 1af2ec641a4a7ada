"""A plain diving pool as scenery: tiled hall wall, water, deck, board on its tower, splash. Drawn by rays and polygons.

World as in `dive`: origin at the board's edge, x over the water, z up, metres; colours are RGB 0-255.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from training.synth.camera import Camera
from training.synth.dive import GRAVITY_M_S2
from training.synth.render import Layer
from training.synth.surfaces import field as noise_field

Array = npt.NDArray[Any]
Colour = tuple[float, float, float]

WALL_Y_M: Final = 9.0
FAR_EDGE_Y_M: Final = 7.0
DECK_END_X_M: Final = -1.6
DECK_ABOVE_WATER_M: Final = 0.3
BOARD_LENGTH_M: Final = 4.8
FULCRUM_X_M: Final = -2.6
_WATER: Final = np.array([38.0, 122, 150])
_TILE: Final = np.array([214.0, 220, 218])
_MOSAIC: Final = np.array([52.0, 98, 150])
_WINDOW: Final = np.array([176.0, 206, 226])
_DECK: Final = np.array([168.0, 160, 146])
_STRIPE: Final = np.array([196.0, 74, 52])


def _grid(first: Array, second: Array, pitch: float, line: float) -> Array:
    """1 on the joints of a square grid of `pitch` metres, 0 between them."""
    return np.maximum((first % pitch) < line, (second % pitch) < line)[..., None]


@dataclass(frozen=True)
class Style:
    """Colours [3] of a pool hall and where its windows begin above the water."""

    water: Array = field(default_factory=_WATER.copy)
    tile: Array = field(default_factory=_TILE.copy)
    mosaic: Array = field(default_factory=_MOSAIC.copy)
    window: Array = field(default_factory=_WINDOW.copy)
    deck: Array = field(default_factory=_DECK.copy)
    stripe: Array = field(default_factory=_STRIPE.copy)
    sill_m: float = 4.6


def random_style(rng: np.random.Generator) -> Style:
    """Pools of many colours, with bright or black windows."""

    def near(colour: Array, spread: float) -> Array:
        return np.asarray(np.clip(colour * rng.uniform(0.6, 1.15) + rng.normal(0, spread, 3), 8, 250))

    window = near(_WINDOW, 20) if rng.random() < 0.7 else np.full(3, rng.uniform(8, 40))
    stripe = rng.uniform(10, 240, 3)
    return Style(
        near(_WATER, 14), near(_TILE, 18), near(_MOSAIC, 40), window, near(_DECK, 20), stripe, rng.uniform(2, 9)
    )


def _wall(style: Style, x: Array, z: Array, water_z: float) -> Array:
    """Colours of the hall's far wall at (x, z): mosaic below, cream tiles, a row of windows above."""
    colour = np.where(_grid(x, z, 0.3, 0.012), style.tile - 22, style.tile)
    low = z < water_z + 1.3
    colour = np.where(low[..., None], np.where(_grid(x, z, 0.1, 0.01), style.mosaic + 40, style.mosaic), colour)
    window = ((x % 3.0) > 0.5) & (z > water_z + style.sill_m) & (z < water_z + style.sill_m + 1.8)
    colour = np.where(window[..., None], style.window, colour)
    stripe = (z > water_z + 1.3) & (z < water_z + 1.42)
    colour = np.where(stripe[..., None], style.stripe, colour)
    return np.asarray(colour * (0.80 + 0.028 * np.clip(z - water_z, 0, 8))[..., None])


@dataclass(frozen=True)
class Pool:
    """The scenery seen by one static `camera`, with the water `height_m` below the board."""

    camera: Camera
    height_m: float
    style: Style = field(default_factory=Style)

    def backdrop(self, rng: np.random.Generator) -> Array:
        """Everything that does not move, [H, W, 3] uint8."""
        width, height = self.camera.size_px
        matrix = self.camera.matrix_px
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        rays = np.stack(
            [(columns - matrix[0, 2]) / matrix[0, 0], (rows - matrix[1, 2]) / matrix[1, 1], np.ones_like(rows)], -1
        )
        rays = rays @ self.camera.world_from_cam[:3, :3].T
        eye = self.camera.world_from_cam[:3, 3]
        water_z = -self.height_m
        share = (WALL_Y_M - eye[1]) / rays[..., 1]
        at = eye + share[..., None] * rays
        image = _wall(self.style, at[..., 0], at[..., 2], water_z)
        down = np.where(rays[..., 2] < -1e-6, rays[..., 2], -1e-6)
        at = eye + ((water_z - eye[2]) / down)[..., None] * rays
        water = (at[..., 1] < FAR_EDGE_Y_M) & (at[..., 0] > DECK_END_X_M) & (rays[..., 2] < 0)
        image = np.where(water[..., None], self._water(rng, at, eye), image)
        # The edge of the far deck stands above the water; the deck's top lies behind it.
        edge = eye + ((FAR_EDGE_Y_M - eye[1]) / rays[..., 1])[..., None] * rays
        rim = (edge[..., 2] > water_z) & (edge[..., 2] < water_z + DECK_ABOVE_WATER_M)
        image = np.where(rim[..., None], self.style.deck * 0.8, image)
        at = eye + ((water_z + DECK_ABOVE_WATER_M - eye[2]) / down)[..., None] * rays
        deck = (at[..., 1] < WALL_Y_M) & (rays[..., 2] < 0)
        deck &= (at[..., 1] > FAR_EDGE_Y_M) | (at[..., 0] < DECK_END_X_M)
        tiles = np.where(_grid(at[..., 0], at[..., 1], 0.5, 0.02), self.style.deck * 0.85, self.style.deck)
        image = np.where(deck[..., None], tiles, image)
        image = np.clip(image, 0, 255).astype(np.uint8)
        self._tower(image)
        return image

    def _water(self, rng: np.random.Generator, at: Array, eye: Array) -> Array:
        """Water colours at the points `at` [H, W, 3]: body colour, ripples, the mirrored wall."""
        waves = noise_field(rng, 1024, 24)
        slope = np.gradient(cv2.GaussianBlur(waves, (0, 0), 2.0), axis=0) * 26
        # There and back again, so that the ripples repeat without a seam.
        u, v = (np.abs((at[..., k] * scale) % 2046 - 1023).astype(np.float32) for k, scale in ((0, 55), (1, 40)))
        tilt = cv2.remap(slope.astype(np.float32), u, v, cv2.INTER_LINEAR)
        ray = at - eye
        steep = np.abs(ray[..., 2]) / np.linalg.norm(ray, axis=-1)
        rise = -ray[..., 2] / ray[..., 1] + 0.35 * tilt
        seen_z = -self.height_m + (WALL_Y_M - at[..., 1]) * np.clip(rise, 0.01, None)
        mirrored = _wall(self.style, at[..., 0] + 2.0 * tilt, seen_z, -self.height_m)
        mirror = np.clip(0.62 - 1.6 * steep, 0.12, 0.6)[..., None]
        return (self.style.water * (1 + 0.5 * tilt)[..., None]) * (1 - mirror) + mirrored * mirror

    def _face(self, image: Array, corners_m: Array, colour: Colour) -> None:
        pixels = self.camera.project(self.camera.to_cam(np.asarray(corners_m, float)))
        cv2.fillPoly(image, [np.rint(pixels * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)

    def _box(self, image: Array, low: Colour, high: Colour, colour: Colour) -> None:
        """A box seen from the front (its -y face) and above or beside."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        lit = tuple(min(255.0, c * 1.15) for c in colour)
        dim = tuple(c * 0.7 for c in colour)
        eye = self.camera.world_from_cam[:3, 3]
        if eye[2] > z1:
            self._face(image, np.array([[x0, y0, z1], [x1, y0, z1], [x1, y1, z1], [x0, y1, z1]]), lit)  # type: ignore[arg-type]
        if eye[0] > x1:
            self._face(image, np.array([[x1, y0, z0], [x1, y1, z0], [x1, y1, z1], [x1, y0, z1]]), dim)  # type: ignore[arg-type]
        self._face(image, np.array([[x0, y0, z0], [x1, y0, z0], [x1, y0, z1], [x0, y0, z1]]), colour)

    def _tower(self, image: Array) -> None:
        foot = -self.height_m + DECK_ABOVE_WATER_M
        self._box(image, (-6.5, -0.6, foot), (-4.6, 0.6, -0.05), (150, 150, 146))
        self._box(image, (FULCRUM_X_M - 0.25, -0.35, foot), (FULCRUM_X_M + 0.25, 0.35, -0.12), (132, 134, 132))
        self._box(image, (-4.9, -0.45, -0.35), (FULCRUM_X_M + 0.3, 0.45, -0.12), (140, 142, 140))
        for y in (0.5, -0.5):
            for x in (-6.3, -5.0, -3.9, FULCRUM_X_M):
                self._bar(image, (x, y, -0.1), (x, y, 0.95))
            for z in (0.5, 0.95):
                self._bar(image, (-6.3, y, z), (FULCRUM_X_M, y, z))

    def _bar(self, image: Array, start: Colour, end: Colour) -> None:
        ends = self.camera.project(self.camera.to_cam(np.array([start, end], float)))
        first, second = (tuple(int(v) for v in point) for point in np.rint(ends * 16))
        cv2.line(image, first, second, (120, 132, 142), 5, cv2.LINE_AA, 4)

    def board(self, image: Array, tip_m: float) -> None:
        """Draw the board, bent so that its tip is at height `tip_m`."""
        x = np.linspace(-BOARD_LENGTH_M, 0, 25)
        bend = tip_m * np.clip((x - FULCRUM_X_M) / -FULCRUM_X_M, 0, None) ** 1.7
        for k in range(len(x) - 1):
            (x0, x1), (z0, z1) = x[k : k + 2], bend[k : k + 2]
            top = [[x0, -0.25, z0], [x1, -0.25, z1], [x1, 0.25, z1], [x0, 0.25, z0]]
            side = [[x0, -0.25, z0 - 0.05], [x1, -0.25, z1 - 0.05], [x1, -0.25, z1], [x0, -0.25, z0]]
            self._face(image, np.array(top), (150, 196, 214))
            self._face(image, np.array(side), (84, 128, 150))

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
