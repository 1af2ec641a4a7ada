"""Backgrounds: painted places, or patterns without any place; windows of one serve several pictures. RGB uint8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from training.synth import places, things
from training.synth.camera import Camera
from training.synth.lighting import Lighting, random_lighting
from training.synth.panorama import Light, Panorama
from training.synth.surfaces import any_colour, cloud

Array = npt.NDArray[Any]


def _plain(rng: np.random.Generator, side: int) -> Array:
    return np.full((side, side, 3), any_colour(rng), np.float32)


def _gradient(rng: np.random.Generator, side: int) -> Array:
    corners = np.stack([any_colour(rng) for _ in range(4)]).reshape(2, 2, 3)
    return cv2.resize(corners, (side, side), interpolation=cv2.INTER_LINEAR)


def _noise(rng: np.random.Generator, side: int) -> Array:
    mixing = cloud(rng, side, side, float(np.exp(rng.uniform(-1.5, 1.2))))[..., None]
    return any_colour(rng) * mixing + any_colour(rng) * (1 - mixing)


def _shapes(rng: np.random.Generator, side: int) -> Array:
    image = (_gradient if rng.random() < 0.5 else _noise)(rng, side)
    for _ in range(int(rng.integers(5, 60))):
        scatter(rng, image, float(rng.uniform(0.02, 0.3)) * side)
    return image


def scatter(rng: np.random.Generator, image: Array, size: float) -> None:
    """Draw one random polygon, ellipse or bar of about `size` pixels into `image`."""
    side = len(image)
    centre, colour = rng.uniform(0, side, 2), tuple(float(c) for c in any_colour(rng))
    kind = rng.integers(3)
    if kind == 0:
        points = centre + rng.normal(0, size, (int(rng.integers(3, 7)), 2))
        cv2.fillPoly(image, [points.astype(np.int32)], colour, cv2.LINE_AA)
    elif kind == 1:
        axes = tuple(int(a) + 1 for a in rng.uniform(0.2, 1, 2) * size)
        cv2.ellipse(image, tuple(centre.astype(int).tolist()), axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    else:
        ends = centre + rng.normal(0, 2 * size, (2, 2))
        start, end = (tuple(point) for point in ends.astype(int).tolist())
        cv2.line(image, start, end, colour, int(rng.integers(1, max(2, int(size / 3) + 2))), cv2.LINE_AA)


def _crowd(rng: np.random.Generator, side: int) -> Array:
    image = _noise(rng, side) * 0.5
    things.crowd(rng, image, 0, side, int(rng.integers(10, 36)))
    return image


_ABSTRACT: Final = (_plain, _gradient, _noise, _shapes, _shapes, _crowd)
SHARE_PANORAMA: Final = 0.3
SHARE_ABSTRACT: Final = 0.12
"""Share of canvases that show no place at all: they keep the networks from leaning on scenery."""


def _abstract(rng: np.random.Generator, side: int) -> Array:
    image = _ABSTRACT[int(rng.integers(len(_ABSTRACT)))](rng, side)
    if rng.random() < 0.35:
        other = _ABSTRACT[int(rng.integers(len(_ABSTRACT)))](rng, side)
        rows, columns = np.mgrid[:side, :side] - side / 2
        angle = rng.normal(0, 0.25)
        below = rows * np.cos(angle) + columns * np.sin(angle) > rng.normal(0, side / 5)
        image = np.where(below[..., None], other, image)
    return image


def _graded(rng: np.random.Generator, image: Array) -> Array:
    """Light over the whole place: its colour, dark or bright, unevenness."""
    gain = float(np.exp(rng.normal(-0.05, 0.2))) * np.exp(rng.normal(0, 0.05, 3))
    if rng.random() < 0.8:
        pools = rng.uniform(0.7, 1.2, (int(rng.integers(2, 4)), int(rng.integers(2, 4)))).astype(np.float32)
        image = image * cv2.resize(pools, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)[..., None]
    if rng.random() < 0.08:
        gain *= rng.uniform(0.15, 0.55)
    return np.asarray(image * gain.astype(np.float32))


@dataclass(frozen=True)
class Canvas:
    """One background `image` [S, S, 3] uint8; windows of it serve several pictures. `light` of the place if known."""

    image: Array
    light: Light | None = None

    def lighting(self, rng: np.random.Generator, camera: Camera) -> Lighting:
        """Light for a body seen by `camera` before this background."""
        if self.light is None:
            lamp = random_lighting(rng)
            # Mostly as bright as the place; now and then a dark figure before light, or a lit one before darkness.
            level = (self.image[::16, ::16].mean() / 110) ** rng.choice([0.7, 0.0, -0.3], p=[0.7, 0.2, 0.1])
            gain = float(np.clip(level, 0.35, 1.5))
            shades = None if lamp.harmonics is None else lamp.harmonics * gain
            return Lighting(lamp.direction, lamp.sun * gain, lamp.sky * gain, lamp.ground * gain, shades)
        return self.light.seen_by(camera)


def canvas(rng: np.random.Generator, panoramas: tuple[Panorama, ...] = (), side: int = 512) -> Canvas:
    """A random background: a view of a panorama where there are some, a painted place, or a mere pattern."""
    light = None
    if panoramas and rng.random() < SHARE_PANORAMA:
        image, light = panoramas[int(rng.integers(len(panoramas)))].view(rng, side)
    elif rng.random() < SHARE_ABSTRACT:
        image = _abstract(rng, side)
    else:
        makers, shares = zip(*places.PLACES, strict=True)
        image = makers[int(rng.choice(len(makers), p=np.array(shares) / sum(shares)))](rng, side)
    if light is None:
        image = _graded(rng, image)
    if rng.random() < 0.35:
        image = cv2.GaussianBlur(image, (0, 0), float(np.exp(rng.uniform(-0.5, 1.4))))
    return Canvas(np.clip(image, 0, 255).astype(np.uint8), light)


def window(rng: np.random.Generator, image: Array, side: int) -> Array:
    """A random square of `image`, flipped at random, scaled to `side` pixels."""
    size = int(rng.uniform(0.45, 1.0) * len(image))
    row, column = (int(k) for k in rng.integers(0, len(image) - size + 1, 2))
    part = image[row : row + size, column : column + size]
    part = part[:, ::-1] if rng.random() < 0.5 else part
    return cv2.resize(np.ascontiguousarray(part), (side, side), interpolation=cv2.INTER_AREA)
