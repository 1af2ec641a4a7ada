"""Scenes for the tracker: one athlete of any size anywhere in a picture full of other things, or nobody."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.synth import athletes, backgrounds, crops, lens, poolside
from training.synth.athletes import Posed, Sources
from training.synth.backgrounds import Canvas
from training.synth.camera import Camera
from training.synth.crops import POSES, VIEWS, Sample
from training.synth.lighting import random_lighting
from training.synth.motion import NO_DIVE
from training.synth.poolside import Poolside
from training.synth.render import Layer, mask_box

Array = npt.NDArray[Any]

SIDE_PX: Final = 256
CANVASES: Final = 4
SHARE_EMPTY: Final = 0.18
SHARE_POOL: Final = 0.5
LEAST_PX: Final = 12
"""Fewest visible pixels of an athlete who counts as present."""


def _share(rng: np.random.Generator) -> float:
    """The subject's share of the picture's side: any octave from 6 % to 90 % alike, and large ones once more."""
    if rng.random() < 0.3:
        return float(rng.uniform(0.4, 0.92))
    return float(np.exp(rng.uniform(np.log(0.06), np.log(0.90))))


def _placed(rng: np.random.Generator, camera: Camera, share: float) -> Camera:
    """`camera` with its centred picture moved so that a box of `share` of the side lies anywhere in the frame."""
    side = camera.size_px[0]
    reach = (side - share * side) / 2
    if rng.random() < 0.15:
        reach = min(reach + 0.25 * share * side, side / 2)
    matrix = camera.matrix_px.copy()
    matrix[:2, 2] += rng.uniform(-reach, reach, 2)
    return dataclasses.replace(camera, matrix_px=matrix)


@dataclass(frozen=True)
class Taken:
    """One picture of an athlete: who and where, by which camera, drawn, and the picture so far."""

    posed: Posed
    camera: Camera
    layer: Layer
    image: Array


def _at_the_pool(rng: np.random.Generator, place: Poolside, posed: Posed, sources: Sources, share: float) -> Taken:
    posed = poolside.placed(rng, posed, place.height_m)
    camera = _placed(rng, poolside.camera_for(rng, posed, SIDE_PX, share, place.height_m), share)
    layer = athletes.drawn(posed, athletes.dressed(rng, posed, sources), random_lighting(rng), camera)
    pool, image = place.seen(rng, camera)
    return Taken(posed, camera, layer, pool.with_athlete(image, layer, camera))


def _anywhere(
    rng: np.random.Generator, canvas: Canvas, posed: Posed, sources: Sources, share: float, others: list[Layer]
) -> Taken:
    camera = _placed(rng, athletes.view(rng, posed, SIDE_PX, share, 5.0 if share < 0.4 else 2.5), share)
    image, light = crops.behind(rng, canvas, posed, camera, others if rng.random() < 0.5 else [])
    layer = athletes.drawn(posed, athletes.dressed(rng, posed, sources), light, camera)
    return Taken(posed, camera, layer, layer.over(image))


def _with_subject(
    rng: np.random.Generator, place: Canvas | Poolside, posed: Posed, sources: Sources, others: list[Layer]
) -> tuple[Array, dict[str, Any] | None, Layer]:
    share = _share(rng)
    # Bystanders are smaller than the athlete, so that it stays clear who is meant.
    small = [layer for layer in others if layer.mask.any(1).sum() < share * SIDE_PX * 0.8]
    if isinstance(place, Poolside):
        taken = _at_the_pool(rng, place, posed, sources, share)
    else:
        taken = _anywhere(rng, place, posed, sources, share, small)
    image, covered = crops.before(rng, taken.image, taken.layer.mask, small)
    shown = taken.layer.mask & ~covered
    box = mask_box(shown)
    if box is None or shown.sum() < LEAST_PX:
        return image, None, taken.layer
    camera, joints_m = taken.camera, taken.posed.joints_m
    label = {
        "present": 1,
        "box": athletes.rounded(2 * (box + 0.5) / SIDE_PX - 1, 5),
        "box_px": athletes.rounded(box, 1),
        "joints_px": athletes.rounded(camera.project(camera.to_cam(joints_m)), 2),
        "focal_px": float(camera.matrix_px[0, 0]),
        "principal_px": athletes.rounded(camera.matrix_px[:2, 2], 2),
        "source": posed.source,
    }
    label |= posed.moment.as_label()
    return image, label | athletes.seen(taken.layer, camera, joints_m, covered), taken.layer


def _empty(rng: np.random.Generator, place: Canvas | Poolside) -> Array:
    if isinstance(place, Poolside):
        image = place.seen(rng, poolside.empty_camera(rng, SIDE_PX, place.height_m))[1]
    else:
        image = backgrounds.window(rng, place.image, SIDE_PX)
    return crops.before(rng, image, np.zeros(image.shape[:2], bool), [])[0]


def make(rng: np.random.Generator, seed: int, group: int, sources: Sources) -> list[Sample]:
    """Ten tracker pictures of one group."""
    canvases = [backgrounds.canvas(rng, sources.panoramas) for _ in range(CANVASES)]
    pool = poolside.random_poolside(rng)
    everyone = list(athletes.group(rng, sources.mocap, POSES, upright=0.4))
    others: list[Layer] = []
    samples: list[Sample] = []
    for number in range(POSES * VIEWS):
        at_the_pool = rng.random() < SHARE_POOL
        place = pool if at_the_pool else canvases[int(rng.integers(CANVASES))]
        label: dict[str, Any] | None = None
        if rng.random() < SHARE_EMPTY:
            image = _empty(rng, place)
        else:
            image, label, layer = _with_subject(rng, place, everyone[number // VIEWS], sources, others)
            others.append(layer)
        label = label or {"present": 0, "box": None, "box_px": None, "source": "none"} | NO_DIVE.as_label()
        picture = crops.jpg(rng, lens.sent(rng, lens.taken(rng, image)))
        samples.append((f"s{seed}-g{group:06d}-{number:02d}", picture, label | {"seed": seed}))
    return samples
