"""Athletes in poses, seen by cameras: what crops and scenes are made of."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from training.synth import motion, panorama
from training.synth.body import MESH_COARSE, Body, load
from training.synth.camera import Camera, around, filling
from training.synth.lighting import Lighting
from training.synth.look import Look, random_look
from training.synth.material import Materials, read_materials
from training.synth.render import Layer, Renderer, visible
from training.synth.retarget import turns_from_joints

Array = npt.NDArray[Any]

LARGEST_PX: Final = 288
LIMBS: Final = ((1, 2, 3), (4, 5, 6), (11, 12, 13), (14, 15, 16))
SHARE_BLURRED: Final = 0.1
SUBFRAMES: Final = 4
_EXPOSURE_S: Final = (1 / 250, 1 / 30)
_SWING_S: Final = 1 / 20


@dataclass(frozen=True)
class Sources:
    """What samples draw on besides random numbers; all optional."""

    mocap: motion.Mocap | None = None
    panoramas: tuple[panorama.Panorama, ...] = ()
    materials: Materials | None = None


NO_SOURCES: Final = Sources()


@functools.lru_cache(maxsize=2)
def read_sources(mocap: Path | None, hdri: Path | None, textures: Path | None) -> Sources:
    """The sources in these folders, read once a process.

    Raises MocapError, PanoramaError, MaterialError for a folder that cannot be used.
    """
    return Sources(
        motion.read_mocap(mocap) if mocap is not None else None,
        panorama.read(hdri) if hdri is not None else (),
        read_materials(textures) if textures is not None else None,
    )


@functools.lru_cache(maxsize=1)
def renderer() -> Renderer:
    """This process's renderer."""
    return Renderer(load(MESH_COARSE), (LARGEST_PX, LARGEST_PX), samples=4)


def poses(rng: np.random.Generator, mocap: motion.Mocap | None, count: int) -> motion.PoseSample:
    """A mixture of sources: with recordings 45 % of them, 25 % random, 30 % dives; without, half random half dives."""
    shares = (0.45, 0.25, 0.30) if mocap is not None else (0.0, 0.5, 0.5)
    parts = []
    for number in rng.multinomial(1, shares, size=count).argmax(1):
        if number == 0 and mocap is not None:
            parts.append(motion.sample_mocap(mocap, rng, 1))
        else:
            parts.append((motion.sample_random if number == 1 else motion.sample_dive)(rng, 1))
    return motion.PoseSample(
        np.concatenate([part.joints_m for part in parts]),
        np.concatenate([part.plantar_rad for part in parts]),
        [source for part in parts for source in part.source],
        [moment for part in parts for moment in part.moment],
    )


@dataclass(frozen=True)
class Posed:
    """A body in one pose: `vertices_m` [V, 3], `joints_m` [17, 3] in the world, pelvis at the origin.

    `moved_m` [V, 3] is how far each vertex travels while the shutter is open; None for a sharp picture. `moment` of a
    dive where the pose is from one.
    """

    body: Body
    vertices_m: Array
    joints_m: Array
    source: str
    moved_m: Array | None = None
    moment: motion.Moment = motion.NO_DIVE


def group(rng: np.random.Generator, mocap: motion.Mocap | None, count: int, upright: float = 0.0) -> Iterator[Posed]:
    """One random body in `count` poses; a share `upright` of them is kept as on the ground, turned about z only."""
    model = load(MESH_COARSE)
    body = model.athlete(rng)
    drawn = poses(rng, mocap, count)
    blurred = np.flatnonzero(rng.random(count) < SHARE_BLURRED)
    swung = _swung(rng, drawn.joints_m[blurred])
    joints_m = np.concatenate([drawn.joints_m, swung])
    plantar = np.concatenate([drawn.plantar_rad, drawn.plantar_rad[blurred]])
    yaw = np.clip(rng.normal(0, 0.35, count), -0.9, 0.9)
    turns = turns_from_joints(model, body, joints_m, np.concatenate([yaw, yaw[blurred]]), plantar)
    vertices, joints = model.posed(body, turns)
    for k in range(count):
        turn = _standing(rng) if rng.random() < upright else motion.orientation(rng)
        moved = None
        if k in blurred:
            swing = (vertices[count + int(np.flatnonzero(blurred == k)[0])] - vertices[k]) / _SWING_S
            moved = (swing + _flight(rng, vertices[k])) @ turn.T * rng.uniform(*_EXPOSURE_S)
        yield Posed(body, vertices[k] @ turn.T, joints[k] @ turn.T, drawn.source[k], moved, drawn.moment[k])


def _swung(rng: np.random.Generator, joints_m: Array) -> Array:
    """The poses [B, 17, 3] after `_SWING_S` seconds of arms and legs turning about shoulders and hips."""
    out = joints_m.copy()
    for pose in out:
        for root, *rest in LIMBS:
            turn = rng.normal(0, 3.5, 3) * _SWING_S
            pose[rest] += np.cross(turn, pose[rest] - pose[root])
    return np.asarray(out)


def _flight(rng: np.random.Generator, vertices_m: Array) -> Array:
    """Velocity [V, 3] in m/s of a body that turns and moves past the camera as a whole."""
    spin, speed = rng.normal(0, 3.5, 3), rng.normal(0, 1.2, 3)
    return np.asarray(np.cross(spin, vertices_m) + speed, np.float32)


def _standing(rng: np.random.Generator) -> Array:
    yaw = rng.uniform(0, 2 * np.pi)
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])


def view(rng: np.random.Generator, posed: Posed, side: int, share: float, nearest_m: float = 5.0) -> Camera:
    """A random camera with the body centred and `share` of the side large."""
    distance = float(np.exp(rng.uniform(np.log(nearest_m), np.log(40.0))))
    return filling(around(rng, np.zeros(3), distance, (side, side)), posed.vertices_m, share)


def dressed(rng: np.random.Generator, posed: Posed, sources: Sources) -> Look:
    """Random clothes for the body."""
    return random_look(rng, posed.body, sources.materials)


def drawn(posed: Posed, look: Look, light: Lighting, camera: Camera) -> Layer:
    """The body on nothing; a moving one as the mean of several moments, with the depth of the middle one."""
    if posed.moved_m is None:
        return renderer().draw(posed.body, posed.vertices_m, look, light, camera)
    total = np.zeros((*camera.size_px[::-1], 4), np.float32)
    for moment in np.linspace(-0.5, 0.5, SUBFRAMES):
        total += renderer().draw(posed.body, posed.vertices_m + moment * posed.moved_m, look, light, camera).rgba
    sharp = renderer().draw(posed.body, posed.vertices_m, look, light, camera)
    return dataclasses.replace(sharp, rgba=((total + sharp.rgba) / (SUBFRAMES + 1) + 0.5).astype(np.uint8))


def rounded(values: Array, digits: int) -> Any:
    """Nested lists for msgpack."""
    return np.round(np.asarray(values, float), digits).tolist()


def seen(layer: Layer, camera: Camera, joints_world_m: Array, covered: Array) -> dict[str, Any]:
    """Visibility, camera and mask that crops and scenes label alike; `covered` [S, S] bool is what hides the body."""
    cam = camera.to_cam(joints_world_m)
    pixels = camera.project(cam)
    shown = visible(layer, pixels, cam[:, 2])
    column, row = np.rint(pixels).astype(int).clip(0, len(covered) - 1).T
    mask = layer.mask & ~covered
    png = cv2.imencode(".png", mask.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])[1]
    return {
        "visible": (shown & ~covered[row, column]).astype(int).tolist(),
        "joints_cam_m": rounded(cam - cam[0], 4),
        "root_cam_m": rounded(cam[0], 4),
        "up_cam": rounded(camera.world_from_cam[2, :3], 5),
        "mask_png": png.tobytes(),
    }
