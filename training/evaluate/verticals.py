"""Gravity's direction from flights alone: dives of one resting camera, simulated, seen through noisy joints.

What is measured is the whole of `posecast calibrate gravity` but the files: flights are found, the centre of gravity is
taken from the joints, the vertical they share is fitted. The middle of the joints' box in its place is the negative
control: it swings with the body, and draws the vertical away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from flight.centres import Centres, Recording, centres_of
from flight.fall import fitted_vertical
from flight.verticals import plumbed
from training.evaluate.falls import NOISE_M, NOISE_PX, RATE_HZ, SIZE_PX
from training.synth import dive, shots
from training.synth.poses import joints_of

Array = NDArray[Any]
Point = Literal["centre of gravity", "box"]


def dives_of(seeds: Sequence[int], height_m: float) -> list[dive.Dive]:
    """Dives from one height that anybody could make, one a seed."""
    return [_dive(np.random.default_rng([93, seed]), height_m) for seed in seeds]


def _dive(rng: np.random.Generator, height_m: float) -> dive.Dive:
    while True:
        try:
            plan = dive.random_plan(rng)
            if plan.height_m == height_m:
                return dive.simulate(plan, joints_of, RATE_HZ, thorough=False)
        except dive.DiveError:
            continue


def recorded(
    dives: Sequence[dive.Dive], seed: int, noise_px: float = NOISE_PX, noise_m: float = NOISE_M
) -> tuple[list[Recording], Camera, Array]:
    """What a resting camera, somewhere beside the pool by the seed, has seen of these dives, and the true vertical."""
    rng = np.random.default_rng([94, seed])
    height_m = dives[0].plan.height_m
    points = np.concatenate([one.joints_world_m.reshape(-1, 3) for one in dives])
    stand = str(rng.choice(shots.STANDS[:-1]))
    view = shots.framing(shots.position(rng, stand, height_m), points, SIZE_PX)
    camera = Camera(*SIZE_PX, float(view.matrix_px[0, 0]), (float(view.matrix_px[0, 2]), float(view.matrix_px[1, 2])))
    recordings = []
    for k, one in enumerate(dives):
        joints = view.to_cam(one.joints_world_m)
        poses = joints - joints[:, :1] + rng.normal(0, noise_m, joints.shape)
        pixels = camera.project(joints) + rng.normal(0, noise_px, (*joints.shape[:2], 2))
        under = np.array([phase == "under" for phase in one.phase])
        poses[under], pixels[under] = np.nan, np.nan
        sure = np.where(under[:, None], 0.0, np.ones(joints.shape[:2]))
        recordings.append(Recording(f"dive {k}", one.t_s, poses - poses[:, :1], pixels, sure))
    return recordings, camera, np.asarray(-view.world_from_cam[2, :3])


def boxed(recording: Recording, camera: Camera) -> Centres:
    """The middle of the joints' box in place of the centre of gravity."""
    middle = (recording.joints_img_px.min(axis=1) + recording.joints_img_px.max(axis=1)) / 2
    return replace(centres_of(recording, camera), flat=camera.normalised(middle))


def gravity_error_deg(
    seeds: Sequence[int], height_m: float = 3.0, noise_px: float = NOISE_PX, point: Point = "centre of gravity"
) -> float:
    """Error of gravity's direction, degrees, self-calibrated from the dives of these seeds before one camera.

    For the middle of the box the flights are still those that the centre of gravity tells. NaN where nothing follows.
    """
    recordings, camera, true_down = recorded(dives_of(seeds, height_m), seeds[0], noise_px)
    plumb = plumbed(recordings, camera)
    if point == "centre of gravity":
        return _between_deg(plumb.down_cam, true_down)
    middles = [boxed(recording, camera) for recording in recordings]
    seen = [middles[flight.recording].between(flight.first_s, flight.last_s) for flight in plumb.flights]
    vertical = fitted_vertical(seen, tuple(plumb.down_cam))
    return np.nan if vertical is None else _between_deg(vertical.down_cam, true_down)


def _between_deg(one: Array, other: Array) -> float:
    return float(np.degrees(np.arccos(np.clip(one @ other, -1, 1))))
