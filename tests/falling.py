"""Dives as a camera sees them, with noise: simulated once a run, for tests of placing and telling."""

from functools import cache

import numpy as np

from calibration.camera import Camera
from calibration.venue import Board
from flight.placing import Placing
from flight.standpoint import Standpoint
from training.synth import dive
from training.synth.camera import looking
from training.synth.poses import joints_of

SIZE_PX = (1920, 1080)
SURE = np.ones(17)


@cache
def dived(code, height_m, seed=None):
    return dive.Dive.from_code(code, height_m, joints_of, 50.0, seed)


def beside(height_m, away_m=15.0, up_m=0.0, board=True):
    """A camera beside the pool, square to the flight, `up_m` over the middle of the dive."""
    middle = np.array([0.8, 0.0, (2.5 - height_m) / 2])
    view = looking(middle + np.array([0.5, -away_m, up_m]), middle, 1080 * away_m / (height_m + 4.5), SIZE_PX)
    matrix = view.matrix_px
    camera = Camera(*SIZE_PX, float(matrix[0, 0]), (float(matrix[0, 2]), float(matrix[1, 2])))
    kind = "springboard" if height_m <= 3 else "platform"
    return Standpoint(camera, view.world_from_cam, "metric", Board(kind, height_m, 1.0, 4.8) if board else None)


def seen(dived, standpoint, noise_m=0.0, noise_px=0.0, seed=0):
    """Relative poses (T, 17, 3) in camera axes and joints (T, 17, 2) in the picture."""
    rng = np.random.default_rng(seed)
    inverse = np.linalg.inv(standpoint.world_from_cam)
    joints = dived.joints_world_m @ inverse[:3, :3].T + inverse[:3, 3]
    poses = joints - joints[:, :1] + rng.normal(0, noise_m, joints.shape)
    return poses - poses[:, :1], standpoint.camera.project(joints) + rng.normal(0, noise_px, (*joints.shape[:2], 2))


def observed(dived, standpoint, poses, pixels, until_s=np.inf, hidden=()):
    """A `Placing` that has seen every frame above the water up to a time, but for `hidden` ones."""
    placing = Placing(standpoint)
    for k, t in enumerate(dived.t_s):
        if t > until_s:
            break
        dry = dived.phase[k] != "under" and k not in hidden
        root = placing.root(poses[k], pixels[k], SURE) if dry else None
        placing.observe(k, float(t), poses[k] if dry else None, root)
    return placing
