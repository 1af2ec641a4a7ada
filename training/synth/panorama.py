"""Surroundings from equirectangular pictures (.hdr, .exr, .jpg, .png in one folder): views of them, and their light."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from training.synth.camera import Camera
from training.synth.lighting import Environment, Lighting, reduced, turned

Array = npt.NDArray[Any]

SUFFIXES: Final = (".hdr", ".exr", ".jpg", ".png")
_MAP_PX: Final = 65


class PanoramaError(RuntimeError):
    """A folder of panoramas cannot be used."""


@dataclass(frozen=True)
class Light:
    """The light of a view: its panorama's, which azimuth of it the view looks at, and the exposure."""

    environment: Environment
    azimuth_rad: float
    level: float

    def seen_by(self, camera: Camera) -> Lighting:
        """The light in the world of a camera whose picture has the view as background."""
        forward = camera.world_from_cam[:2, 2]
        facing = float(np.arctan2(forward[1], forward[0]))
        turned_to = turned(self.environment, facing + self.azimuth_rad)
        shades = turned_to.harmonics * self.level
        sun = np.minimum(turned_to.sun * self.level, 2.5)
        return Lighting(turned_to.direction, sun, shades[0] + shades[2], shades[0] - shades[2], shades)


@dataclass(frozen=True)
class Panorama:
    """Linear RGB `radiance` [H, 2H, 3] float32, top row straight up, and its light for a right-handed world (azimuth
    falls from left to right in a picture, and the first column has azimuth 0); `mean` radiance."""

    radiance: Array
    environment: Environment
    mean: float

    def view(self, rng: np.random.Generator, side: int) -> tuple[Array, Light]:
        """A random perspective view [side, side, 3] in 0-255 at a random exposure, and the light for bodies in it."""
        tangent = float(np.tan(np.deg2rad(rng.uniform(45, 105)) / 2))
        yaw, pitch = rng.uniform(0, 2 * np.pi), float(np.clip(rng.normal(-0.05, 0.22), -0.8, 0.7))
        flat = np.linspace(-tangent, tangent, _MAP_PX, dtype=np.float32)
        rays = np.stack([*np.meshgrid(flat, flat), np.ones((_MAP_PX, _MAP_PX), np.float32)], -1) @ _pitched(pitch).T
        height, width = self.radiance.shape[:2]
        # Longitude counts from the view's own, so that the coarse map has no seam to smear.
        u = ((np.arctan2(rays[..., 0], rays[..., 2]) + yaw) / (2 * np.pi) + 0.5) * width
        v = (np.arctan2(rays[..., 1], np.hypot(rays[..., 0], rays[..., 2])) / np.pi + 0.5) * height
        u, v = (cv2.resize(k.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR) for k in (u, v))
        seen = cv2.remap(self.radiance, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        white = float(np.percentile(seen[::8, ::8], rng.uniform(60, 95))) + 1e-4
        image = 255 * np.sqrt(np.clip(seen / (white * 1.2), 0, 1))
        level = float(np.clip(self.mean / (1.2 * white), 0.12, 1.5))
        return image, Light(self.environment, float(yaw + np.pi), level)


def _pitched(angle_rad: float) -> Array:
    """Level axes from the axes of a camera that looks down by this angle."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]], np.float32)


def lit(radiance: Array) -> Panorama:
    """A panorama with its light measured."""
    small = cv2.resize(radiance, (128, 64), interpolation=cv2.INTER_AREA).astype(float)
    seen = reduced(small)
    # Columns run against the azimuth of a right-handed world: what is odd in y changes sign.
    mirror = np.array([1, -1, 1, 1, -1, -1, 1, 1, 1])[:, None]
    rows = np.sin((np.arange(64) + 0.5) / 64 * np.pi)
    mean = float((small.mean(-1) * rows[:, None]).sum() / rows.sum() / 128)
    return Panorama(radiance, Environment(seen.harmonics * mirror, seen.direction * [1, -1, 1], seen.sun), mean)


@functools.lru_cache(maxsize=2)
def read(folder: Path) -> tuple[Panorama, ...]:
    """All panoramas of a folder, in order of name.

    Raises PanoramaError when there is none or one is not twice as wide as high.
    """
    files = sorted(file for file in folder.glob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise PanoramaError(
            f"{folder}: no panoramas ({', '.join(SUFFIXES)}) here; give a folder of equirectangular ones"
        )
    return tuple(lit(_radiance(file)) for file in files)


def _radiance(file: Path) -> Array:
    image = cv2.imread(str(file), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    if image is None or image.shape[1] != 2 * image.shape[0]:
        raise PanoramaError(f"{file}: not an equirectangular picture (twice as wide as high); convert or remove it")
    linear = (image.astype(np.float32) / 255) ** 2.2 if image.dtype == np.uint8 else image.astype(np.float32)
    return np.ascontiguousarray(linear[..., ::-1])
