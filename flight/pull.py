"""How gravity looks in the picture: where to and how fast a falling body is drawn, whether it can be in water yet.

Without calibration it acts straight down the picture, and how large a metre is has to be seen from the body. With its
direction known it acts along the projected vertical. With the camera placed in the world, a body is taken to be above
the line on which dives go down, some way before the middle of the board's front edge: that gives its depth.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from calibration.camera import Camera
from calibration.venue import Calibration

GRAVITY_M_S2: Final = 9.81
BEFORE_BOARD_M: Final = 0.9
"""Where dives go down: between the board's edge and the usual entry. At 15 m to the side a metre is 7 % of depth."""
HEAD_M: Final = 1.5
"""The middle of a body is no higher above the water when the first of it is in."""

Point = tuple[float, float]
Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Line:
    """The vertical line of the dives in camera axes: a point of it at the height of the board, its direction up, and
    the water's height; metres."""

    point: Vector
    up: Vector
    water_z_m: float | None


class Pull:
    """Gravity in pictures of one camera. All places are in pixels of `img`."""

    def __init__(self, camera: Camera | None = None, calibration: Calibration | None = None) -> None:
        """`camera` is that of the calibration, scaled to the pictures; without either gravity acts straight down."""
        self._camera = camera
        self._down: Vector = (0.0, 1.0, 0.0)
        self._line: _Line | None = None
        if calibration is not None and calibration.gravity_cam is not None:
            self._down = _vector(calibration.gravity_cam)
        if calibration is not None and calibration.world_from_cam is not None:
            turn, centre = calibration.world_from_cam[:3, :3], calibration.world_from_cam[:3, 3]
            point = (np.array([BEFORE_BOARD_M, 0.0, 0.0]) - centre) @ turn
            water = None if calibration.board is None else calibration.board.water_z_m
            self._line = _Line(_vector(point), _vector(turn[2]), water)

    def metre_px(self, place_px: Point) -> float | None:
        """Pixels of a metre at a body in this place; None where the camera does not stand in a known world."""
        if self._camera is None or self._line is None:
            return None
        _, depth = self._on_line(self._line, place_px)
        return self._camera.focal_px / depth if depth > 0 else None

    def pull_px_s2(self, place_px: Point, metre_px: float) -> Point:
        """Acceleration in the picture of what falls freely in this place, where a metre has `metre_px` pixels.

        The derivative of the projection times gravity; what a body's own speed towards the camera adds is left out.
        """
        x, y, z = self._down
        a, b = (0.0, 0.0) if self._camera is None else _normalised(self._camera, place_px)
        aspect = 1.0 if self._camera is None else self._camera.pixel_aspect
        size = GRAVITY_M_S2 * metre_px
        return size * (x - a * z), size * (y - b * z) * aspect

    def may_enter(self, place_px: Point) -> bool:
        """Whether a body in this place may have met the water; unknown counts as yes."""
        if self._line is None or self._line.water_z_m is None:
            return True
        height, depth = self._on_line(self._line, place_px)
        return depth <= 0 or height - self._line.water_z_m < HEAD_M

    def _on_line(self, line: _Line, place_px: Point) -> tuple[float, float]:
        """Height z in the world and depth of the point of the line that is nearest to a pixel's ray, metres."""
        assert self._camera is not None
        a, b = _normalised(self._camera, place_px)
        (p_x, p_y, p_z), (d_x, d_y, d_z) = line.point, line.up
        length2 = a * a + b * b + 1
        # Without its part along the ray, the way from the ray to the line's point must be least.
        along_p, along_d = (a * p_x + b * p_y + p_z) / length2, (a * d_x + b * d_y + d_z) / length2
        p = (p_x - along_p * a, p_y - along_p * b, p_z - along_p)
        d = (d_x - along_d * a, d_y - along_d * b, d_z - along_d)
        steep = d[0] ** 2 + d[1] ** 2 + d[2] ** 2
        if steep < 1e-6:  # the ray runs along the line
            return 0.0, 0.0
        height = -(p[0] * d[0] + p[1] * d[1] + p[2] * d[2]) / steep
        return height, p_z + height * d_z


def _normalised(camera: Camera, place_px: Point) -> Point:
    """On the plane Z = 1. Distortion is left out: it turns gravity by less than people's boxes are uncertain."""
    (u, v), (c_u, c_v) = place_px, camera.centre_px
    return (u - c_u) / camera.focal_px, (v - c_v) / (camera.focal_px * camera.pixel_aspect)


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    if not math.isfinite(x + y + z):
        raise ValueError(f"expected three finite numbers; got {values}")
    return x, y, z
