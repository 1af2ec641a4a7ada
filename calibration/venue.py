"""A camera as it stands at a venue, and the board it looks at; numbers that cannot be true are refused with the reason.

Where an error names a key, it is that of the camera file (calibration/store.py).
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.camera import Camera
from calibration.distortion import Model
from calibration.errors import CalibrationError

Floats = NDArray[np.float64]

_SHORTEST_FOCAL: Final[dict[Model, float]] = {"h36m": 0.2, "opencv": 0.2, "fisheye": 0.1}
"""Focal length over the longer side of the picture: 0.2 sees 136 degrees without distortion, 0.1 all round."""
_LONGEST_FOCAL: Final = 300.0
"""A broadcast box lens of 800 mm with its doubler in, on a sensor 9.6 mm wide, has 170."""
_CENTRE_OUTSIDE: Final = 0.5
"""How far the optical axis may lie outside, in pictures: a stream may be cut from a larger sensor."""
_WRITTEN_BY_HAND: Final = 1e-3
"""What rounding by a person may do to a unit vector or a rotation."""
_HEIGHT_M: Final = (0.0, 30.0)
_SIDE_M: Final = (0.1, 20.0)


@dataclass(frozen=True, slots=True)
class Board:
    """What divers leave: a springboard or a platform, metres. The middle of its front edge is the world's origin.

    x of the world points along the board over the water, y to its left, z up. Raises CalibrationError.
    """

    kind: Literal["springboard", "platform"]
    height_m: float
    width_m: float
    length_m: float

    def __post_init__(self) -> None:
        if self.kind not in ("springboard", "platform"):
            raise CalibrationError(f"board.kind: expected springboard or platform; got {self.kind!r}")
        for name, value, (low, high) in (
            ("height_m", self.height_m, _HEIGHT_M),
            ("width_m", self.width_m, _SIDE_M),
            ("length_m", self.length_m, _SIDE_M),
        ):
            if not low <= value <= high:
                raise CalibrationError(f"board.{name}: expected {low:g} to {high:g} metres; got {value}")

    @property
    def water_z_m(self) -> float:
        """z of the water's surface in the world."""
        return -self.height_m


@dataclass(frozen=True, slots=True)
class Calibration:
    """A camera as it stands at a venue.

    `world_from_cam` (4, 4) takes points in camera axes to the world, metres; None: not placed. `gravity_cam` is the
    direction of the fall, a unit vector (3,) in camera axes; it follows from `world_from_cam` where that is known.
    `reprojection_px` is the root mean square distance of what was seen from what the camera predicts, `focal_sd_px`
    the standard deviation of the focal length; None: not known. `source` says in one line how it was made. Raises
    CalibrationError when the numbers cannot be true.
    """

    camera: Camera
    world_from_cam: Floats | None = None
    gravity_cam: Floats | None = None
    board: Board | None = None
    reprojection_px: float | None = None
    focal_sd_px: float | None = None
    source: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        _refuse_no_lens(self.camera)
        for key, value in (("reprojection_px", self.reprojection_px), ("focal_sd_px", self.focal_sd_px)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise CalibrationError(f"quality.{key}: expected a number of pixels, 0 or more; got {value}")
        if self.world_from_cam is not None:
            object.__setattr__(self, "world_from_cam", _rigid(self.world_from_cam))
        if self.gravity_cam is not None:
            object.__setattr__(self, "gravity_cam", _unit(self.gravity_cam))
        if self.world_from_cam is not None:
            self._take_gravity_from(self.world_from_cam)

    def _take_gravity_from(self, world_from_cam: Floats) -> None:
        down = _frozen(-world_from_cam[2, :3])
        if self.gravity_cam is not None and np.abs(down - self.gravity_cam).max() > 2 * _WRITTEN_BY_HAND:
            raise CalibrationError(
                f"place.gravity_cam: {_row(self.gravity_cam)} contradicts world_from_cam, whose third row says "
                f"{_row(down)}; remove gravity_cam"
            )
        object.__setattr__(self, "gravity_cam", down)


def _refuse_no_lens(camera: Camera) -> None:
    longer = max(camera.width, camera.height)
    low, high = _SHORTEST_FOCAL[camera.model] * longer, _LONGEST_FOCAL * longer
    if not low <= camera.focal_px <= high:
        raise CalibrationError(
            f"camera.focal_px: {camera.focal_px:g} pixels is no lens for a picture of {camera.width} x "
            f"{camera.height}; expected {low:.0f} to {high:.0f}"
        )
    if not 0.5 <= camera.pixel_aspect <= 2.0:
        raise CalibrationError(f"camera.pixel_aspect: expected 0.5 to 2, mostly 1; got {camera.pixel_aspect:g}")
    for axis, value, side in zip("uv", camera.centre_px, (camera.width, camera.height), strict=True):
        if not -_CENTRE_OUTSIDE * side <= value <= (1 + _CENTRE_OUTSIDE) * side:
            raise CalibrationError(
                f"camera.centre_px: {axis} = {value:g} lies far outside the picture of {camera.width} x "
                f"{camera.height}; expected near {(side - 1) / 2:g}"
            )


def _rigid(matrix: ArrayLike) -> Floats:
    pose = np.asarray(matrix, dtype=np.float64)
    if pose.shape != (4, 4) or not np.isfinite(pose).all() or not np.array_equal(pose[3], [0, 0, 0, 1]):
        raise CalibrationError("place.world_from_cam: expected 4 rows of 4 finite numbers, the last 0, 0, 0, 1")
    rotation = pose[:3, :3]
    skewed = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if skewed > _WRITTEN_BY_HAND:
        raise CalibrationError(
            f"place.world_from_cam: its rotation is not orthonormal (off by {skewed:.2g}); expected three unit "
            "vectors at right angles"
        )
    if np.linalg.det(rotation) < 0:
        raise CalibrationError("place.world_from_cam: its rotation mirrors the world; expected a determinant of 1")
    return _frozen(pose)


def _unit(vector: ArrayLike) -> Floats:
    direction = np.asarray(vector, dtype=np.float64)
    length = float(np.linalg.norm(direction)) if direction.shape == (3,) else math.nan
    if not abs(length - 1) <= _WRITTEN_BY_HAND:
        raise CalibrationError(f"place.gravity_cam: expected a unit vector of 3; got {direction.tolist()}")
    return _frozen(direction / length)


def _frozen(array: Floats) -> Floats:
    array = array.copy()
    array.flags.writeable = False
    return array


def _row(vector: Floats) -> str:
    return f"({', '.join(f'{value:.3f}' for value in vector)})"
