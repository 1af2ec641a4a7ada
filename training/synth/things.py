"""Things that stand about: trees, houses, furniture, poles, rails, gymnastic apparatus, crowds. Drawn into a picture.

All take the picture [S, S, 3] float32, the `View` and random numbers, and draw at a depth in metres.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from training.synth import surfaces
from training.synth.perspective import View, bar, blend, box, face, paste

Array = npt.NDArray[Any]
Thing = Callable[[np.random.Generator, Array, View, float], None]

_SKINS: Final = ((224, 180, 150), (196, 146, 112), (140, 96, 68), (84, 56, 42), (240, 204, 180))


class NoFloor(View):
    """A view of things whose floor is not seen, so that nothing lies in their shadow."""


def across(rng: np.random.Generator, view: View, depth_m: float) -> float:
    """A place x in metres that is in view (or little outside) at this depth."""
    return float(rng.uniform(-0.6, 0.6) * view.side_px * depth_m / view.focal_px)


def _grounded(image: Array, view: View, x_m: float, depth_m: float, half_m: float, dark: float = 0.45) -> None:
    """The soft shadow on the floor about the foot of a thing `half_m` wide to either side."""
    if isinstance(view, NoFloor):
        return
    x, y = view.at(np.array([x_m, 0.0, depth_m]))
    wide = half_m * view.scale(depth_m)
    high = max(1.0, wide * view.eye_m / max(depth_m, 1.0))
    x0, x1 = (int(np.clip(v, 0, view.side_px)) for v in (x - 1.6 * wide, x + 1.6 * wide + 1))
    y0, y1 = (int(np.clip(v, 0, len(image))) for v in (y - 1.6 * high, y + 1.6 * high + 1))
    if x0 >= x1 or y0 >= y1 or y < view.horizon_px:
        return
    across, along = (np.arange(x0, x1) - x) / wide, (np.arange(y0, y1) - y) / high
    away = np.sqrt(across[None] ** 2 + along[:, None] ** 2).astype(np.float32)
    image[y0:y1, x0:x1] *= (1 - dark * np.clip(1.5 - away, 0, 1))[..., None]


def _crown(rng: np.random.Generator, side: int) -> Array:
    """Coverage [side, side] of a tree's crown: a ragged blob, a cone, or bare twigs with holes."""
    rows, columns = np.mgrid[:side, :side].astype(np.float32) / side * 2 - 1
    kind = rng.random()
    if kind < 0.6:
        reach = 1 - np.hypot(columns, rows * rng.uniform(0.8, 1.2))
    elif kind < 0.85:
        reach = (1 + rows) * 0.5 * rng.uniform(0.6, 1.0) - np.abs(columns)
    else:
        reach = 0.45 - np.abs(columns) * 0.5 - 0.2 * rows
    ragged = surfaces.cloud(rng, side, side, side / 512 * rng.uniform(0.4, 1.2)) - 0.5
    leaves = surfaces.cloud(rng, side, side, 0.15) - 0.5
    cover = np.clip((reach + 0.9 * ragged + 0.5 * leaves - 0.12) * 12, 0, 1) * 255
    cover[0] = cover[-1] = 0
    cover[:, 0] = cover[:, -1] = 0
    return cover.astype(np.uint8)


def tree(rng: np.random.Generator, image: Array, view: View, depth_m: float) -> None:
    """A tree or bush: trunk with branches, crown with gaps; the nearer ones reach out of the picture."""
    height, x = float(rng.uniform(2.5, 14)), across(rng, view, depth_m)
    trunk, width = surfaces.pick(rng, surfaces.BROWNS) * rng.uniform(0.3, 0.9), height * rng.uniform(0.02, 0.05)
    _grounded(image, view, x, depth_m, 0.22 * height, float(rng.uniform(0.1, 0.6)))
    clear = float(rng.uniform(0.05, 0.45)) * height
    fork = np.array([x + rng.normal(0, 0.3), clear + 0.3 * height, depth_m])
    bar(image, view, np.array([x, 0, depth_m]), fork, width, trunk)
    for _ in range(int(rng.integers(0, 6))):
        tip = fork + np.array([rng.normal(0, 0.2), rng.uniform(0.0, 0.4), 0]) * height
        bar(image, view, fork - [0, rng.uniform(0, 0.2) * height, 0], tip, width * 0.4, trunk)
    side = int(np.clip((height - clear) * view.scale(depth_m), 6, 1.2 * view.side_px))
    left, top = view.at(np.array([x, height, depth_m])) - [side / 2, 0]
    paste(image, surfaces.foliage(rng, side), _crown(rng, side), float(left), float(top))


def trunk(rng: np.random.Generator, image: Array, view: View, depth_m: float) -> None:
    """A bare trunk, column or post from the floor out of the picture."""
    x, width = across(rng, view, depth_m), float(rng.uniform(0.1, 0.7))
    _grounded(image, view, x + width / 2, depth_m, 0.8 * width)
    texture = surfaces.one_of(rng, (surfaces.gravel, surfaces.foliage, surfaces.plaster, surfaces.planks), 96)
    texture = texture * (1.15 - 0.6 * np.abs(np.linspace(-1, 1, 96, dtype=np.float32)))[None, :, None]
    reach = view.eye_m + 1.2 * view.side_px / view.scale(depth_m)
    box(
        image,
        view,
        np.array([x, 0, depth_m]),
        np.array([x + width, reach, depth_m + 0.1]),
        texture.mean((0, 1)),
        texture,
    )


def house(rng: np.random.Generator, image: Array, view: View, depth_m: float) -> None:
    """A building with a front of windows, flat roof or gable."""
    x, wide, high = across(rng, view, depth_m), float(rng.uniform(5, 40)), float(rng.uniform(3, 30))
    texture = surfaces.facade(rng, 256)
    low, top = np.array([x - wide / 2, 0, depth_m]), np.array([x + wide / 2, high, depth_m + rng.uniform(5, 20)])
    box(image, view, low, top, texture.mean((0, 1)), texture)
    if rng.random() < 0.4:
        roof = np.array(
            [[low[0] - 0.4, high, depth_m], [x, high + wide * 0.25, depth_m], [top[0] + 0.4, high, depth_m]]
        )
        face(image, view, roof, surfaces.pick(rng, surfaces.BRICKS + surfaces.GREYS))


def table(rng: np.random.Generator, image: Array, view: View, depth_m: float) -> None:
    """A table, bench or stool: top on four legs, or a round top on one."""
    x, high = across(rng, view, depth_m), float(rng.uniform(0.4, 1.1))
    wide, deep = float(rng.uniform(0.4, 2.2)), float(rng.uniform(0.4, 0.9))
    colour, leg = surfaces.pick(rng, surfaces.BROWNS + surfaces.GREYS), surfaces.pick(rng, surfaces.GREYS)
    _grounded(image, view, x, depth_m + deep / 2, wide / 2, float(rng.uniform(0.2, 0.5)))
    if rng.random() < 0.3:
        turn = np.linspace(0, 2 * np.pi, 24)
        bar(image, view, np.array([x, 0, depth_m]), np.array([x, high, depth_m]), 0.07, leg)
        for foot in (-0.25, 0.25):
            bar(image, view, np.array([x + foot, 0.0, depth_m]), np.array([x, 0.12, depth_m]), 0.05, leg)
        rim = np.stack([x + 0.4 * np.cos(turn), np.full(24, high), depth_m + 0.4 * np.sin(turn)], -1)
        face(image, view, rim, colour)
        return
    for z in (depth_m + deep, depth_m):
        for side in (x - wide / 2 + 0.05, x + wide / 2 - 0.05):
            bar(image, view, np.array([side, 0, z]), np.array([side + rng.normal(0, 0.03), high, z]), 0.05, leg)
    low = np.array([x - wide / 2, high - 0.05, depth_m])
    box(image, view, low, np.array([x + wide / 2, high, depth_m + deep]), colour)


def chair(rng: np.random.Generator, image: Array, view: View, depth_m: float) -> None:
    """A chair or sofa with its back."""
    x, wide = across(rng, view, depth_m), float(rng.choice([0.45, 0.5, 1.8]))
    _grounded(image, view, x + wide / 2, depth_m + 0.25, 0.6 * wide)
    colour = surfaces.pick(rng, surfaces.BROWNS + surfaces.GREYS + surfaces.BOLD)
    back = depth_m + 0.5 if rng.random() < 0.5 else depth_m
    for z in sorted({depth_m + 0.45, depth_m}, reverse=True):
        for side in (x, x + wide):
            bar(image, view, np.array([side, 0, z]), np.array([side, 0.45, z]), 0.04, colour * 0.6)
    parts = [((x, 0.4, depth_m), (x + wide, 0.5, depth_m + 0.5)), ((x, 0.5, back), (x + wide, 0.95, back + 0.06))]
    for low, high in parts if back == depth_m else parts[::-1]:
        box(image, view, np.array(low), np.array(high), colour)


def cupboard(rng: np.random.Generator, image: Array, view: View, depth_m: float) -> None:
    """A box with a front: shelves, cupboard, kiosk, ventilation, car-sized crates."""
    x = across(rng, view, depth_m)
    size = np.array([rng.uniform(0.4, 4), rng.uniform(0.4, 2.6), rng.uniform(0.3, 2)])
    _grounded(image, view, x, depth_m + size[2] / 2, 0.6 * size[0])
    kinds = (surfaces.clutter, surfaces.panels, surfaces.planks, surfaces.plaster, surfaces.facade)
    texture = surfaces.one_of(rng, kinds, 128)
    low = np.array([x - size[0] / 2, 0, depth_m])
    box(image, view, low, low + size, texture.mean((0, 1)), texture)


def pole(rng: np.random.Generator, image: Array, view: View, depth_m: float) -> None:
    """A thin pole, lamp post, goal or mast, perhaps with an arm and a lamp."""
    x, high = across(rng, view, depth_m), float(rng.uniform(1.5, 9))
    colour = surfaces.pick(rng, surfaces.GREYS + surfaces.BROWNS)
    top = np.array([x + rng.normal(0, 0.1), high, depth_m])
    bar(image, view, np.array([x, 0, depth_m]), top, float(rng.uniform(0.03, 0.14)), colour)
    if rng.random() < 0.5:
        arm = top + np.array([rng.uniform(-2.5, 2.5), rng.uniform(-0.3, 0.3), 0])
        bar(image, view, top, arm, 0.05, colour)
        lamp = view.at(arm)
        radius = max(1, int(0.15 * view.scale(depth_m)))
        if radius < view.side_px:
            cv2.circle(image, tuple(np.rint(lamp).clip(-1e4, 1e4).astype(int).tolist()), radius, (255, 250, 225), -1)


def rail(rng: np.random.Generator, image: Array, view: View, depth_m: float) -> None:
    """A railing, fence or barrier across the view."""
    colour, high = surfaces.pick(rng, surfaces.GREYS + surfaces.BROWNS), float(rng.uniform(0.7, 1.6))
    half = 0.7 * view.side_px * depth_m / view.focal_px
    start, end = (-half, half) if rng.random() < 0.6 else (-half, float(rng.uniform(-half, half)))
    for y in np.linspace(high, 0.15, int(rng.integers(1, 5))):
        bar(image, view, np.array([start, y, depth_m]), np.array([end, y, depth_m]), 0.045, colour)
    for x in np.arange(start, end, max(float(rng.choice([0.12, 0.4, 1.5])), half / 40)):
        bar(image, view, np.array([x, 0, depth_m]), np.array([x, high, depth_m]), 0.035, colour)


def apparatus(rng: np.random.Generator, image: Array, view: View, depth_m: float) -> None:
    """A gymnastic apparatus: high bar, parallel bars, beam, vault, rings, or a stack of mats."""
    x, kind = across(rng, view, depth_m), int(rng.integers(6))
    steel, pad = surfaces.pick(rng, surfaces.GREYS), surfaces.pick(rng, surfaces.BOLD + surfaces.BROWNS)
    high = (2.8, 1.9, 1.25, 1.3, 5.5, 0.5)[kind]
    _grounded(image, view, x, depth_m, 1.3, 0.3)
    if kind in (0, 1, 4):
        for side in (-1.2, 1.2):
            bar(image, view, np.array([x + side, 0, depth_m]), np.array([x + side, high, depth_m]), 0.06, steel)
        bar(image, view, np.array([x - 1.2, high, depth_m]), np.array([x + 1.2, high, depth_m]), 0.05, steel)
    if kind in (0, 4):
        for side in (-3.5, 3.5):
            bar(image, view, np.array([x + side, 0, depth_m]), np.array([x, high, depth_m]), 0.015, steel)
    if kind == 4:
        for side in (-0.25, 0.25):
            end = np.array([x + side, 2.8, depth_m])
            bar(image, view, np.array([x + side, high, depth_m]), end, 0.02, pad)
    if kind in (2, 3, 5):
        half, thick = ((2.5, 0.15), (0.6, 0.35), (1.5, 0.5))[(2, 3, 5).index(kind)]
        for side in (-0.6 * half, 0.6 * half):
            bar(image, view, np.array([x + side, 0, depth_m]), np.array([x + side, high, depth_m]), 0.08, steel)
        low = np.array([x - half, high - thick, depth_m])
        box(image, view, low, np.array([x + half, high, depth_m + 0.6]), pad)


def banner(rng: np.random.Generator, image: Array, view: View, depth_m: float) -> None:
    """A board or screen with writing and patches of colour."""
    x, y = across(rng, view, depth_m), float(rng.choice([0.0, 0.0, 2.5, 4.0]))
    size = np.array([rng.uniform(1, 8), rng.uniform(0.6, 2), 0.1])
    texture = np.empty((64, 64 * max(1, round(size[0] / size[1])), 3), np.float32)
    texture[:] = surfaces.pick(rng, surfaces.BOLD + surfaces.WALLS)
    write(rng, texture, surfaces.any_colour(rng))
    low = np.array([x - size[0] / 2, y, depth_m])
    box(image, view, low, low + size, texture.mean((0, 1)), texture)


def write(rng: np.random.Generator, texture: Array, colour: Array) -> None:
    """Write some letters over `texture` in place."""
    letters = "".join(chr(int(k)) for k in rng.integers(48, 91, max(2, texture.shape[1] * 2 // len(texture))))
    scale = len(texture) / 40
    place = (int(0.08 * len(texture)), int(0.75 * len(texture)))
    ink = np.zeros(texture.shape[:2], np.uint8)
    cv2.putText(ink, letters, place, int(rng.integers(8)), scale, 255, max(1, round(scale)), cv2.LINE_AA)
    blend(texture, np.broadcast_to(colour, texture.shape), ink)


def figure(rng: np.random.Generator, image: Array, foot_px: Array, height_px: float) -> None:
    """A small far spectator, standing or sitting: legs, trunk, arms and head as plain shapes."""
    x, y = (float(v) for v in foot_px)
    skin, shirt, trousers = surfaces.pick(rng, _SKINS), surfaces.any_colour(rng), surfaces.pick(rng, surfaces.GREYS)
    legs = 0.48 if rng.random() < 0.6 else 0.2

    def limb(start: tuple[float, float], end: tuple[float, float], width: float, colour: Array) -> None:
        ends = [(round(8 * (x + px * height_px)), round(8 * (y - py * height_px))) for px, py in (start, end)]
        cv2.line(image, *ends, tuple(map(float, colour)), max(1, round(width * height_px)), cv2.LINE_AA, 3)

    for side in (-0.06, 0.06):
        limb((side * rng.uniform(0.5, 2.5), 0), (side, legs), 0.09, trousers)
    for side in (-0.13, 0.13):
        limb((side, legs + 0.3), (side * rng.uniform(0.4, 1.8), legs + rng.uniform(-0.05, 0.5)), 0.06, shirt)
    limb((0, legs), (0, legs + 0.3), 0.22, shirt)
    limb((0, legs + 0.40), (0, legs + 0.44), 0.12, skin)
    limb((0, legs + 0.45), (0, legs + 0.47), 0.12, surfaces.pick(rng, surfaces.BROWNS) * 0.5)


def people(rng: np.random.Generator, image: Array, view: View, depth_m: float) -> None:
    """A loose group of far people."""
    for _ in range(int(rng.integers(1, 9))):
        foot = view.at(np.array([across(rng, view, depth_m), 0, depth_m]))
        _grounded(image, view, float(foot[0] - view.side_px / 2) / view.scale(depth_m), depth_m, 0.3)
        figure(rng, image, foot, min(1.7 * view.scale(depth_m), 0.10 * view.side_px))


def crowd(rng: np.random.Generator, image: Array, low_px: int, high_px: int, pitch_px: int) -> None:
    """Rows of seated spectators between two rows of the picture, from the back down to the front."""
    side = image.shape[1]
    full = float(rng.uniform(0.3, 1.0))
    seat = surfaces.pick(rng, surfaces.BOLD + surfaces.GREYS)
    for row in range(low_px, high_px, max(4, int(pitch_px * 0.9))):
        image[row : row + max(2, pitch_px // 4)] = seat * rng.uniform(0.5, 0.9)
        places = np.arange(-pitch_px, side + pitch_px, pitch_px * 0.75)
        places = places[rng.random(len(places)) < full] + rng.uniform(0, pitch_px)
        bodies = _shirts(rng, len(places))
        tones = np.clip(rng.choice([210, 170, 110, 70], len(places)) + rng.normal(0, 15, len(places)), 20, 250)
        jitter = rng.normal(0, pitch_px * 0.1, (len(places), 2))
        for place, body, tone, (dx, dy) in zip(places, bodies, tones, jitter, strict=True):
            x, y, head_y = round(place + dx), round(row + dy), round(row + dy - pitch_px * 0.16)
            wide, high = max(1, round(pitch_px * 0.32)), max(1, round(pitch_px * 0.55))
            cv2.ellipse(image, (x, y + high), (wide, high), 0, 0, 360, tuple(map(float, body * 0.75)), -1)
            cv2.ellipse(image, (x, y + high), (max(1, round(wide * 0.7)), high), 0, 0, 360, tuple(map(float, body)), -1)
            size = max(1, round(pitch_px * 0.15)), max(1, round(pitch_px * 0.2))
            hair = tuple(map(float, np.array([38.0, 28, 22]) * (0.5 + tone / 120)))
            cv2.ellipse(image, (x, head_y - round(pitch_px * 0.05)), size, 0, 0, 360, hair, -1)
            cv2.ellipse(image, (x, head_y), size, 0, 0, 360, (float(tone), float(tone * 0.76), float(tone * 0.62)), -1)
    part = image[max(0, low_px) : high_px]
    if part.size:
        # Far away and out of focus, lit here more than there.
        shade = 0.65 + 0.6 * surfaces.cloud(rng, len(part), side, float(rng.uniform(0.5, 2)))
        part[:] = cv2.GaussianBlur(part, (0, 0), max(0.4, 0.06 * pitch_px)) * shade[..., None]


def _shirts(rng: np.random.Generator, count: int) -> Array:
    """Clothes of a crowd [count, 3]: mostly dark, grey and white, few bold."""
    grey = rng.choice([35.0, 70, 120, 215], (count, 1), p=[0.35, 0.25, 0.15, 0.25]) * rng.uniform(0.7, 1.15, (count, 1))
    bold = np.array(surfaces.BOLD, float)[rng.integers(len(surfaces.BOLD), size=count)] * rng.uniform(
        0.7, 1.2, (count, 1)
    )
    colour = np.where(rng.random((count, 1)) < 0.22, bold, grey + rng.normal(0, 9, (count, 3)))
    return np.asarray(np.clip(colour, 5, 250))


def glow(image: Array, centre_px: tuple[float, float], radius_px: float, strength: float) -> None:
    """Light of a sun, lamp or window that spills over its surroundings."""
    rows, columns = np.mgrid[: len(image), : image.shape[1]].astype(np.float32)
    away = np.hypot(columns - centre_px[0], rows - centre_px[1]) / radius_px
    halo = strength / (0.25 + away * away) * 0.25
    disc = np.clip((1 - away) * 6, 0, 1) * min(1.0, strength)
    white = np.array([255.0, 250, 232], np.float32)
    blend(image, np.broadcast_to(white, image.shape), (np.clip(halo + disc, 0, 1) * 255))


INDOORS: Final[tuple[Thing, ...]] = (table, table, chair, chair, cupboard, trunk, pole, rail, banner)
OUTDOORS: Final[tuple[Thing, ...]] = (tree, tree, tree, trunk, cupboard, pole, rail, people, banner)
GYM: Final[tuple[Thing, ...]] = (apparatus, apparatus, apparatus, banner, rail, pole, cupboard, people)
