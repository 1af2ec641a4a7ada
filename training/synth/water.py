"""Under water: the wet share of the mass is slowed by drag and carried, the rest falls on; turning dies out."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from flight import mass
from training.synth.flight import GRAVITY_M_S2
from training.synth.retarget import about

Array = npt.NDArray[Any]

DRAG_TIME_S: Final = 0.25
"""Time in which water takes the speed down to 1/e."""
TURN_TIME_S: Final = 0.08
"""The same for turning, wholly wet."""


def sink(
    body: mass.Points, joints: Array, velocity: Array, rate: Array, water_z_m: float, count: int, step_s: float
) -> tuple[Array, Array, Array]:
    """Places [T, 3] of the centre, turns [T, 3, 3] since the entry and joints [T, 17, 3] of a body that keeps its
    pose, from `joints` [17, 3] with `velocity` [3] and turning `rate` [3] rad/s (world axes).
    """
    place = body.centre(joints)
    relative = joints - place
    points = body.from_joints @ relative
    turn = np.eye(3)
    places, turns = np.empty((count, 3)), np.empty((count, 3, 3))
    for k in range(count):
        wet = float(body.masses @ (points @ turn[2] + place[2] < water_z_m))
        velocity = velocity - step_s * wet * velocity / DRAG_TIME_S
        velocity[2] -= step_s * (1 - wet) * GRAVITY_M_S2
        place = place + step_s * velocity
        rate = rate * (1 - step_s * (0.5 + wet / TURN_TIME_S))
        size = float(np.linalg.norm(rate))
        turn = about(rate / max(size, 1e-12), size * step_s) @ turn
        places[k], turns[k] = place, turn
    return places, turns, places[:, None] + relative @ np.swapaxes(turns, -1, -2)
