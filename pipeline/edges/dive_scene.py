"""What the views of a flight draw: poses, the way of the centre of gravity, board and water."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import JOINT_NAMES
from flight.report import Curves
from pipeline.edges.dive_moments import Moment

Floats = NDArray[np.float64]

_ROOM_M: Final = 0.35
_BOARD_SEEN_M: Final = 1.1
"""How much of the board is drawn behind its edge."""
_UNDER_M: Final = 0.9
"""How much of the water is drawn."""
_LEAST_REACH_M: Final = 0.9
"""How far a view goes sideways of the board's middle at least."""
HEAD: Final = JOINT_NAMES.index("head")
NOSE: Final = JOINT_NAMES.index("nose")


@dataclass(frozen=True, slots=True)
class Scene:
    """What both views draw, world metres: out along the flight, to its left, up from the board or where feet left."""

    joints_m: Floats
    """(T, 17, 3)"""
    centre_m: Floats
    """(T, 3) as measured, and by the fitted fall."""
    fall_m: Floats
    flying: NDArray[np.bool_]
    """(T,)"""
    moments: Sequence[Moment]
    start_s: float
    head_m: float
    """Distance of the head's two joints, the same in all poses."""
    board_height_m: float | None
    water_m: float | None
    """Height of the water, if there is one."""

    @classmethod
    def of(
        cls, curves: Curves, moments: Sequence[Moment], start_s: float, board_height_m: float | None, has_water: bool
    ) -> Self:
        """The scene of curves; the water is where the board's height says, else where the last moment's pose ends."""
        joints, centre, fall = curves.joints_world_m, curves.centre_world_m, curves.fall_world_m
        water = None if board_height_m is None else -board_height_m
        if has_water and water is None and moments:
            low = float(joints[moments[-1].row, :, 2].min())
            water = low if math.isfinite(low) else None
        heads = np.linalg.norm(joints[:, HEAD] - joints[:, NOSE], axis=-1)
        heads = heads[np.isfinite(heads)]
        head = float(np.median(heads)) if len(heads) else 0.0
        return cls(joints, centre, fall, curves.flying, moments, start_s, head, board_height_m, water)

    def bounds(self) -> tuple[Floats, Floats] | None:
        """Lowest and highest corner (3,) of what is drawn; None if nothing is."""
        poses = self.joints_m[[moment.row for moment in self.moments]].reshape(-1, 3)
        points = np.concatenate([poses, self.centre_m[self.flying], self.fall_m[self.flying]])
        points = points[np.isfinite(points).all(axis=1)]
        if not len(points):
            return None
        low, high = points.min(axis=0) - _ROOM_M, points.max(axis=0) + _ROOM_M
        if self.board_height_m is not None:
            low[0] = min(low[0], -_BOARD_SEEN_M)
        if self.water_m is not None:
            low[2] = self.water_m - _UNDER_M
        reach = max(abs(low[1]), abs(high[1]), _LEAST_REACH_M)
        low[1], high[1] = (-reach, reach) if self.board_height_m is not None else (low[1], high[1])
        return low, high
