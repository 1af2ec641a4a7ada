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
from flight.fall import GRAVITY_M_S2, Seen, fitted_fall, fitted_vertical
from flight.falls import Flown
from flight.motion import Motion
from flight.placing import Placing
from flight.standpoint import Standpoint
from training.errors import TrainingError
from training.evaluate.result import Row
from training.evaluate.told import NOMINAL_M
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
    height_rms_m: float  # of the centre of gravity by the fall, as at 15 m


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
        return Outcome(seen, None, placed, np.nan, np.nan, np.nan)
    motion = Motion(t_s, placed, np.full(placed.shape[:2], noise_m))
    doubt = flown.fall.depth_sd
    told = told_of(motion, np.arange(len(t_s)), flown.off, flown.entry, seen.standpoint, doubt)
    return Outcome(seen, told, placed, *_depth(seen, flown))


def _depth(seen: Sighted, flown: Flown) -> tuple[float, float, float]:
    t_s, events = seen.truth.t_s, seen.truth.events_s
    flying = (t_s >= events["take_off"]) & (t_s <= events["entry"])
    inverse = np.linalg.inv(seen.standpoint.world_from_cam)
    centre = seen.truth.centre_world_m[flying] @ inverse[:3, :3].T + inverse[:3, 3]
    places, spread = flown.fall.at(t_s[flying]), flown.fall.covariance_at(t_s[flying])
    off = places - centre
    inside = np.abs(off[:, 2]) <= 1.96 * np.sqrt(spread[:, 2, 2])
    height = float(np.sqrt(np.mean((off @ seen.standpoint.down_cam) ** 2)))
    nominal = NOMINAL_M / float(np.linalg.norm(centre, axis=1).mean())
    return float(np.mean(off[:, 2] / centre[:, 2])), float(inside.mean()), height * nominal


def outcomes(count: int, first_seed: int = 0) -> Iterator[Outcome]:
    """Outcomes of dives of so many seeds."""
    for seed in range(first_seed, first_seed + count):
        yield told_from_joints(sighted(seed), seed)


CASES_TITLE: Final = "Depth of a fall alone, by the camera"
CASES: Final[dict[str, dict[str, float]]] = {
    "10 m dive, 15 m away": {},
    "3 m board": {"flight_s": 1.36, "up_m_s": 4.6},
    "10 px of noise": {"noise_px": 10.0},
    "120 frames a second": {"rate_hz": 120.0},
    "30 m away, twice the focal length": {"distance_m": 30.0, "focal_px": 3000.0},
    "camera looks 20 degrees down": {"pitch_deg": 20.0},
    "moving away with 2 m/s": {"away_m_s": 2.0},
    "middle of the box instead: 15 px at 2.5 Hz": {"swing_px": 15.0},
}
"""What differs from the first. The last is a control: not the centre of gravity but what turns about it."""
TRIALS: Final = 200


def camera_cases(trials: int = TRIALS) -> dict[str, Row]:
    """Errors of falls fitted alone, gravity's direction given and not, for every case."""
    return {name: _case(np.random.default_rng(93), trials, **changed) for name, changed in CASES.items()}


def _case(rng: np.random.Generator, trials: int, **changed: float) -> Row:
    depth, height, inside, free, astray = [], [], [], [], []
    for _ in range(trials):
        seen, places, down = falling_point(rng, **changed)
        fall, vertical = fitted_fall(seen, down), fitted_vertical([seen])
        if fall is None or vertical is None:
            raise TrainingError("a simulated fall was not fitted: its noise hides it")
        found = fall.at(seen.t_s)
        depth.append(float(np.mean(found[:, 2] / places[:, 2])) - 1)
        height.append(float(np.sqrt(np.mean(((found - places) @ down) ** 2))))
        inside.append(abs(found[0, 2] - places[0, 2]) <= 1.96 * np.sqrt(fall.covariance[2, 2]))
        free.append(float(np.mean(vertical.falls[0].at(seen.t_s)[:, 2] / places[:, 2])) - 1)
        astray.append(float(np.degrees(np.arccos(np.clip(vertical.down_cam @ down, -1, 1)))))
    return {
        "depth bias %": 100 * float(np.mean(depth)),
        "depth sd %": 100 * float(np.std(depth)),
        "height rms, cm": 100 * float(np.sqrt(np.mean(np.square(height)))),
        "coverage of 95 % intervals, %": 100 * float(np.mean(inside)),
        "vertical unknown: its error, degrees": float(np.median(astray)),
        "vertical unknown: depth, median %": 100 * float(np.median(free)),
    }


def falling_point(
    rng: np.random.Generator,
    focal_px: float = 1500.0,
    distance_m: float = 15.0,
    rate_hz: float = 50.0,
    noise_px: float = NOISE_PX,
    flight_s: float = 1.76,
    up_m_s: float = 2.4,
    out_m_s: float = 1.2,
    yaw_deg: float = 20.0,
    pitch_deg: float = 5.0,
    away_m_s: float = 0.0,
    swing_px: float = 0.0,
) -> tuple[Seen, Array, Array]:
    """A point that falls before a camera: what is seen of it, its places (N, 3) and down (3,) in camera axes."""
    t = np.arange(0, flight_s, 1 / rate_hz)
    yaw, pitch = np.radians(yaw_deg), np.radians(pitch_deg)
    velocity = np.array([out_m_s * np.cos(yaw), out_m_s * np.sin(yaw) + away_m_s, up_m_s])
    world = np.outer(t, velocity) - np.outer(t * t / 2, [0, 0, GRAVITY_M_S2])
    ahead, right = np.array([0, np.cos(pitch), -np.sin(pitch)]), np.array([1.0, 0, 0])
    cam_from_world = np.stack([right, np.cross(ahead, right), ahead])
    places = (world - world.mean(axis=0)) @ cam_from_world.T + [0, 0, distance_m]
    pixels = focal_px * places[:, :2] / places[:, 2:] + rng.normal(0, noise_px, (len(t), 2))
    pixels[:, 1] += swing_px * np.sin(2 * np.pi * 2.5 * t + rng.uniform(0, 2 * np.pi))
    return Seen(t, pixels / focal_px, np.full(len(t), noise_px / focal_px)), places, cam_from_world @ [0, 0, -1.0]
