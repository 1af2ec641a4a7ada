"""Procedural backgrounds: plain, gradients, noise, tiles, water, shapes, and mixtures of two. RGB uint8."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def _colour(rng: np.random.Generator) -> Array:
    grey = rng.uniform(15, 245)
    return np.clip(grey + rng.normal(0, rng.choice([4, 25, 70]), 3), 0, 255).astype(np.float32)


def _blue(rng: np.random.Generator) -> Array:
    return np.array([rng.uniform(0, 110), rng.uniform(70, 200), rng.uniform(120, 255)], np.float32)


def _plain(rng: np.random.Generator, side: int) -> Array:
    return np.full((side, side, 3), _colour(rng), np.float32)


def _gradient(rng: np.random.Generator, side: int) -> Array:
    corners = np.stack([_colour(rng) for _ in range(4)]).reshape(2, 2, 3)
    return cv2.resize(corners, (side, side), interpolation=cv2.INTER_LINEAR)


def field(rng: np.random.Generator, side: int, coarsest: int = 3, stretch: float = 1.0) -> Array:
    """Fractal noise [side, side] in 0-1; `stretch` > 1 draws it out sideways."""
    total = np.zeros((side, side), np.float32)
    cells, weight = coarsest, 1.0
    while cells < side // 2:
        rows = max(2, min(side, int(cells * stretch)))
        grid = rng.random((rows, cells), np.float32)
        total += weight * cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
        cells, weight = cells * 2, weight * float(rng.uniform(0.45, 0.75))
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / (high - low))


def _noise(rng: np.random.Generator, side: int) -> Array:
    mixing = field(rng, side, int(rng.integers(2, 24)))[..., None]
    return _colour(rng) * mixing + _colour(rng) * (1 - mixing)


def _water(rng: np.random.Generator, side: int) -> Array:
    waves = field(rng, side, int(rng.integers(3, 14)), float(rng.uniform(1.5, 5)))
    crest = np.clip((waves - rng.uniform(0.55, 0.8)) * rng.uniform(2, 6), 0, 1)[..., None]
    mixing = waves[..., None]
    base = _blue(rng) * mixing + _blue(rng) * (1 - mixing)
    return base * (1 - crest) + crest * 245


def _tiles(rng: np.random.Generator, side: int) -> Array:
    pitch = int(rng.integers(8, 70))
    image = np.empty((side, side, 3), np.float32)
    image[:] = _blue(rng) if rng.random() < 0.5 else _colour(rng)
    cells = -(-side // pitch)
    shade = rng.normal(0, rng.uniform(1, 14), (cells, cells)).astype(np.float32)
    image += cv2.resize(shade, (cells * pitch, cells * pitch), interpolation=cv2.INTER_NEAREST)[:side, :side, None]
    joint, width = _colour(rng), int(rng.integers(1, 4))
    for line in range(0, side, pitch):
        image[line : line + width] = joint
        image[:, line : line + width] = joint
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    moved = corners + rng.normal(0, 0.12 * side, (4, 2)).astype(np.float32)
    return cv2.warpPerspective(
        image, cv2.getPerspectiveTransform(corners, moved), (side, side), borderMode=cv2.BORDER_REFLECT
    )


def _shapes(rng: np.random.Generator, side: int) -> Array:
    image = (_gradient if rng.random() < 0.5 else _noise)(rng, side)
    for _ in range(int(rng.integers(5, 60))):
        scatter(rng, image, float(rng.uniform(0.02, 0.3)) * side)
    return image


def scatter(rng: np.random.Generator, image: Array, size: float) -> None:
    """Draw one random polygon, ellipse or bar of about `size` pixels into `image`."""
    side = len(image)
    centre, colour = rng.uniform(0, side, 2), tuple(float(c) for c in _colour(rng))
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
    pitch = int(rng.integers(10, 36))
    for row in range(0, side + pitch, pitch):
        for column in range(0, side + pitch, pitch):
            x, y = (np.array([column, row]) + rng.normal(0, pitch / 5, 2)).astype(int).tolist()
            cv2.ellipse(
                image,
                (x, y + pitch // 2),
                (pitch // 2, pitch // 2),
                0,
                0,
                360,
                tuple(_colour(rng).tolist()),
                -1,
            )
            skin = float(rng.uniform(40, 220))
            cv2.circle(image, (x, y), max(2, pitch // 4), (skin, skin * 0.75, skin * 0.62), -1)
    return image


KINDS = (_plain, _gradient, _noise, _water, _water, _tiles, _shapes, _shapes, _crowd)


def canvas(rng: np.random.Generator, side: int = 512) -> Array:
    """One background [side, side, 3] uint8; windows of it serve several pictures."""
    image = KINDS[int(rng.integers(len(KINDS)))](rng, side)
    if rng.random() < 0.35:
        other = KINDS[int(rng.integers(len(KINDS)))](rng, side)
        rows, columns = np.mgrid[:side, :side] - side / 2
        angle = rng.normal(0, 0.25)
        below = rows * np.cos(angle) + columns * np.sin(angle) > rng.normal(0, side / 5)
        image = np.where(below[..., None], other, image)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.6, 5)))
    return np.clip(image, 0, 255).astype(np.uint8)


def window(rng: np.random.Generator, image: Array, side: int) -> Array:
    """A random square of `image`, flipped at random, scaled to `side` pixels."""
    size = int(rng.uniform(0.45, 1.0) * len(image))
    row, column = (int(k) for k in rng.integers(0, len(image) - size + 1, 2))
    part = image[row : row + size, column : column + size]
    part = part[:, ::-1] if rng.random() < 0.5 else part
    return cv2.resize(np.ascontiguousarray(part), (side, side), interpolation=cv2.INTER_AREA)


def degraded(rng: np.random.Generator, image: Array) -> Array:
    """What cameras do to a picture: low resolution, blur of focus and motion, noise, exposure. uint8 RGB."""
    side = len(image)
    if rng.random() < 0.35:
        small = int(side * rng.uniform(0.3, 0.8))
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.8)))
    if rng.random() < 0.2:
        image = cv2.filter2D(image, -1, _streak(rng))
    if rng.random() < 0.4:
        gain, offset = rng.uniform(0.65, 1.35), rng.uniform(-25, 25)
        image = cv2.convertScaleAbs(image, alpha=float(gain), beta=float(max(offset, -60 * gain)))
    if rng.random() < 0.35:
        noise = rng.standard_normal((side, side, 3), np.float32) * float(rng.uniform(1.5, 11))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return image


def _streak(rng: np.random.Generator) -> Array:
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), float(rng.uniform(0, 180)), 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return np.asarray(kernel / kernel.sum())
