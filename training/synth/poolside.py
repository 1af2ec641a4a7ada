"""Athletes at a pool as broadcasts show them from its side: on the board, in flight, half in the water, or nobody."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.synth import bystanders
from training.synth.athletes import Posed
from training.synth.camera import Camera, filling, looking
from training.synth.pool import BOARD_LENGTH_M, Figure, Pool, Splash, Style, Tower, random_style

Array = npt.NDArray[Any]

HEIGHTS_M: Final = (1.0, 3.0, 3.0, 5.0, 7.5, 10.0)
"""Of board or platform above the water; springboards of 3 m once more."""
SHARE_ON_BOARD: Final = 0.25
SHARE_SPLASH: Final = 0.3
SHARE_STANDS: Final = 0.3
SHARE_SIDE: Final = 0.6
WIDEST: Final = 0.55
"""Half the picture's side in focal lengths at most."""
_STANDS_M: Final = 1.8


@dataclass(frozen=True)
class Poolside:
    """One pool on one day: the board's height above the water, colours, the splash of the last dive, if any; other
    boards and the people there, none of whom is the subject."""

    height_m: float
    style: Style
    splash: Splash | None
    splash_s: float
    towers: tuple[Tower, ...] = ()
    figures: tuple[Figure, ...] = ()

    def seen(self, rng: np.random.Generator, camera: Camera) -> tuple[Pool, Array]:
        """The pool for `camera`, and all that it shows of it but the athlete."""
        pool = Pool(camera, self.height_m, self.style, self.towers, self.figures)
        image = pool.backdrop(rng, 2)
        pool.board(image, float(rng.normal(0, 0.12)))
        if self.splash is not None:
            self.splash.draw(image, camera, self.splash_s)
        return pool, image


def random_poolside(rng: np.random.Generator) -> Poolside:
    """A pool of any style, with officials, next divers, spectators or nobody. Raises NoGraphicsError."""
    height = float(rng.choice(HEIGHTS_M))
    splash = None
    if rng.random() < SHARE_SPLASH:
        splash = Splash(rng, np.array([rng.uniform(0.8, 3.0), rng.normal(0, 0.2), -height]), 0.0)
    style, since = random_style(rng), float(rng.uniform(0.05, 1.2))
    if rng.random() < SHARE_STANDS:
        style = dataclasses.replace(style, stands=bystanders.stands(rng, int(rng.integers(2, 8))))
    towers = bystanders.random_towers(rng, height)
    return Poolside(height, style, splash, since, towers, bystanders.about(rng, height, towers))


def placed(rng: np.random.Generator, posed: Posed, height_m: float) -> Posed:
    """The athlete on the board or platform, or somewhere on the way to the water and a little into it."""
    if rng.random() < SHARE_ON_BOARD:
        where = np.array([-rng.uniform(0.2, BOARD_LENGTH_M - 0.5), 0.0, -posed.vertices_m[:, 2].min()])
    else:
        where = np.array([rng.uniform(0.3, 2.5), 0.0, rng.uniform(-height_m - 0.1, 2.4)])
    return dataclasses.replace(posed, vertices_m=posed.vertices_m + where, joints_m=posed.joints_m + where)


def _azimuth(rng: np.random.Generator) -> float:
    """Of a camera about the diver, radians: 0 square to the flight, pi / 2 in front."""
    return float(rng.uniform(-0.5, 0.5) if rng.random() < SHARE_SIDE else rng.uniform(0.5, 1.5))


def camera_for(rng: np.random.Generator, posed: Posed, side_px: int, share: float, height_m: float) -> Camera:
    """A camera on the near side or in front, athlete centred and `share` of the picture's side large."""
    centre = posed.joints_m[0]
    nearest = _STANDS_M / (2 * share * WIDEST)
    away = max(nearest, float(np.exp(rng.uniform(np.log(5.0), np.log(28.0)))))
    azimuth = _azimuth(rng)
    level = rng.uniform(-height_m + 0.6, 3.5) - centre[2]
    offset = np.array([away * np.sin(azimuth), -away * np.cos(azimuth), np.clip(level, -0.45 * away, 0.45 * away)])
    camera = looking(centre + offset, centre, 1.0, (side_px, side_px), rng.normal(0, 0.02))
    return filling(camera, posed.vertices_m, share)


def empty_camera(rng: np.random.Generator, side_px: int, height_m: float) -> Camera:
    """A camera on the near side that sees board, water or wall with nobody there."""
    target = np.array([rng.uniform(-5, 4), 0.0, rng.uniform(-height_m, 2.0)])
    away = float(rng.uniform(8, 28))
    azimuth = _azimuth(rng)
    level = max(rng.uniform(-2, 4), 0.6 - height_m - target[2])
    offset = np.array([away * np.sin(azimuth), -away * np.cos(azimuth), level])
    return looking(target + offset, target, side_px / (2 * rng.uniform(0.08, WIDEST)), (side_px, side_px))
