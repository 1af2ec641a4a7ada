"""Dives as boxes for the tracker: a diver seen by a random camera, among people who do not fall, with occlusions.

No picture is rendered and no network runs. The people's boxes go to `python -m pipeline.rehearsal`, which runs the real
tracker on them; what it tells is compared with who was where.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training import geometry as geo
from training.errors import TrainingError
from training.synth import dive
from training.synth.camera import Camera, looking
from training.synth.poses import joints_of

Array = npt.NDArray[Any]

RATE_HZ: Final = 50.0
SIZE_PX: Final = (480, 270)
"""A quarter of full HD along each side: noise is told in pixels of full HD."""
PER_FULL_HD: Final = SIZE_PX[0] / 1920
DIVES: Final = (
    ("107B", 10.0), ("207C", 10.0), ("405C", 10.0), ("103B", 5.0), ("301B", 5.0), ("203B", 7.5), ("105B", 3.0),
    ("403C", 3.0), ("205C", 3.0), ("101A", 3.0), ("103C", 1.0), ("201B", 1.0),
)  # fmt: skip
"""Dives without twist are simulated in a second; each is seen by many cameras."""
DISTANCE_M: Final = (8.0, 40.0)
PITCH_DEG: Final = (0.0, 25.0)
NOISE_PX: Final = (3.0, 10.0)
"""Of a found box's edges, in full HD."""
HIDDEN_S: Final = 0.3
CALM_S: Final = 0.25
"""Nobody is hidden so soon after the take-off, or so late before the entry."""
AFTER_S: Final = 0.4
STATURE_M: Final = (1.5, 1.9)
WALKERS: Final = (1, 3)
"""Spectators who walk to and fro beside the pool."""
BESIDE_M: Final = (10.0, 20.0)
DECK_M: Final = 0.4
"""How far beside the boards people walk, behind the dive in the picture, and how high above the water."""
ON: Final = 0.3
OFF: Final = 0.1
"""Overlap from which a box is on somebody, and up to which it is not."""
RECOVERY_FRAMES: Final = 3
STEADY_FRAMES: Final = 5


@dataclass(frozen=True)
class Scene:
    """F frames, P people, the diver first: `boxes_img_px` (F, P, 4), NaN where somebody cannot be seen.

    `whole_img_px` (F, 4) is the diver's box, hidden or not; `flying` (F,), `hidden` (F,). `noise_px` of a found box.
    """

    boxes_img_px: Array
    whole_img_px: Array
    flying: Array
    hidden: Array
    noise_px: float


@dataclass(frozen=True)
class TrackFigures:
    """What the tracker made of the dives of `count` scenes, all counted from take-off to entry.

    `switches` from the diver, who is to be seen, to somebody else; `recovered` share of occlusions after which the
    diver was told within three frames, of `occlusions` before which it was told; `lost` share of the frames in which
    the diver was to be seen and not told; `lock_s` mean time until it was told first; `overlap` mean IoU where it was
    to be seen, 0 where not told; `hidden_overlap` the same while it was hidden.
    """

    count: int
    switches: int
    occlusions: int
    recovered: float
    lost: float
    lock_s: float
    overlap: float
    hidden_overlap: float


@cache
def _dives() -> tuple[dive.Dive, ...]:
    plans = (dive.Plan.of(code, height, seed) for seed, (code, height) in enumerate(DIVES, start=1))
    return tuple(dive.simulate(plan, joints_of, RATE_HZ) for plan in plans)


def scene(chance: np.random.Generator) -> Scene:
    """A dive, a camera, and people, drawn at random."""
    dived = _dives()[int(chance.integers(len(DIVES)))]
    last = round((dived.events_s["under"] + AFTER_S) * RATE_HZ)
    times = np.arange(min(last, len(dived.t_s) - 1) + 1) / RATE_HZ
    height = dived.plan.height_m
    camera = _camera(chance, height)
    joints = dived.joints_world_m[: len(times)]
    whole = _boxes(camera, joints)
    whole[~(joints[..., 2] > -height).any(1)] = np.nan
    others = [_next_diver(chance, times), _coach(chance, times, height)]
    others += [_walker(chance, times, height) for _ in range(int(chance.integers(WALKERS[0], WALKERS[1] + 1)))]
    flying = np.array([phase == "flight" for phase in dived.phase[: len(times)]])
    hidden = _hidden(chance, times, dived.events_s)
    boxes = np.stack([whole, *(_standing(camera, *other) for other in others)], 1)
    boxes[hidden, 0] = np.nan
    boxes[hidden, 1:] = np.where(_behind(boxes[hidden, 1:], whole[hidden])[..., None], np.nan, boxes[hidden, 1:])
    return Scene(boxes, whole, flying, hidden, float(chance.uniform(*NOISE_PX)) * PER_FULL_HD)


def _camera(chance: np.random.Generator, height_m: float) -> Camera:
    """A camera at rest that sees the dive from somewhere beside or in front of it, about filling the picture."""
    top, bottom = 2.5, -height_m - 0.5
    middle = np.array([0.9, 0.0, (top + bottom) / 2])
    distance, pitch = chance.uniform(*DISTANCE_M), np.deg2rad(chance.uniform(*PITCH_DEG))
    azimuth = np.deg2rad(chance.uniform(-150, -30))
    way = np.array([np.cos(azimuth) * np.cos(pitch), np.sin(azimuth) * np.cos(pitch), np.sin(pitch)])
    focal = chance.uniform(0.7, 0.95) * SIZE_PX[1] * distance / (top - bottom)
    return looking(middle + distance * way, middle, focal, SIZE_PX, chance.normal(0, 0.02))


def _boxes(camera: Camera, joints_world_m: Array) -> Array:
    centre, size = geo.keypoint_box(camera.project(camera.to_cam(joints_world_m)))
    return np.concatenate([centre - size / 2, centre + size / 2], -1)


def _hidden(chance: np.random.Generator, times_s: Array, events_s: dict[str, float]) -> Array:
    start = chance.uniform(events_s["take_off"] + CALM_S, events_s["splash"] - HIDDEN_S - CALM_S)
    return np.asarray((times_s >= start) & (times_s < start + HIDDEN_S))


def _behind(boxes_img_px: Array, whole_img_px: Array) -> Array:
    """Who (F, P) of others' boxes (F, P, 4) is hidden together with the diver: whose middle is behind what hides it,
    which is as large as the way of the diver meanwhile and half a body more on each side."""
    more = (whole_img_px[:, 2:] - whole_img_px[:, :2]).max() / 2
    low, high = whole_img_px[:, :2].min(0) - more, whole_img_px[:, 2:].max(0) + more
    middle = (boxes_img_px[..., :2] + boxes_img_px[..., 2:]) / 2
    return np.asarray(((middle > low) & (middle < high)).all(-1))


def _next_diver(chance: np.random.Generator, times_s: Array) -> tuple[Array, float]:
    """Feet (F, 3) of somebody who waits behind on the board and comes a step nearer now and then; stature."""
    steps = np.cumsum(chance.random(len(times_s)) < 0.5 / RATE_HZ) * 0.25
    sway = 0.02 * np.sin(2 * np.pi * (0.4 * times_s + chance.random()))
    x = np.minimum(chance.uniform(-4, -2.2) + steps, -1.5) + sway
    return np.stack([x, 0 * x + chance.normal(0, 0.2), 0 * x], -1), float(chance.uniform(*STATURE_M))


def _coach(chance: np.random.Generator, times_s: Array, height_m: float) -> tuple[Array, float]:
    """Somebody beside the pool who shifts from foot to foot."""
    x = chance.uniform(-3, 6) + 0.08 * np.sin(2 * np.pi * (0.3 * times_s + chance.random()))
    place = np.stack([x, 0 * x + chance.uniform(*BESIDE_M), 0 * x + DECK_M - height_m], -1)
    return place, float(chance.uniform(*STATURE_M))


def _walker(chance: np.random.Generator, times_s: Array, height_m: float) -> tuple[Array, float]:
    """Somebody who walks beside the pool, up and down a little at each step."""
    speed = chance.choice([-1.0, 1.0]) * chance.uniform(0.8, 1.8)
    x = chance.uniform(-8, 8) + speed * times_s
    bob = 0.03 * np.abs(np.sin(2 * np.pi * (0.9 * times_s + chance.random())))
    return np.stack([x, 0 * x + chance.uniform(*BESIDE_M), bob + DECK_M - height_m], -1), float(
        chance.uniform(*STATURE_M)
    )


def _standing(camera: Camera, feet_world_m: Array, stature_m: float) -> Array:
    """Boxes (F, 4) of somebody upright."""
    corners = np.array([[x, y, z] for x in (-0.25, 0.25) for y in (-0.25, 0.25) for z in (0.0, stature_m)])
    return _boxes(camera, feet_world_m[:, None] + corners)


def track_scenes(count: int, seed: int, gravity: bool = True) -> TrackFigures:
    """The figures of `count` scenes drawn by `seed`; without `gravity` the tracker knows nothing of flight.

    Raises TrainingError when the tracker does not run.
    """
    chance = np.random.default_rng(seed)
    scenes = [scene(chance) for _ in range(count)]
    boxes, subject = _tracked(scenes, seed, gravity)
    return figures([_measured(one, boxes[k], subject[k]) for k, one in enumerate(scenes)])


def _tracked(scenes: list[Scene], seed: int, gravity: bool) -> tuple[Array, Array]:
    """Boxes (S, F, 4) that the tracker tells, and of which subject (S, F)."""
    frames, people = (max(one.boxes_img_px.shape[axis] for one in scenes) for axis in (0, 1))
    told = np.full((len(scenes), frames, people, 4), np.nan)
    for number, one in enumerate(scenes):
        told[number, : one.boxes_img_px.shape[0], : one.boxes_img_px.shape[1]] = one.boxes_img_px
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "scenes.npz", Path(folder) / "tracks.npz"
        np.savez(
            before, boxes_img_px=told, frames=[len(one.flying) for one in scenes], size_px=SIZE_PX, rate_hz=RATE_HZ,
            noise_px=[one.noise_px for one in scenes], seed=seed,
        )  # fmt: skip
        command = [sys.executable, "-m", "pipeline.rehearsal", str(before), str(after)]
        command += ["--sport", "dive" if gravity else "ground"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            raise TrainingError(f"pipeline.rehearsal ended with {done.returncode}: {last[-1]}")
        with np.load(after, allow_pickle=False) as found:
            return found["boxes_img_px"], found["subject"]


@dataclass(frozen=True)
class _Measured:
    """One scene: per frame of the flight the overlap with the diver, whether the diver was hidden, and whether another
    was told."""

    overlap: Array
    hidden: Array
    other: Array


def _measured(one: Scene, boxes_img_px: Array, subject: Array) -> _Measured:
    rows = one.flying & np.isfinite(one.whole_img_px[:, 0])
    told = boxes_img_px[: len(rows)][rows]
    overlap = _iou(told, one.whole_img_px[rows])
    others = np.stack([_iou(told, one.boxes_img_px[rows, k]) for k in range(1, one.boxes_img_px.shape[1])]).max(0)
    overlap[overlap < others] = 0.0  # somebody else's box, whom the diver passes
    return _Measured(overlap, one.hidden[rows], (others > ON) & (overlap < OFF) & (subject[: len(rows)][rows] > 0))


def _iou(one: Array, other: Array) -> Array:
    """Overlap (F,) of boxes (F, 4); 0 where one is NaN."""
    low, high = np.fmax(one[:, :2], other[:, :2]), np.fmin(one[:, 2:], other[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), -1)
    areas = np.prod(one[:, 2:] - one[:, :2], -1) + np.prod(other[:, 2:] - other[:, :2], -1)
    return np.nan_to_num(shared / (areas - shared))


def figures(measured: list[_Measured]) -> TrackFigures:
    """Figures over all scenes."""
    switches = sum(_switches(one) for one in measured)
    recoveries = [recovery for one in measured if (recovery := _recovery(one)) is not None]
    seen = np.concatenate([one.overlap[~one.hidden] for one in measured])
    unseen = np.concatenate([one.overlap[one.hidden] for one in measured])
    locks = [int(np.argmax(on)) if (on := one.overlap >= ON).any() else len(on) for one in measured]
    return TrackFigures(
        len(measured), switches, len(recoveries), float(np.mean(recoveries)) if recoveries else 0.0,
        float((seen < OFF).mean()), float(np.mean(locks)) / RATE_HZ, float(seen.mean()), float(unseen.mean()),
    )  # fmt: skip


def _switches(one: _Measured) -> int:
    """How often the box went from the diver to somebody else."""
    told, count = False, 0
    for on, other in zip(_steadily(one.overlap >= ON), one.other & ~_until_told(one.hidden), strict=True):
        count += bool(told and other)
        told = bool(on) or (told and not other)
    return count


def _steadily(on: Array) -> Array:
    """Whether (F,) the diver was told in so many frames to this one that it is not by chance, in passing."""
    return np.asarray(np.convolve(on, np.ones(STEADY_FRAMES))[: len(on)] >= STEADY_FRAMES)


def _until_told(hidden: Array) -> Array:
    """While the diver is hidden, and for as long afterwards as a recovery may take."""
    return np.asarray(np.convolve(hidden, np.ones(RECOVERY_FRAMES + 1))[: len(hidden)] > 0)


def _recovery(one: _Measured) -> bool | None:
    """Whether the diver was told soon after it was hidden; None if it was not told before."""
    rows = np.flatnonzero(one.hidden)
    if not len(rows) or not _steadily(one.overlap >= ON)[max(0, rows[0] - 3) : rows[0]].any():
        return None
    return bool((one.overlap[rows[-1] + 1 : rows[-1] + 1 + RECOVERY_FRAMES] >= ON).any())
