"""People who are at a pool and are not the subject: officials, next divers, spectators. Small, at rest, as sprites.

They are drawn once a process from numbers of their own, so that a picture with thirty of them costs little more than
an empty one, and the same seed still gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from training.synth import athletes
from training.synth.body import MESH_COARSE, Body, load
from training.synth.camera import filling, looking
from training.synth.hall import BASIN_M, CROWD_PX_PER_M, DECK_ABOVE_WATER_M, FAR_EDGE_Y_M, Stands
from training.synth.lighting import Lighting
from training.synth.look import Look, random_look
from training.synth.pool import PLATFORM_FROM_M, Figure, Tower
from training.synth.poses import COLUMN, joints_of, vector
from training.synth.render import mask_box
from training.synth.retarget import turns_from_joints

Array = npt.NDArray[Any]

_SPRITE_PX: Final = 224
SHARE_WAITING: Final = 0.15
"""Of other boards with somebody at their back: in a contest one at a time stands on a board."""
_BODIES: Final = 6
_SWIMWEAR: Final = (0, 1, 2, 5)
_STANDING: Final = tuple(
    vector(angles)
    for angles in (
        {"arm_raise": 6, "arm_plane": 60, "elbow": 12},
        {"left_arm_raise": 28, "right_arm_raise": 28, "arm_plane": 80, "elbow": 95, "arm_turn": -45},
        {"arm_raise": 35, "arm_plane": -10, "elbow": 105, "arm_turn": -35},
        {"left_hip_flex": 22, "left_knee": 12, "right_hip_flex": -12, "left_arm_raise": -18, "right_arm_raise": 22},
        {"arm_raise": 10, "left_elbow": 110, "left_arm_raise": 40, "right_elbow": 10, "neck_flex": 20},
        {"left_arm_raise": 120, "left_arm_plane": 60, "left_elbow": 60, "right_arm_raise": 8},
    )
)
_SITTING: Final = tuple(
    vector({"hip_flex": 86, "knee": 86, **angles})
    for angles in (
        {"arm_raise": 32, "elbow": 35, "arm_plane": 10, "trunk_flex": 6},
        {"arm_raise": 25, "elbow": 80, "arm_plane": -5, "trunk_flex": 18},
        {"left_arm_raise": 55, "left_elbow": 120, "right_arm_raise": 20, "right_elbow": 60, "trunk_flex": 10},
    )
)


@dataclass(frozen=True)
class Sprite:
    """One person, `picture` [H, W, 4] uint8 premultiplied, `height_m` from its lowest row to its highest."""

    picture: Array
    height_m: float


@dataclass(frozen=True)
class People:
    """Sprites of each kind."""

    divers: tuple[Sprite, ...]
    officials: tuple[Sprite, ...]
    spectators: tuple[Sprite, ...]


@functools.lru_cache(maxsize=1)
def people() -> People:
    """This process's people. Raises NoGraphicsError without OpenGL."""
    rng = np.random.default_rng(21)
    bodies = [load(MESH_COARSE).athlete(rng) for _ in range(_BODIES)]

    def made(count: int, suits: tuple[int, ...], poses: tuple[Array, ...], white: float) -> tuple[Sprite, ...]:
        return tuple(_sprite(rng, bodies[k % _BODIES], suits, poses[k % len(poses)], white) for k in range(count))

    return People(
        made(12, _SWIMWEAR, _STANDING, 0),
        made(6, (7,), _STANDING, 0.8) + made(6, (7,), _SITTING, 0.8),
        made(18, (7, 8, 7, 6), _SITTING + _STANDING[-1:], 0.1),
    )


def _sprite(rng: np.random.Generator, body: Body, suits: tuple[int, ...], pose: Array, white: float) -> Sprite:
    model = load(MESH_COARSE)
    angles = pose + rng.normal(0, 0.06, len(pose))
    vertices = model.posed(body, turns_from_joints(model, body, joints_of(angles[None])))[0][0]
    turn, rise = rng.uniform(-1.3, 1.3), rng.uniform(0.0, 0.12)
    eye = 14 * np.array([np.sin(turn) * np.cos(rise), -np.cos(turn) * np.cos(rise), np.sin(rise)])
    camera = filling(looking(eye, vertices.mean(0), 1.0, (_SPRITE_PX, _SPRITE_PX)), vertices, 0.94)
    light = Lighting(np.array([0.2, -0.5, 0.84]), np.full(3, 0.55), np.full(3, 0.62), np.full(3, 0.3))
    layer = athletes.renderer().draw(body, vertices, _clothed(rng, body, suits, white), light, camera)
    box = mask_box(layer.mask)
    if box is None:
        raise RuntimeError("a bystander was not drawn; report this")
    x0, y0, x1, y1 = (int(v) for v in np.ceil(box))
    metre = float(camera.matrix_px[1, 1]) / float(camera.to_cam(vertices.mean(0))[2])
    rgba = layer.rgba
    if pose[COLUMN["left_hip_flex"]] > 1:
        pelvis = camera.project(camera.to_cam(np.zeros(3)))
        x0, x1 = min(x0, int(pelvis[0] - 0.24 * metre)), max(x1, int(pelvis[0] + 0.24 * metre))
        rgba = _seated(rng, rgba, pelvis, metre, y1)
    return Sprite(rgba[y0:y1, max(0, x0) : x1].copy(), (y1 - y0) / metre)


def _seated(rng: np.random.Generator, rgba: Array, pelvis_px: Array, metre_px: float, floor_px: int) -> Array:
    """The person `rgba` [H, W, 4] on a plain chair."""
    x, y = pelvis_px
    tone = np.append((rng.uniform(40, 200) + rng.normal(0, 12, 3)).clip(5, 250), 255.0)
    seat, dark = np.zeros_like(rgba), tone * np.array([0.55, 0.55, 0.55, 1])
    left, right = (int(x + side * metre_px) for side in (-0.23, 0.23))
    cv2.rectangle(seat, (left, int(y + 0.03 * metre_px)), (right, floor_px), dark.tolist(), -1)
    cv2.rectangle(seat, (left, int(y + 0.03 * metre_px)), (right, int(y + 0.12 * metre_px)), tone.tolist(), -1)
    behind = seat * (1 - rgba[..., 3:] / 255)
    return np.asarray((rgba + behind).clip(0, 255), np.uint8)


def _clothed(rng: np.random.Generator, body: Body, suits: tuple[int, ...], white: float) -> Look:
    look, suit = random_look(rng, body), int(rng.choice(suits))
    if suit in _SWIMWEAR:
        suit = int(rng.choice([1, 1, 5] if body.phenotype["gender"] > 0.5 else [0, 0, 2]))
        return dataclasses.replace(look, suit=suit, barefoot=True, sock_share=0.0)
    dark = rng.uniform(0.005, 0.06) * np.array([1.0, 1.0, rng.uniform(1, 2)])
    look = dataclasses.replace(look, suit=suit, head=0, hair_m=0.012, barefoot=False, shoe=dark, sock_share=0.05)
    if rng.random() < white:
        return dataclasses.replace(look, cloth_a=np.full(3, 0.75), cloth_b=dark, cloth=None)
    return look


def _one(rng: np.random.Generator, sprites: tuple[Sprite, ...]) -> Sprite:
    sprite = sprites[int(rng.integers(len(sprites)))]
    if rng.random() < 0.5:
        return sprite
    return Sprite(np.ascontiguousarray(sprite.picture[:, ::-1]), sprite.height_m)


def _at(sprite: Sprite, place_m: tuple[float, float, float], gain: float) -> Figure:
    picture = sprite.picture.copy()
    picture[..., :3] = np.clip(picture[..., :3] * gain, 0, 255)
    return Figure(picture, np.array(place_m), sprite.height_m)


def about(rng: np.random.Generator, height_m: float, towers: tuple[Tower, ...]) -> tuple[Figure, ...]:
    """People at rest about a pool: officials on the far deck, divers who wait or swim away; nobody before the board."""
    everyone, deck_z = people(), -height_m + DECK_ABOVE_WATER_M
    gain, found = float(rng.uniform(0.7, 1.15)), []
    x = rng.uniform(-9, 14)
    for _ in range(int(rng.choice([0, 3, 5, 7], p=[0.35, 0.25, 0.25, 0.15]))):
        found.append(_at(_one(rng, everyone.officials), (x, FAR_EDGE_Y_M + rng.uniform(0.5, 1.6), deck_z), gain))
        x += rng.uniform(0.8, 2.2)
    for _ in range(int(rng.integers(0, 5))):
        kind = everyone.divers if rng.random() < 0.7 else everyone.officials
        place = (rng.uniform(-12, BASIN_M[0][0] - 0.4), rng.uniform(1.2, 8.3), deck_z)
        found.append(_at(_one(rng, kind), place, gain))
    for tower in towers:
        if rng.random() < SHARE_WAITING:
            back = -5.2 if tower.height_m >= PLATFORM_FROM_M else -3.8
            place = (rng.uniform(back - 1, back + 0.5), tower.y_m, tower.height_m - height_m)
            found.append(_at(_one(rng, everyone.divers), place, gain))
    if rng.random() < 0.2:
        swimmer = _one(rng, everyone.divers)
        head = Sprite(swimmer.picture[: len(swimmer.picture) // 6], swimmer.height_m / 6)
        found.append(_at(head, (rng.uniform(2, 10), rng.uniform(0.5, 6.5), -height_m), gain))
    return tuple(found)


def random_towers(rng: np.random.Generator, height_m: float) -> tuple[Tower, ...]:
    """None, one or two further boards and platforms behind the one dived from."""
    places = [2.6, 5.4][: int(rng.choice([0, 1, 2], p=[0.45, 0.35, 0.2]))]
    heights = [1.0, 3.0, 3.0, 5.0, 7.5, 10.0]
    found = [Tower(y + float(rng.uniform(-0.2, 0.3)), float(rng.choice(heights))) for y in places]
    return tuple(tower for tower in found if tower.height_m != height_m or rng.random() < 0.5)


def stands(rng: np.random.Generator, rows: int, metres: float = 16.0) -> Stands:
    """`rows` rows of seats, some taken, repeated every `metres`."""
    scale, step_m, seat_m = CROWD_PX_PER_M, float(rng.uniform(0.38, 0.55)), float(rng.uniform(0.5, 0.65))
    high, wide = int((rows * step_m + 0.9) * scale), int(metres * scale)
    picture = np.empty((high, wide, 3), np.float32)
    picture[:] = rng.uniform(60, 190) + rng.normal(0, 6, 3)
    seat, full = rng.uniform(20, 220, 3).astype(np.float32), float(rng.uniform(0.15, 0.95))
    gain, sprites = float(rng.uniform(0.6, 1.1)), people().spectators
    for row in reversed(range(rows)):
        floor = high - int(row * step_m * scale) - 1
        shade = 0.75 + 0.25 * row / rows
        picture[max(0, floor - int(step_m * scale)) : floor] = picture[0, 0] * shade * 0.8
        for left in np.arange(0, wide, seat_m * scale):
            back = np.s_[max(0, floor - int(0.75 * scale)) : floor, int(left) + 2 : int(left + seat_m * scale) - 2]
            picture[back] = seat * shade
        for left in np.arange(0, wide, seat_m * scale):
            if rng.random() < full:
                _seat(picture, _one(rng, sprites), left + rng.normal(0, 2), floor, gain * shade)
    return Stands(picture, float(rng.uniform(1.4, 3.2)))


def _seat(picture: Array, sprite: Sprite, left_px: float, floor_px: int, gain: float) -> None:
    high = round(sprite.height_m * CROWD_PX_PER_M)
    wide = max(1, round(high * sprite.picture.shape[1] / len(sprite.picture)))
    drawn = cv2.resize(sprite.picture, (wide, high), interpolation=cv2.INTER_AREA).astype(np.float32)
    left, top = int(left_px), floor_px - high
    x0, y0, x1, y1 = max(0, left), max(0, top), min(picture.shape[1], left + wide), floor_px
    if x0 >= x1 or y0 >= y1:
        return
    drawn = drawn[y0 - top : y1 - top, x0 - left : x1 - left]
    part = picture[y0:y1, x0:x1]
    part[:] = drawn[..., :3] * gain + part * (1 - drawn[..., 3:] / 255)
