"""Places an athlete may be filmed in, painted: rooms, halls, gyms, stands, parks, streets. RGB float32, 0-255."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from training.synth import surfaces, things
from training.synth.camera import looking
from training.synth.hall import CROWD_PX_PER_M, Stands
from training.synth.perspective import View, ground, quad, random_view
from training.synth.pool import Pool, Splash, Tower, random_style

Array = npt.NDArray[Any]
Place = Callable[[np.random.Generator, int], Array]


def _furnish(
    rng: np.random.Generator, image: Array, view: View, kinds: tuple[things.Thing, ...], depths: Array
) -> None:
    for depth in np.sort(depths)[::-1]:
        kinds[int(rng.integers(len(kinds)))](rng, image, view, float(depth))


def _depths(rng: np.random.Generator, near: float, far: float, count: int) -> Array:
    return np.exp(rng.uniform(np.log(near), np.log(max(far, near * 1.1)), count))


def _shell(rng: np.random.Generator, view: View, half: float, high: float, deep: float, floor: Array) -> Array:
    """The inside of a box-shaped room, seen from within."""
    side = view.side_px
    image = np.empty((side, side, 3), np.float32)
    image[:] = surfaces.pick(rng, surfaces.WALLS) * rng.uniform(0.5, 1.0)
    back = surfaces.one_of(rng, surfaces.WALL_KINDS, 256)
    flank = back if rng.random() < 0.6 else surfaces.one_of(rng, surfaces.WALL_KINDS, 256)
    roof = surfaces.one_of(rng, (surfaces.plaster, surfaces.plaster, surfaces.panels, surfaces.tiles), 256)
    near = 0.4
    shades = rng.uniform(0.6, 1.1, 4)
    x = half
    for texture, shade, corners in (
        (roof, shades[0], ((-x, high, near), (x, high, near), (x, high, deep), (-x, high, deep))),
        (flank, shades[1], ((-x, high, near), (-x, high, deep), (-x, 0, deep), (-x, 0, near))),
        (flank, shades[2], ((x, high, deep), (x, high, near), (x, 0, near), (x, 0, deep))),
        (back, shades[3], ((-x, high, deep), (x, high, deep), (x, 0, deep), (-x, 0, deep))),
    ):
        quad(image, texture * shade, view.at(np.array(corners, np.float32)))
    before = image.copy()
    ground(image, view, floor, float(rng.uniform(2, 6)))
    # The floor ends at the back wall.
    line = int(np.clip(view.at(np.array([0, 0, deep]))[1], 0, side))
    image[:line] = before[:line]
    image[line : line + max(1, side // 160)] *= 0.55
    return image


def _windows(rng: np.random.Generator, image: Array, view: View, half: float, high: float, deep: float) -> None:
    """Bright windows in the back wall, the sun behind them at times."""
    pane = np.empty((64, 64, 3), np.float32)
    pane[:] = np.clip(surfaces.pick(rng, surfaces.SKIES) * rng.uniform(0.8, 1.5), 0, 255)
    if rng.random() < 0.4:
        pane[int(rng.integers(20, 60)) :] = surfaces.foliage(rng, 64)[:1]
    frame = surfaces.pick(rng, surfaces.GREYS)
    pane[:3] = pane[-3:] = frame
    pane[:, :3] = pane[:, -3:] = frame
    wide = float(rng.uniform(0.6, 2.5))
    y0, y1 = (high * v for v in np.sort(rng.uniform(0.25, 0.97, 2)))
    for x in np.arange(-half + 0.5, half - wide, wide * float(rng.uniform(1.1, 2.0))):
        corners = np.array([[x, y1, deep], [x + wide, y1, deep], [x + wide, y0, deep], [x, y0, deep]])
        quad(image, pane, view.at(corners))


def room(rng: np.random.Generator, side: int) -> Array:
    """A room of a house, office or school with furniture."""
    view = random_view(rng, side, (0.9, 3.0))
    half, high, deep = rng.uniform(1.8, 6), max(rng.uniform(2.3, 4.5), view.eye_m + 0.4), rng.uniform(3, 12)
    image = _shell(rng, view, half, high, deep, surfaces.one_of(rng, surfaces.FLOOR_KINDS, 256))
    if rng.random() < 0.5:
        _windows(rng, image, view, half, high, deep)
    _furnish(rng, image, view, things.INDOORS, _depths(rng, 1.5, deep, int(rng.integers(0, 9))))
    return image


def hall(rng: np.random.Generator, side: int) -> Array:
    """A sports hall: gym floor or pool water, stands or banners at the end, apparatus."""
    view = random_view(rng, side, (1.0, 7.0))
    half, high, deep = rng.uniform(8, 25), rng.uniform(7, 15), rng.uniform(12, 45)
    floor = (surfaces.mat, surfaces.mat, surfaces.planks, surfaces.tiles, surfaces.water)[int(rng.integers(5))]
    image = _shell(rng, view, half, high, deep, floor(rng, 384))
    if rng.random() < 0.5:
        _windows(rng, image, view, half, high, deep)
    if rng.random() < 0.4:
        foot = int(view.at(np.array([0, 0, deep]))[1])
        top = int(view.at(np.array([0, high * 0.7, deep]))[1])
        things.crowd(rng, image, max(0, top), min(side, foot), max(3, int(0.9 * view.scale(deep))))
    for _ in range(int(rng.integers(0, 12))):
        lamp = view.at(np.array([rng.uniform(-half, half), high - 0.5, rng.uniform(4, deep)]))
        radius = int(rng.integers(1, 6))
        cv2.circle(image, tuple(lamp.clip(-1e4, 1e4).astype(int).tolist()), radius, (255, 252, 240), -1)
    if floor is not surfaces.water:
        _furnish(rng, image, view, things.GYM, _depths(rng, 4, deep, int(rng.integers(1, 9))))
    return image


def _sky(rng: np.random.Generator, side: int) -> Array:
    top, low = surfaces.pick(rng, surfaces.SKIES), surfaces.pick(rng, surfaces.SKIES) * 1.1
    ramp = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    image = np.repeat(top * (1 - ramp) + low * ramp, side, 1)
    if rng.random() < 0.7:
        puffs = surfaces.cloud(rng, side, side, rng.uniform(0.8, 3), rng.uniform(1, 3))
        cover = np.clip((puffs - rng.uniform(0.3, 0.7)) * rng.uniform(2, 6), 0, 1)[..., None]
        image = image * (1 - cover) + rng.uniform(170, 255) * cover
    return np.clip(image, 0, 255).astype(np.float32)


def _skyline(rng: np.random.Generator, image: Array, view: View) -> None:
    """Hills or a line of woods along the horizon."""
    side = len(image)
    for _ in range(int(rng.integers(0, 3))):
        rough = surfaces.cloud(rng, 1, side, rng.uniform(0.2, 2.0))[0]
        height = rng.uniform(0.01, 0.22) * side
        top = view.horizon_px - height * (0.4 + rough)
        cover = np.clip(np.arange(side, dtype=np.float32)[:, None] - top[None], 0, 1)[..., None]
        texture = surfaces.foliage(rng, side) if rng.random() < 0.6 else surfaces.plaster(rng, side) * 0.6
        haze = rng.uniform(0, 0.6)
        image[:] = image * (1 - cover) + (texture * (1 - haze) + image.mean((0, 1)) * haze) * cover


def outdoors(rng: np.random.Generator, side: int) -> Array:
    """A park, field, street or beach under a sky, the sun in view at times."""
    view = random_view(rng, side, (0.8, 6.0))
    image = _sky(rng, side)
    low_sun = rng.random() < 0.3
    if low_sun and rng.random() < 0.5:
        _shine(rng, image, view)
    _skyline(rng, image, view)
    kinds = surfaces.GROUND_KINDS if rng.random() < 0.85 else (surfaces.water,)
    ground(image, view, surfaces.one_of(rng, kinds, 384), float(rng.uniform(2, 12)))
    town = rng.random()
    if town < 0.55:
        _furnish(rng, image, view, (things.house,), _depths(rng, 14, 90, int(rng.integers(1, 7))))
    if town > 0.35:
        _furnish(rng, image, view, (things.tree,), _depths(rng, 8, 60, int(rng.integers(1, 9))))
    _furnish(rng, image, view, things.OUTDOORS, _depths(rng, 3, 30, int(rng.integers(0, 8))))
    if low_sun:
        _shine(rng, image, view)
    return image


def _shine(rng: np.random.Generator, image: Array, view: View) -> None:
    side = len(image)
    place = (float(rng.uniform(0, side)), view.horizon_px - float(rng.uniform(0, 0.4)) * side)
    things.glow(image, place, float(rng.uniform(0.01, 0.05)) * side, float(rng.uniform(0.5, 1.3)))


def thicket(rng: np.random.Generator, side: int) -> Array:
    """Nothing but trees and leaves, near or far."""
    image = surfaces.foliage(rng, side) * rng.uniform(0.5, 1.2)
    view = random_view(rng, side, (1.0, 3.0))
    kinds = (things.tree, things.tree, things.trunk, things.pole)
    _furnish(rng, image, view, kinds, _depths(rng, 3, 40, int(rng.integers(2, 9))))
    return image


def stands(rng: np.random.Generator, side: int) -> Array:
    """Tiers of spectators with gangways, boards and rails before them."""
    image = surfaces.plaster(rng, side) * rng.uniform(0.3, 1)
    low, high = np.sort(rng.uniform(-0.2, 1.2, 2) * side).astype(int)
    things.crowd(
        rng, image, max(0, int(low)), min(side, max(int(high), int(low) + side // 3)), int(rng.integers(6, 30))
    )
    if rng.random() < 0.6:
        image *= (0.5 + 0.7 * surfaces.cloud(rng, side, side, 2.0))[..., None]
    view = random_view(rng, side, (1.0, 4.0))
    if high < 0.8 * side:
        floor = surfaces.one_of(rng, (surfaces.water, surfaces.mat, surfaces.grass, surfaces.gravel), 256)
        ground(image, View(side, view.focal_px, float(high) - 0.1 * side, 4.0), floor, 5.0)
    _furnish(rng, image, view, (things.rail, things.banner, things.pole, things.rail), _depths(rng, 4, 20, 3))
    return image


def wall(rng: np.random.Generator, side: int) -> Array:
    """One wall straight ahead or slanting, perhaps with a strip of ground and a few things before it."""
    texture = surfaces.one_of(rng, surfaces.WALL_KINDS, side)
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    moved = corners + rng.normal(0, 0.15 * side, (4, 2)).astype(np.float32)
    image = cv2.warpPerspective(
        texture, cv2.getPerspectiveTransform(corners, moved), (side, side), borderMode=cv2.BORDER_REFLECT
    )
    view = random_view(rng, side, (0.8, 3.0))
    if rng.random() < 0.6:
        line = View(side, view.focal_px, float(rng.uniform(0.4, 0.95)) * side - 0.05 * side, view.eye_m)
        ground(image, line, surfaces.one_of(rng, surfaces.FLOOR_KINDS + surfaces.GROUND_KINDS, 256), 4.0)
    _furnish(rng, image, view, things.INDOORS, _depths(rng, 2, 8, int(rng.integers(0, 4))))
    return image


_POOL_SIDE_PX: Final = 256
_POOL_SPLASH_S: Final = 0.3


def pool_hall(rng: np.random.Generator, side: int) -> Array:
    """A diving pool from the side, tower or board in view or not, at times with a splash."""
    height = float(rng.choice([1.0, 3.0, 5.0, 7.5, 10.0]))
    eye = np.array([rng.uniform(-4, 12), -rng.uniform(7, 25), rng.uniform(-height + 0.8, 3)])
    target = np.array([rng.uniform(-2, 5), 0, rng.uniform(-height - 0.5, 1.0)])
    focal = _POOL_SIDE_PX * float(np.exp(rng.uniform(np.log(0.7), np.log(3))))
    camera = looking(eye, target, focal, (_POOL_SIDE_PX, _POOL_SIDE_PX), float(rng.normal(0, 0.03)))
    style = random_style(rng)
    if rng.random() < 0.3:
        style = dataclasses.replace(style, stands=_painted_stands(rng))
    places = 2.6, 5.4
    towers = tuple(Tower(y, float(rng.choice([1.0, 3.0, 5.0, 7.5]))) for y in places[: int(rng.integers(0, 3))])
    scenery = Pool(camera, height, style, towers)
    image = scenery.backdrop(rng, 2)
    scenery.board(image, float(rng.normal(0, 0.15)))
    if rng.random() < 0.25:
        where = np.array([rng.uniform(0.5, 3), rng.normal(0, 0.3), -height])
        Splash(rng, where, 0.0).draw(image, camera, float(rng.uniform(0.05, 2)) * _POOL_SPLASH_S)
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)


def _painted_stands(rng: np.random.Generator) -> Stands:
    """Spectators that need no renderer."""
    picture = np.empty((int(rng.integers(60, 160)), 640, 3), np.float32)
    picture[:] = surfaces.pick(rng, surfaces.GREYS)
    things.crowd(rng, picture, 2, len(picture) - 8, CROWD_PX_PER_M // 2)
    return Stands(picture, float(rng.uniform(1.4, 3.2)))


PLACES: Final[tuple[tuple[Place, float], ...]] = (
    (room, 0.22),
    (pool_hall, 0.12),
    (hall, 0.16),
    (outdoors, 0.28),
    (thicket, 0.08),
    (stands, 0.08),
    (wall, 0.14),
)
