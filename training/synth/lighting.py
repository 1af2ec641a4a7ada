"""Light of a scene: one lamp or sun, and everything else as second-order spherical harmonics.

Nine coefficients hold diffuse light from any surroundings within a few per cent (Ramamoorthi and Hanrahan, "An
efficient representation for irradiance environment maps", SIGGRAPH 2001). The world is z up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_BASIS: Final = np.array([0.282095, 0.488603, 0.488603, 0.488603, 1.092548, 1.092548, 0.315392, 1.092548, 0.546274])
_COSINE_LOBE: Final = np.array([1.0, 2 / 3, 2 / 3, 2 / 3, 0.25, 0.25, 0.25, 0.25, 0.25])


@dataclass(frozen=True)
class Lighting:
    """Light in the world: unit direction towards the lamp, its colour, colours from above and below.

    `harmonics` [9, 3], the diffuse light of the surroundings as polynomial coefficients of the normal (see
    `polynomials`), replaces sky and ground where given.
    """

    direction: Array
    sun: Array
    sky: Array
    ground: Array
    harmonics: Array | None = None

    @property
    def diffuse(self) -> Array:
        """[9, 3], what the shader needs; from sky and ground without `harmonics`."""
        if self.harmonics is not None:
            return self.harmonics
        values = np.zeros((9, 3))
        values[0], values[2] = (self.sky + self.ground) / 2, (self.sky - self.ground) / 2
        return values


def polynomials(normals: Array) -> Array:
    """1, y, z, x, xy, yz, 3zz-1, xz, xx-yy of unit vectors [..., 3]: [..., 9]."""
    x, y, z = np.moveaxis(normals, -1, 0)
    return np.stack([np.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y], -1)


def lobe(direction: Array, colour: Array) -> Array:
    """Coefficients [9, 3] of a far lamp in `direction` that alone would light a facing surface by about `colour`."""
    return np.asarray((_BASIS**2 * _COSINE_LOBE * np.pi * polynomials(direction))[:, None] * colour)


@dataclass(frozen=True)
class Environment:
    """A measured surrounding, reduced: `harmonics` [9, 3] without the sun, `direction` [3] and `sun` [3] of the sun.
    Scaled so that the mean light is 1.
    """

    harmonics: Array
    direction: Array
    sun: Array


def reduced(panorama: Array) -> Environment:
    """An equirectangular picture [H, W, 3] of linear light, first row up, as harmonics and one sun.

    The sun is what exceeds eight times the mean; the rest is projected onto the harmonics.
    """
    height, width = panorama.shape[:2]
    polar = (np.arange(height) + 0.5) / height * np.pi
    azimuth = (np.arange(width) + 0.5) / width * 2 * np.pi
    ring, turn = np.meshgrid(polar, azimuth, indexing="ij")
    ways = np.stack([np.sin(ring) * np.cos(turn), np.sin(ring) * np.sin(turn), np.cos(ring)], -1)
    area = np.sin(ring) * (np.pi / height) * (2 * np.pi / width)
    mean = float((panorama.mean(-1) * area).sum() / (4 * np.pi))
    light = panorama / max(mean, 1e-6)
    brightness = light.mean(-1)
    share = np.clip(1 - 8.0 / np.maximum(brightness, 1e-6), 0, 1)
    sun = (light * (share * area)[..., None]).sum((0, 1)) / np.pi
    direction = (ways * (brightness * share * area)[..., None]).sum((0, 1))
    length = np.linalg.norm(direction)
    direction = direction / length if length > 1e-6 else np.array([0, 0, 1.0])
    rest = light * (1 - share)[..., None]
    terms = polynomials(ways) * (_BASIS**2 * _COSINE_LOBE)
    return Environment(np.einsum("hwk,hwc,hw->kc", terms, rest, area), direction, sun)


def turned(environment: Environment, yaw_rad: float) -> Environment:
    """The environment turned about the vertical."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    h = environment.harmonics
    out = h.copy()
    out[3], out[1] = c * h[3] - s * h[1], s * h[3] + c * h[1]
    out[7], out[5] = c * h[7] - s * h[5], s * h[7] + c * h[5]
    c2, s2 = np.cos(2 * yaw_rad), np.sin(2 * yaw_rad)
    # xy = sin(2a)/2 and xx - yy = cos(2a) turn by twice the angle.
    out[8], out[4] = c2 * h[8] - s2 * h[4] / 2, 2 * s2 * h[8] + c2 * h[4]
    x, y, z = environment.direction
    return Environment(out, np.array([c * x - s * y, s * x + c * y, z]), environment.sun)


def random_lighting(rng: np.random.Generator) -> Lighting:
    """From flat hall light to hard sun, warm to cold, brighter from one side, now and then from behind in the dark."""
    direction = rng.normal(size=3) * [1, 1, 0.5] + [0, 0, rng.uniform(0.2, 1.6)]
    direction /= np.linalg.norm(direction)
    power, flat = rng.uniform(0.2, 1.4), rng.uniform(0.15, 0.7)
    if rng.random() < 0.07:
        flat *= 0.15
    tint = 1 + rng.normal(0, 0.08, 3)
    sky = flat * (1 + rng.normal(0, 0.08, 3))
    ground = sky * rng.uniform(0.25, 0.9) * (1 + rng.normal(0, 0.06, 3))
    plain = Lighting(direction, power * tint, sky, ground)
    side = rng.normal(size=3) * [1, 1, 0.4]
    window = lobe(side / np.linalg.norm(side), flat * rng.uniform(0, 0.8) * (1 + rng.normal(0, 0.15, 3)))
    return Lighting(direction, power * tint, sky, ground, plain.diffuse + window)
