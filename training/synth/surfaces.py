"""Painted materials: what walls, floors, grass, trees and water look like from straight ahead. RGB float32, 0-255.

Random structure comes from a bank of fractal noise that is made once a process from a fixed seed: a surface then costs
a resize instead of a sum of octaves, and the same seed still gives the same bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_BANK_SIDE: Final = 512
_BANK_SIZE: Final = 10

GREENS: Final = ((52, 74, 30), (86, 108, 44), (38, 58, 34), (112, 122, 56), (70, 84, 48))
BROWNS: Final = ((92, 64, 42), (128, 92, 58), (64, 48, 36), (166, 118, 72), (188, 150, 102))
GREYS: Final = ((60, 60, 62), (104, 104, 102), (150, 148, 142), (190, 188, 182), (222, 220, 214), (36, 36, 40))
WALLS: Final = ((226, 220, 206), (206, 200, 190), (238, 236, 232), (190, 176, 150), (168, 160, 150), (150, 166, 176))
BRICKS: Final = ((140, 70, 52), (120, 60, 46), (168, 104, 76), (186, 152, 118), (96, 64, 54))
BOLD: Final = ((30, 70, 160), (180, 40, 40), (30, 110, 80), (210, 160, 40), (70, 50, 120), (20, 40, 80), (200, 90, 40))
SKIES: Final = ((96, 146, 210), (150, 184, 224), (196, 206, 216), (70, 110, 180), (220, 200, 180), (60, 72, 100))


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


@functools.lru_cache(maxsize=1)
def _bank() -> list[Array]:
    rng = np.random.default_rng(20)
    return [field(rng, _BANK_SIDE, 3 + 2 * (k % 5)) for k in range(_BANK_SIZE)]


def cloud(rng: np.random.Generator, height: int, width: int, zoom: float = 1.0, stretch: float = 1.0) -> Array:
    """Fractal noise [height, width] about 0-1 out of the bank; `zoom` < 1 is finer, `stretch` > 1 longer sideways."""
    source = _bank()[int(rng.integers(_BANK_SIZE))]
    start = rng.uniform(0, 2 * _BANK_SIDE, 2)
    # Drawn at half size: its finest octave is two pixels anyway.
    step_x, step_y = 2 / (zoom * stretch), 2 / zoom
    matrix = np.array([[step_x, 0, start[0]], [0, step_y, start[1]]])
    flags, half = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, (-(-width // 2), -(-height // 2))
    drawn = cv2.warpAffine(source, matrix, half, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_LINEAR))


def speckle(rng: np.random.Generator, height: int, width: int) -> Array:
    """Fine noise [height, width] of unit range about 0; from bytes, which is many times faster than from floats."""
    grain = np.frombuffer(rng.bytes(height * width), np.int8).reshape(height, width)
    return grain.astype(np.float32) / 128


def pick(rng: np.random.Generator, palette: tuple[tuple[int, int, int], ...], spread: float = 12.0) -> Array:
    """A colour near one of the palette's, float32 [3]."""
    base = np.array(palette[int(rng.integers(len(palette)))], np.float32)
    return np.asarray(np.clip(base * rng.uniform(0.8, 1.2) + rng.normal(0, spread, 3), 4, 250), np.float32)


def any_colour(rng: np.random.Generator) -> Array:
    """Any colour, greyish ones more often."""
    grey = rng.uniform(15, 245)
    return np.clip(grey + rng.normal(0, rng.choice([4, 25, 70]), 3), 0, 255).astype(np.float32)


def shaded(colour: Array, shade: Array) -> Array:
    """`colour` [3] times `shade` [H, W] as picture [H, W, 3]."""
    return np.asarray(shade[..., None] * colour)


def plaster(rng: np.random.Generator, side: int, colour: Array | None = None) -> Array:
    """A nearly plain wall with stains and uneven light."""
    colour = pick(rng, WALLS) if colour is None else colour
    shade = 1 + rng.uniform(0.03, 0.22) * (cloud(rng, side, side, rng.uniform(0.6, 3)) - 0.5)
    return shaded(colour, shade.astype(np.float32))


def _lined(image: Array, pitch: tuple[int, int], width: int, colour: Array) -> None:
    for line in range(0, len(image), pitch[0]):
        image[line : line + width] = colour
    for line in range(0, image.shape[1], pitch[1]):
        image[:, line : line + width] = colour


def _cells(rng: np.random.Generator, side: int, pitch: tuple[int, int], spread: float) -> Array:
    """One random shade per cell of a grid, [side, side] about 1."""
    rows, columns = -(-side // pitch[0]), -(-side // pitch[1])
    shade = 1 + rng.normal(0, spread, (rows, columns)).astype(np.float32)
    size = (columns * pitch[1], rows * pitch[0])
    return np.asarray(cv2.resize(shade, size, interpolation=cv2.INTER_NEAREST)[:side, :side])


def tiles(rng: np.random.Generator, side: int, colour: Array | None = None) -> Array:
    """Tiles with joints, white, coloured or blue."""
    pitch = int(rng.integers(10, 60))
    shape = (pitch, pitch if rng.random() < 0.6 else 2 * pitch)
    if colour is None:
        blue = np.array([rng.uniform(20, 110), rng.uniform(90, 180), rng.uniform(130, 220)], np.float32)
        colour = blue if rng.random() < 0.35 else pick(rng, WALLS + GREYS)
    image = shaded(colour, _cells(rng, side, shape, rng.uniform(0.01, 0.08)))
    _lined(image, shape, int(rng.integers(1, 3)), colour * rng.uniform(0.6, 1.1))
    return image


def bricks(rng: np.random.Generator, side: int) -> Array:
    """A brick wall in running bond."""
    high = int(rng.integers(8, 20))
    wide = int(high * rng.uniform(2.2, 3.2))
    image = shaded(pick(rng, BRICKS), _cells(rng, side, (high, wide), 0.13))
    mortar = pick(rng, GREYS)
    for number, row in enumerate(range(0, side, high)):
        part = image[row : row + high]
        part[:] = np.roll(part, (number % 2) * wide // 2, 1)
        part[:, (number % 2) * wide // 2 :: wide] = mortar
        part[:1] = mortar
    return image * (1 + 0.25 * speckle(rng, side, side))[..., None]


def planks(rng: np.random.Generator, side: int) -> Array:
    """Wooden boards lying along the picture's rows, turned half of the time."""
    pitch = (int(rng.integers(10, 50)), int(rng.integers(150, 500)))
    shade = _cells(rng, side, pitch, rng.uniform(0.04, 0.2))
    grain = cloud(rng, side, side, rng.uniform(0.15, 0.5), 9.0)
    image = shaded(pick(rng, BROWNS, 8), shade * (0.8 + 0.4 * grain))
    image[:: pitch[0]] *= 0.6
    return np.asarray(image.transpose(1, 0, 2) if rng.random() < 0.5 else image)


def grass(rng: np.random.Generator, side: int) -> Array:
    """Grass or low plants, sometimes dry, with bare patches."""
    mixing = cloud(rng, side, side, rng.uniform(0.4, 2))[..., None]
    image = pick(rng, GREENS) * mixing + pick(rng, (*GREENS, BROWNS[1], BROWNS[4])) * (1 - mixing)
    rough = cv2.blur(speckle(rng, side, side), (1, 3)) * rng.uniform(0.4, 0.9)
    return np.asarray(image * (1.1 + rough)[..., None])


def gravel(rng: np.random.Generator, side: int) -> Array:
    """Asphalt, gravel, sand or earth: grains on slow stains."""
    image = plaster(rng, side, pick(rng, GREYS + BROWNS))
    return np.asarray(image * (1 + rng.uniform(0.08, 0.5) * speckle(rng, side, side))[..., None])


def mat(rng: np.random.Generator, side: int) -> Array:
    """A gymnastics floor: bold colour, a border, seams, lines."""
    image = plaster(rng, side, pick(rng, BOLD + WALLS))
    line = pick(rng, BOLD + WALLS)
    for _ in range(int(rng.integers(1, 5))):
        place, width = int(rng.integers(side)), int(rng.integers(2, 40))
        part = image[place : place + width] if rng.random() < 0.5 else image[:, place : place + width]
        part[:] = line
    _lined(image, (int(rng.integers(60, 200)),) * 2, 1, line * 0.7)
    return image


def panels(rng: np.random.Generator, side: int) -> Array:
    """Vertical ribs: corrugated metal, curtains, wall bars, fences seen from afar."""
    x = np.arange(side, dtype=np.float32)
    wave = np.sin(2 * np.pi * x / rng.uniform(6, 60) + 3 * cloud(rng, 1, side, 3.0)[0])
    colour = pick(rng, WALLS + GREYS + BOLD)
    image = np.tile(shaded(colour, (1 + rng.uniform(0.08, 0.4) * wave)[None]), (side, 1, 1))
    return np.asarray(image if rng.random() < 0.7 else image.transpose(1, 0, 2), np.float32)


def foliage(rng: np.random.Generator, side: int) -> Array:
    """Leaves: dark depths, lit clumps, specks of sky."""
    clumps = cloud(rng, side, side, rng.uniform(0.25, 0.9))
    leaves = 0.6 * clumps + 0.4 * cloud(rng, side, side, 0.12) + 0.25 * speckle(rng, side, side)
    dark = pick(rng, GREENS) * rng.uniform(0.25, 0.6)
    light = pick(rng, (*GREENS, BROWNS[3])) * rng.uniform(1.0, 1.9)
    mixing = np.clip(1.6 * leaves - 0.3, 0, 1)[..., None]
    return np.asarray(dark * (1 - mixing) + light * mixing)


def facade(rng: np.random.Generator, side: int) -> Array:
    """A house front: rows of windows, some lit or with blinds, ledges, balconies."""
    image = (bricks if rng.random() < 0.25 else plaster)(rng, side)
    high, wide = (int(v) for v in rng.integers(36, 110, 2))
    glass, frame = pick(rng, ((40, 50, 62), (96, 120, 146), (24, 26, 30))), pick(rng, WALLS + GREYS)
    h, w = int(high * rng.uniform(0.4, 0.75)), int(wide * rng.uniform(0.35, 0.9))
    balcony = rng.random() < 0.3
    for row in range(int(rng.integers(0, high)) - high, side, high):
        if rng.random() < 0.5:
            image[max(0, row - 3) : max(0, row - 1)] *= 0.75
        for column in range(4, side, wide):
            top, left = max(0, row), column
            image[top : max(0, row + h), left : left + w] = frame
            pane = image[max(0, row + 2) : max(0, row + h - 2), left + 2 : left + w - 2]
            pane[:] = glass * rng.uniform(0.6, 1.5) if rng.random() < 0.8 else pick(rng, WALLS)
            if balcony:
                image[max(0, row + h // 2) : max(0, row + h + 4), max(0, left - 4) : left + w + 4] = frame * 0.8
    return image


def clutter(rng: np.random.Generator, side: int) -> Array:
    """Shelves, posters, doors, screens: rectangles of many colours along an untidy grid."""
    image = plaster(rng, side)
    for _ in range(int(rng.integers(6, 50))):
        h, w = (rng.gamma(2.0, 0.05, 2) * side).astype(int) + 3
        y, x = (int(v) for v in rng.integers(0, side, 2))
        image[y : y + h, x : x + w] = any_colour(rng)
        if rng.random() < 0.4:
            image[y + 2 : y + h - 2, x + 2 : x + w - 2] = any_colour(rng)
    return image


def water(rng: np.random.Generator, side: int) -> Array:
    """Water with ripples and highlights, pool blue to sea green."""
    waves = cloud(rng, side, side, rng.uniform(0.3, 1.2), rng.uniform(1.5, 5))
    crest = np.clip((waves - rng.uniform(0.6, 0.85)) * rng.uniform(2, 6), 0, 1)[..., None]
    deep = np.array([rng.uniform(0, 70), rng.uniform(70, 150), rng.uniform(110, 200)], np.float32)
    light = deep + rng.uniform(20, 70)
    mixing = waves[..., None]
    return np.asarray((light * mixing + deep * (1 - mixing)) * (1 - crest) + crest * 245)


Surface = Callable[[np.random.Generator, int], Array]
WALL_KINDS: Final[tuple[Surface, ...]] = (plaster, plaster, tiles, bricks, planks, panels, clutter, facade)
FLOOR_KINDS: Final[tuple[Surface, ...]] = (planks, tiles, mat, gravel, plaster)
GROUND_KINDS: Final[tuple[Surface, ...]] = (grass, grass, gravel, gravel, tiles)


def one_of(rng: np.random.Generator, kinds: tuple[Surface, ...], side: int) -> Array:
    """A surface of one of these kinds, [side, side, 3]."""
    return kinds[int(rng.integers(len(kinds)))](rng, side)
