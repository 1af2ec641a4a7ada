"""Crops of one athlete with 2D and 3D joints, ten to a group: one body, five poses, two views each."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from training.synth import athletes, backgrounds, foreground, lens
from training.synth.athletes import Posed, Sources
from training.synth.camera import Camera
from training.synth.render import Layer, mask_box

Array = npt.NDArray[Any]
Sample = tuple[str, bytes, dict[str, Any]]

SIDE_PX: Final = 288
POSES: Final = 5
VIEWS: Final = 2
CANVASES: Final = 3


def jpg(rng: np.random.Generator, image: Array) -> bytes:
    """The picture as JPEG of good quality."""
    quality = int(rng.integers(70, 95))
    return bytes(cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def label_of(
    layer: Layer, camera: Camera, joints_world_m: Array, covered: Array | None = None
) -> dict[str, Any] | None:
    """The label of one crop (see `training/synth/README.md`), None when nothing of the body was drawn."""
    box = mask_box(layer.mask)
    if box is None:
        return None
    hidden = np.zeros(layer.mask.shape, bool) if covered is None else covered
    pixels = camera.project(camera.to_cam(joints_world_m))
    return {
        "joints_crop_px": athletes.rounded(pixels, 2),
        "focal_crop_px": float(camera.matrix_px[0, 0]),
        "box_crop_px": athletes.rounded(box, 1),
    } | athletes.seen(layer, camera, joints_world_m, hidden)


def behind(
    rng: np.random.Generator, canvas: backgrounds.Canvas, posed: Posed, camera: Camera, others: list[Layer]
) -> tuple[Array, Any]:
    """What is behind the athlete: a window of the canvas, people, the athlete's shadow; and the light there."""
    light = canvas.lighting(rng, camera)
    image = backgrounds.window(rng, canvas.image, camera.size_px[0])
    if rng.random() < 0.08:
        image = lens.streaked(rng, image, 30)
    if others and rng.random() < 0.2:
        other = others[int(rng.integers(len(others)))]
        image, _ = foreground.person(rng, image, other, float(rng.uniform(0.25, 0.9)), None)
    if rng.random() < 0.4:
        lowest = float(posed.vertices_m[:, 2].min())
        floor = lowest if rng.random() < 0.6 else lowest - float(rng.uniform(0.1, 1.5))
        dark = float(rng.uniform(0.2, 0.7))
        image = foreground.shadow(image, posed.vertices_m, floor, light.direction, camera, dark)
    return image, light


def before(rng: np.random.Generator, image: Array, mask: Array, others: list[Layer]) -> tuple[Array, Array]:
    """What is before the athlete of `mask`: things, people, graphics; the picture and what they cover."""
    covered = np.zeros(mask.shape, bool)
    if rng.random() < 0.14:
        image, more = foreground.hidden_by_things(rng, image, mask)
        covered |= more
    if others and rng.random() < 0.07:
        other = others[int(rng.integers(len(others)))]
        image, more = foreground.person(rng, image, other, float(rng.uniform(0.7, 1.3)), mask)
        covered |= more
    if rng.random() < 0.06:
        image, more = lens.graphics(rng, image)
        covered |= more
    return image, covered


def make(rng: np.random.Generator, seed: int, group: int, sources: Sources) -> list[Sample]:
    """The ten crops of one group."""
    canvases = [backgrounds.canvas(rng, sources.panoramas) for _ in range(CANVASES)]
    others: list[Layer] = []
    samples: list[Sample] = []
    for posed in athletes.group(rng, sources.mocap, POSES):
        for _ in range(VIEWS):
            camera = athletes.view(rng, posed, SIDE_PX, float(rng.uniform(0.55, 0.65)), 3.5)
            image, light = behind(rng, canvases[int(rng.integers(CANVASES))], posed, camera, others)
            layer = athletes.drawn(posed, athletes.dressed(rng, posed, sources), light, camera)
            image, covered = before(rng, layer.over(image), layer.mask, others)
            label = label_of(layer, camera, posed.joints_m, covered)
            if label is None:
                raise RuntimeError(f"group {group}: the camera missed the body; report this seed: {seed}")
            label |= {"seed": seed, "source": posed.source, "stature_m": round(posed.body.stature_m, 3)}
            label |= posed.moment.as_label()
            key = f"s{seed}-g{group:06d}-{len(samples):02d}"
            samples.append((key, jpg(rng, lens.sent(rng, lens.taken(rng, image))), label))
            others.append(layer)
    return samples
