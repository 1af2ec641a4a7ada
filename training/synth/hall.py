"""The inside of a swimming hall, seen by rays: four walls with windows and spectators, ceiling, deck, water.

World as in `dive`: origin at the board's edge, x over the water, z up, metres; colours are RGB 0-255.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from training.synth.camera import Camera
from training.synth.surfaces import field as noise_field

Array = npt.NDArray[Any]

WALL_Y_M: Final = 9.0
FAR_EDGE_Y_M: Final = 7.0
DECK_END_X_M: Final = -1.6
DECK_ABOVE_WATER_M: Final = 0.3
HALL_M: Final = ((-17.0, -46.0), (38.0, WALL_Y_M))
"""Lowest and highest (x, y) of the hall; the water lies between (`DECK_END_X_M`, -14) and (24, `FAR_EDGE_Y_M`)."""
BASIN_M: Final = ((DECK_END_X_M, -14.0), (24.0, FAR_EDGE_Y_M))
CROWD_PX_PER_M: Final = 40
_WATER: Final = np.array([38.0, 122, 150])
_TILE: Final = np.array([214.0, 220, 218])
_MOSAIC: Final = np.array([52.0, 98, 150])
_WINDOW: Final = np.array([176.0, 206, 226])
_DECK: Final = np.array([168.0, 160, 146])
_STRIPE: Final = np.array([196.0, 74, 52])
_ROPE: Final = (np.array([205.0, 40, 40]), np.array([232.0, 232, 226]))
_WATERS: Final = 5
_BAND_PX: Final = 65_536
"""Rays worked on at a time: bands of rows, so that what they need stays in the processor's cache."""


@dataclass(frozen=True)
class Stands:
    """Spectators behind the pool: `picture` [H, W, 3] float32, repeated sideways, its foot `low_m` above the water."""

    picture: Array
    low_m: float


@dataclass(frozen=True)
class Style:
    """Colours [3] of a pool hall, where its windows begin above the water, and what else is there.

    `ropes_x_m`: lane ropes across the pool at these x; `rope` its two colours.
    """

    water: Array = field(default_factory=_WATER.copy)
    tile: Array = field(default_factory=_TILE.copy)
    mosaic: Array = field(default_factory=_MOSAIC.copy)
    window: Array = field(default_factory=_WINDOW.copy)
    deck: Array = field(default_factory=_DECK.copy)
    stripe: Array = field(default_factory=_STRIPE.copy)
    sill_m: float = 4.6
    ropes_x_m: tuple[float, ...] = ()
    rope: tuple[Array, Array] = _ROPE
    stands: Stands | None = None
    chop: float = 1.0


def random_style(rng: np.random.Generator) -> Style:
    """Pools of many colours, with bright or black windows, with or without lane ropes."""

    def near(colour: Array, spread: float) -> Array:
        return np.asarray(np.clip(colour * rng.uniform(0.6, 1.15) + rng.normal(0, spread, 3), 8, 250))

    window = near(_WINDOW, 20) if rng.random() < 0.7 else np.full(3, rng.uniform(8, 40))
    stripe = rng.uniform(10, 240, 3)
    plain = Style(
        near(_WATER, 14), near(_TILE, 9), near(_MOSAIC, 40), window, near(_DECK, 9), stripe, rng.uniform(2, 9)
    )
    ropes: tuple[float, ...] = ()
    if rng.random() < 0.35:
        ropes = tuple((rng.uniform(4, 12) + 2.5 * np.arange(int(rng.integers(1, 7)))).tolist())
    colours = (rng.uniform(20, 245, 3), _ROPE[1] if rng.random() < 0.6 else rng.uniform(20, 245, 3))
    return Style(**{**vars(plain), "ropes_x_m": ropes, "rope": colours, "chop": float(rng.uniform(0.4, 1.5))})


def scenery(style: Style, camera: Camera, water_z_m: float, rng: np.random.Generator, fine: int = 1) -> Array:
    """What `camera` sees of the hall, [H, W, 3] uint8; `fine` squared rays go into a pixel."""
    width, height = camera.size_px
    seen = _Hall(_light(style), camera, water_z_m, _ripples()[int(rng.integers(_WATERS))], rng.uniform(0, 40, 2))
    image = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND_PX // (width * fine * fine))
    for first in range(0, height, rows):
        count = min(rows, height - first)
        band = seen.band(first, count, fine)
        image[first : first + count] = cv2.resize(band, (width, count), interpolation=cv2.INTER_AREA)
    return image


@functools.lru_cache(maxsize=1)
def _ripples() -> list[Array]:
    """Slopes of ripples, [1024, 1024] each, made once a process from a fixed seed."""
    rng, found = np.random.default_rng(22), []
    for _ in range(_WATERS):
        waves = cv2.GaussianBlur(noise_field(rng, 1024, 24), (0, 0), 2.0)
        found.append(np.asarray(np.gradient(waves, axis=0) * 26, np.float32))
    return found


def _light(style: Style) -> Style:
    """The style in single precision: half the work."""
    given = vars(style).items()
    colours = {name: np.asarray(value, np.float32) for name, value in given if isinstance(value, np.ndarray)}
    first, second = style.rope
    return dataclasses.replace(style, rope=(np.float32(first), np.float32(second)), **colours)


def _joints(place: Array, pitch: float, line: float, reach_m: Array) -> Array:
    """How much of a pixel, `reach_m` wide on the surface, joints of width `line` every `pitch` metres cover: 0-1."""
    away = np.abs((place - line / 2 + pitch / 2) % pitch - pitch / 2)
    near = np.clip((line / 2 - away) / reach_m + 0.5, 0, 1) * np.minimum(1, line / reach_m)
    crowded = np.clip(2 * reach_m / pitch - 1, 0, 1)
    return np.asarray(near * (1 - crowded) + np.float32(line / pitch) * crowded)


def _length(vectors: Array) -> Array:
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors))


def _sampled(texture: Array, x: Array, y: Array) -> Array:
    """Values [N] or colours [N, 3] of `texture` at N points in its pixels."""
    if not len(x):
        return np.zeros((0, *texture.shape[2:]), np.float32)
    short = np.zeros((2, -(-len(x) // 1024) * 1024), np.float32)  # remap takes no rows of more than 32767
    short[0, : len(x)], short[1, : len(x)] = x, y
    drawn = cv2.remap(texture, *short.reshape(2, -1, 1024), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(drawn.reshape(-1, *texture.shape[2:])[: len(x)])


def _mixed(first: Array, second: Array, share: Array) -> Array:
    return np.asarray(first + (second - first) * share[:, None].astype(np.float32, copy=False))


@dataclass(frozen=True)
class _Hall:
    style: Style
    camera: Camera
    water_z_m: float
    slopes: Array
    shift_m: Array
    """Where in the world the ripples begin, [2]."""

    @property
    def eye_m(self) -> Array:
        return np.asarray(self.camera.world_from_cam[:3, 3], np.float32)

    def band(self, first: int, count: int, fine: int) -> Array:
        """Rows `first` to `first + count` of the picture, `fine` times as large, float32."""
        matrix, width = self.camera.matrix_px, self.camera.size_px[0]
        x = ((np.arange(width * fine) + 0.5) / fine - 0.5 - matrix[0, 2]) / matrix[0, 0]
        y = ((np.arange(count * fine) + 0.5) / fine - 0.5 + first - matrix[1, 2]) / matrix[1, 1]
        axes = self.camera.world_from_cam[:3, :3]
        rays = x[None, :, None] * axes[:, 0] + (y[:, None, None] * axes[:, 1] + axes[:, 2])
        rays = rays.reshape(-1, 3).astype(np.float32)
        return np.clip(self._colours(rays), 0, 255).reshape(count * fine, width * fine, 3)

    def _colours(self, rays: Array) -> Array:
        """Colours [N, 3] of unnormalised rays [N, 3] whose part along the optical axis is 1."""
        eye, out = self.eye_m, np.empty_like(rays)
        to_wall, ends = _to_wall(eye, rays)
        deck_z = self.water_z_m + DECK_ABOVE_WATER_M
        roof_z = self.water_z_m + max(13.0, 6.0 - self.water_z_m)
        with np.errstate(divide="ignore"):
            up = 1 / rays[:, 2]
        to_deck, to_roof = ((np.float32(z) - eye[2]) * up for z in (deck_z, roof_z))
        floor = (rays[:, 2] < 0) & (to_deck < to_wall)
        roof = (rays[:, 2] > 0) & (to_roof < to_wall)
        wall = ~(floor | roof)
        at = eye + to_wall[wall, None] * rays[wall]
        across = np.where(ends[wall], at[:, 1], at[:, 0])
        shade = np.where(ends[wall], np.float32(0.9), np.float32(1))
        out[wall] = self._wall(across, at[:, 2], self._reach(to_wall[wall], rays[wall], 1)) * shade[:, None]
        at = eye + to_roof[roof, None] * rays[roof]
        out[roof] = self._roof(at, self._reach(to_roof[roof], rays[roof], 2))
        inside = np.zeros(len(rays), bool)
        at = eye + to_deck[floor, None] * rays[floor]
        inside[floor] = _in_basin(at)
        deck = floor & ~inside
        out[deck] = self._deck(at[~inside[floor]], self._reach(to_deck[deck], rays[deck], 2))
        to_water = (np.float32(self.water_z_m) - eye[2]) * up[inside]
        at = eye + to_water[:, None] * rays[inside]
        wet = _in_basin(at)
        below = np.where((at[:, 0] < BASIN_M[0][0]) | (at[:, 0] > BASIN_M[1][0]), 0.7, 0.8)[:, None] * self.style.deck
        below[wet] = self._water(at[wet], rays[inside][wet], self._reach(to_water, rays[inside], 2)[wet])
        out[inside] = below
        return out

    def _reach(self, away: Array, rays: Array, normal: int) -> Array:
        """Metres that a pixel covers on a surface whose normal is the world's axis `normal` (1: any wall)."""
        facing = np.abs(rays[:, 2]) if normal == 2 else _length(rays[:, :2])
        slanting = _length(rays) / np.maximum(facing, 1e-3)
        return np.asarray(away * np.minimum(slanting, 12) / np.float32(self.camera.matrix_px[0, 0]))

    def _wall(self, x: Array, z: Array, reach_m: Array) -> Array:
        """Colours of a wall at (along, height): mosaic below, tiles, a row of windows, perhaps spectators."""
        style, above = self.style, z - np.float32(self.water_z_m)
        grid = np.maximum(_joints(x, 0.3, 0.012, reach_m), _joints(z, 0.3, 0.012, reach_m))
        colour = _mixed(style.tile, style.tile - 22, grid)
        low = above < 1.3
        grid = np.maximum(_joints(x[low], 0.1, 0.01, reach_m[low]), _joints(z[low], 0.1, 0.01, reach_m[low]))
        colour[low] = _mixed(style.mosaic, style.mosaic + 40, grid)
        colour[(x % 3.0 > 0.5) & (above > style.sill_m) & (above < style.sill_m + 1.8)] = style.window
        colour[(above > 1.3) & (above < 1.42)] = style.stripe
        if style.stands is not None:
            self._seat(colour, x, above, reach_m, style.stands)
        return colour * (0.80 + 0.028 * np.clip(above, 0, 8))[:, None]

    def _seat(self, colour: Array, x: Array, above: Array, reach_m: Array, stands: Stands) -> None:
        height, width = stands.picture.shape[:2]
        there = np.flatnonzero((above > stands.low_m) & (above < stands.low_m + height / CROWD_PX_PER_M))
        if not len(there):
            return
        # Shrunk beforehand to about the pixels that they get.
        less = 2 ** int(np.clip(np.log2(max(1.0, float(np.median(reach_m[there])) * CROWD_PX_PER_M)) + 0.5, 0, 5))
        small = cv2.resize(stands.picture, (width // less, height // less), interpolation=cv2.INTER_AREA)
        scale = CROWD_PX_PER_M / less
        u = (x[there] * scale) % small.shape[1]
        v = len(small) - 1 - (above[there] - stands.low_m) * scale
        colour[there] = _sampled(small, u, v) / (0.80 + 0.028 * np.clip(above[there], 0, 8))[:, None]

    def _roof(self, at: Array, reach_m: Array) -> Array:
        beams = np.maximum(_joints(at[:, 0], 4.0, 0.35, reach_m), _joints(at[:, 1], 9.0, 0.5, reach_m))
        colour = _mixed(self.style.tile * 0.62, self.style.tile * 0.4, beams)
        lamps = _joints(at[:, 0] + 2, 4.0, 0.5, reach_m) * _joints(at[:, 1], 3.0, 1.6, reach_m)
        return _mixed(colour, np.array([255.0, 254, 246], np.float32), lamps)

    def _deck(self, at: Array, reach_m: Array) -> Array:
        grid = np.maximum(_joints(at[:, 0], 0.5, 0.02, reach_m), _joints(at[:, 1], 0.5, 0.02, reach_m))
        return _mixed(self.style.deck, self.style.deck * 0.85, grid)

    def _water(self, at: Array, rays: Array, reach_m: Array) -> Array:
        """Water colours at the points `at` [N, 3]: body colour, ripples that stay in the world, the mirrored wall."""
        # There and back again, so that the ripples repeat without a seam.
        moved = at[:, :2] + self.shift_m.astype(np.float32)
        u, v = (np.abs((moved[:, k] * scale) % 2046 - 1023) for k, scale in ((0, 55), (1, 40)))
        tilt = _sampled(self.slopes, u, v) * np.float32(self.style.chop)
        tilt = tilt / (1 + (reach_m / 0.25) ** 2)
        flat = _length(rays[:, :2])
        steep = np.abs(rays[:, 2]) / _length(rays)
        to_wall, ends = _to_wall(at, rays)
        wall = at + to_wall[:, None] * rays
        rise = np.clip(np.abs(rays[:, 2]) / np.maximum(flat, 1e-3) + 0.35 * tilt, 0.01, None)
        seen_z = np.float32(self.water_z_m) + to_wall * flat * rise
        along = np.where(ends, wall[:, 1], wall[:, 0]) + 2.0 * tilt
        mirrored = self._wall(along, seen_z, reach_m * 4)
        mirror = np.clip(0.62 - 1.6 * steep, 0.12, 0.6)
        colour = _mixed(self.style.water * (1 + 0.5 * tilt)[:, None], mirrored, mirror)
        for x in self.style.ropes_x_m:
            near = np.clip((0.06 - np.abs(at[:, 0] - x)) / reach_m + 0.5, 0, 1) * np.minimum(1, 0.12 / reach_m)
            second = (at[:, 1] % 2.0 < 1.0)[:, None]
            colour = _mixed(colour, np.where(second, *self.style.rope), near)
        return np.asarray(colour)


def _to_wall(start: Array, rays: Array) -> tuple[Array, Array]:
    """Multiples [N] of the rays that reach a wall of the hall, and whether [N] it is one of its two ends in x."""
    (x0, y0), (x1, y1) = HALL_M
    start = np.broadcast_to(start, rays.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        to_end = (np.where(rays[:, 0] > 0, np.float32(x1), np.float32(x0)) - start[:, 0]) / rays[:, 0]
        to_side = (np.where(rays[:, 1] > 0, np.float32(y1), np.float32(y0)) - start[:, 1]) / rays[:, 1]
    return np.fmin(to_end, to_side), to_end < to_side


def _in_basin(at: Array) -> Array:
    (x0, y0), (x1, y1) = BASIN_M
    return np.asarray((at[:, 0] > x0) & (at[:, 0] < x1) & (at[:, 1] > y0) & (at[:, 1] < y1))
