"""What stands between camera and athlete, or behind: poles, rails, tables, trunks, other people; and shadows."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from training.synth import backgrounds, things
from training.synth.camera import Camera
from training.synth.render import Layer

Array = npt.NDArray[Any]

MOST_HIDDEN: Final = 0.55
"""Share of the athlete that may be hidden by what stands before; arrangements that hide more are not used."""
_THINGS: Final[tuple[things.Thing, ...]] = (
    things.pole,
    things.pole,
    things.rail,
    things.rail,
    things.table,
    things.chair,
    things.trunk,
    things.apparatus,
    things.cupboard,
)


def shadow(image: Array, vertices_m: Array, floor_m: float, direction: Array, camera: Camera, depth: float) -> Array:
    """`image` with the shadow of a body [V, 3] on the floor at height `floor_m`, the lamp in `direction`, in the world.

    `depth` 0-1 is how dark; without a lamp above or with the camera below the floor nothing changes.
    """
    if direction[2] < 0.2 or camera.world_from_cam[2, 3] < floor_m + 0.2:
        return image
    fallen = vertices_m - direction * ((vertices_m[:, 2:] - floor_m) / direction[2])
    cam = camera.to_cam(fallen)
    cam = cam[cam[:, 2] > 0.5]
    if not len(cam):
        return image
    pixels = np.rint(camera.project(cam)).astype(int)
    side = len(image)
    pixels = pixels[((pixels >= 0) & (pixels < side)).all(1)]
    dark = np.zeros((side, side), np.uint8)
    dark[pixels[:, 1], pixels[:, 0]] = 255
    reach = max(3, int(0.09 * camera.matrix_px[0, 0] / float(np.median(cam[:, 2]))) | 1)
    dark = cv2.dilate(dark, np.ones((reach, reach), np.uint8))
    dark = cv2.blur(cv2.blur(dark, (reach, reach)), (reach, reach))
    keep = 255 - (depth * dark).astype(np.uint16)
    return (image * keep[..., None] // 255).astype(np.uint8)


def hidden_by_things(rng: np.random.Generator, image: Array, mask: Array) -> tuple[Array, Array]:
    """Things before the athlete of `mask` [S, S]: the picture, and what they cover [S, S] bool."""
    side = len(image)
    for _ in range(3):
        drawn = image.astype(np.float32)
        if rng.random() < 0.35:
            backgrounds.scatter(rng, drawn, float(rng.uniform(0.05, 0.16)) * side)
        else:
            # Depths at which the thing is about as large as the athlete.
            view = things.NoFloor(side, 1.5 * side, float(rng.uniform(-0.2, 0.8)) * side, float(rng.uniform(0.8, 2.5)))
            _THINGS[int(rng.integers(len(_THINGS)))](rng, drawn, view, float(rng.uniform(2.5, 9)))
        covered = np.abs(drawn - image).max(-1) > 1
        if (covered & mask).sum() <= MOST_HIDDEN * mask.sum():
            return drawn.clip(0, 255).astype(np.uint8), covered
    return image, np.zeros(mask.shape, bool)


def person(
    rng: np.random.Generator, image: Array, other: Layer, size: float, mask: Array | None
) -> tuple[Array, Array]:
    """Another person, drawn before and used again `size` times as large: the picture and what is covered.

    With the athlete's `mask` they stand before the athlete and beside; without, anywhere.
    """
    side = len(image)
    scale = size * side / len(other.rgba)
    reach = 0.5 * side
    offset = rng.uniform(-reach, reach, 2) * [1, 0.5]
    if mask is not None:
        offset[0] = rng.uniform(0.2, 0.4) * side * rng.choice([-1, 1])
    middle = (len(other.rgba) - 1) / 2
    mirror = float(rng.choice([-1, 1]))
    centre = (side - 1) / 2 + offset
    matrix = np.array(
        [[mirror * scale, 0, centre[0] - mirror * scale * middle], [0, scale, centre[1] - scale * middle]]
    )
    rgba = cv2.warpAffine(other.rgba, matrix, (side, side), flags=cv2.INTER_LINEAR if scale > 0.6 else cv2.INTER_AREA)
    if mask is None and rng.random() < 0.5:
        rgba = cv2.GaussianBlur(rgba, (0, 0), float(rng.uniform(0.6, 2.5)))
    covered = rgba[..., 3] > 127
    if mask is not None and (covered & mask).sum() > MOST_HIDDEN * mask.sum():
        return image, np.zeros_like(covered)
    return Layer(rgba, other.depth_m).over(image), covered
