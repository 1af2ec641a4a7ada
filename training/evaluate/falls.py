"""Dives from noisy joints: simulated, seen by a camera, told by the same code that tells them live.

No picture and no network: each frame has 17 joints with 3 cm of noise about the pelvis and 3 px in the picture. What is
measured is the physics alone: placing, ends of the flight, turning, posture, number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.venue import Board
from flight.analysis import Told, told_of
from flight.motion import Motion
from flight.placing import Placing
from flight.standpoint import Standpoint
from training.synth import dive, report, shots
from training.synth.poses import joints_of

Array = NDArray[Any]

NOISE_M: Final = 0.03
NOISE_PX: Final = 3.0
SIZE_PX: Final = (1920, 1080)
RATE_HZ: Final = 50.0
BOARD_WIDTH_M: Final = 2.0


@dataclass(frozen=True)
class Sighted:
    """A simulated dive as a camera sees it, exactly: `joints_cam_m` (T, 17, 3), `joints_img_px` (T, 17, 2)."""

    truth: dive.Dive
    told: dict[str, Any]
    standpoint: Standpoint
    joints_cam_m: Array
    joints_img_px: Array
    visible: Array  # (T,) above the water and in the picture


def board_of(plan: dive.Plan) -> Board:
    """The board of a plan."""
    kind = "springboard" if plan.height_m <= 3 else "platform"
    return Board(kind, plan.height_m, BOARD_WIDTH_M, dive.BOARD_LENGTH_M)


def sighted(seed: int) -> Sighted:
    """A dive that anybody could make, by the seed, before a resting camera anywhere beside the pool."""
    rng = np.random.default_rng([91, seed])
    while True:
        try:
            dived = dive.simulate(dive.random_plan(rng), joints_of, RATE_HZ, thorough=False)
            break
        except dive.DiveError:
            continue
    stand = str(rng.choice(shots.STANDS[:-1]))
    height = dived.plan.height_m
    view = shots.framing(shots.position(rng, stand, height), dived.joints_world_m.reshape(-1, 3), SIZE_PX, share=0.88)
    camera = Camera(*SIZE_PX, float(view.matrix_px[0, 0]), (float(view.matrix_px[0, 2]), float(view.matrix_px[1, 2])))
    joints_cam_m = view.to_cam(dived.joints_world_m)
    visible = np.array([phase not in ("under",) for phase in dived.phase])
    where = Standpoint(camera, view.world_from_cam, "metric", board_of(dived.plan))
    return Sighted(dived, report.of(dived), where, joints_cam_m, camera.project(joints_cam_m), visible)


@dataclass(frozen=True)
class Outcome:
    """What was told of a dive, where its poses were put, and the truth."""

    sighted: Sighted
    told: Told | None
    joints_world_m: Array  # (T, 17, 3), NaN where nothing was placed
    fall_depth: float  # relative error of the fall's depth, NaN where none was found
    inside: float  # share of frames in flight whose 95 % interval of the depth holds the truth


def told_from_joints(seen: Sighted, seed: int, noise_m: float = NOISE_M, noise_px: float = NOISE_PX) -> Outcome:
    """Place every frame as a live run does, the whole fall at the end, and tell the dive."""
    rng = np.random.default_rng([92, seed])
    poses = seen.joints_cam_m - seen.joints_cam_m[:, :1] + rng.normal(0, noise_m, seen.joints_cam_m.shape)
    poses -= poses[:, :1]
    pixels = seen.joints_img_px + rng.normal(0, noise_px, seen.joints_img_px.shape)
    t_s, sure = seen.truth.t_s, np.ones(17)
    placing = Placing(seen.standpoint)
    roots = [placing.root(pose, pixel, sure) for pose, pixel in zip(poses, pixels, strict=True)]
    for k in range(len(t_s)):
        placing.observe(k, float(t_s[k]), poses[k] if seen.visible[k] else None, roots[k] if seen.visible[k] else None)
    flown = placing.settle()
    placed = np.full(poses.shape, np.nan)
    for k in np.flatnonzero(seen.visible):
        found = placing.place(float(t_s[k]), poses[k], roots[k])
        if found is not None:
            placed[k] = found.joints_world_m
    if flown is None:
        return Outcome(seen, None, placed, np.nan, np.nan)
    motion = Motion(t_s, placed, np.full(placed.shape[:2], noise_m))
    doubt = flown.fall.depth_sd
    told = told_of(motion, np.arange(len(t_s)), flown.off, flown.entry, seen.standpoint, doubt)
    return Outcome(seen, told, placed, *_depth(seen, flown))


def _depth(seen: Sighted, flown: Any) -> tuple[float, float]:
    t_s, events = seen.truth.t_s, seen.truth.events_s
    flying = (t_s >= events["take_off"]) & (t_s <= events["entry"])
    inverse = np.linalg.inv(seen.standpoint.world_from_cam)
    centre = seen.truth.centre_world_m[flying] @ inverse[:3, :3].T + inverse[:3, 3]
    places, spread = flown.fall.at(t_s[flying]), flown.fall.covariance_at(t_s[flying])
    off = places[:, 2] - centre[:, 2]
    inside = np.abs(off) <= 1.96 * np.sqrt(spread[:, 2, 2])
    return float(np.mean(off / centre[:, 2])), float(inside.mean())


def outcomes(count: int, first_seed: int = 0) -> Iterator[Outcome]:
    """Outcomes of dives of so many seeds."""
    for seed in range(first_seed, first_seed + count):
        yield told_from_joints(sighted(seed), seed)
