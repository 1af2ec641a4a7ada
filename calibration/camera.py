"""A camera: where a point in front of it falls on the picture, and back.

Pixels have their centre at whole numbers. Camera axes are x right, y down, z forward, metres.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.distortion import COEFFICIENTS, Model, bends, distorted, turning_angle, undistorted
from calibration.errors import CameraError

__all__ = ["Camera", "CameraError", "Model"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Camera:
    """Pinhole or fisheye with distortion.

    `width`, `height` in pixels; `focal_px` along u, `pixel_aspect` times that along v; `centre_px` u, v of
    the optical axis. `model` says what `distortion` means, with (a, b) = (X/Z, Y/Z) and r2 = a^2 + b^2:

    - `h36m`: k1, k2, k3, p1, p2; (a', b') = (a, b) (1 + k1 r2 + k2 r2^2 + k3 r2^3 + p1 a + p2 b) + (p1, p2) r2. As in
      Human3.6M's cameras (a, b) is clamped to -1..1 where it enters the factors, so they stay bounded far outside.
    - `opencv`: up to k1, k2, p1, p2, k3; (a', b') = (a, b) (1 + k1 r2 + k2 r2^2 + k3 r2^3)
      + (2 p1 a b + p2 (r2 + 2 a^2), p1 (r2 + 2 b^2) + 2 p2 a b).
    - `fisheye`: up to k1, k2, k3, k4; with the angle t from the optical axis, (a', b') is (a, b) scaled to the length
      t (1 + k1 t^2 + k2 t^4 + k3 t^6 + k4 t^8).

    Raises CameraError when the numbers are no camera, or the distortion folds the picture over itself.
    """

    width: int
    height: int
    focal_px: float
    centre_px: tuple[float, float]
    distortion: tuple[float, ...] = ()
    pixel_aspect: float = 1.0
    model: Model = "h36m"

    def __post_init__(self) -> None:
        if self.model not in COEFFICIENTS:
            raise CameraError(f"expected a distortion model of {', '.join(COEFFICIENTS)}; got {self.model!r}")
        count, given = len(COEFFICIENTS[self.model]), len(self.distortion)
        numbers = (self.focal_px, self.pixel_aspect, *self.centre_px, *self.distortion)
        fits = given in (0, count) if self.model == "h36m" else given <= count
        if len(self.centre_px) != 2 or not fits or not all(map(math.isfinite, numbers)):
            raise CameraError(f"expected a centre of 2 and a distortion of {count} finite numbers; got {self}")
        if self.width < 1 or self.height < 1 or self.focal_px <= 0 or self.pixel_aspect <= 0:
            raise CameraError(f"expected width, height, focal length and aspect above 0; got {self}")
        object.__setattr__(self, "distortion", tuple(self.distortion) + (0.0,) * (count - given))
        if any(self.distortion):
            self._refuse_folds()

    @classmethod
    def guessed(cls, width: int, height: int, vertical_fov_deg: float) -> "Camera":
        """An undistorted camera whose picture spans `vertical_fov_deg` from top to bottom."""
        if not 0 < vertical_fov_deg < 180:
            raise CameraError(f"expected a field of view between 0 and 180 degrees; got {vertical_fov_deg}")
        focal = height / 2 / math.tan(math.radians(vertical_fov_deg) / 2)
        return cls(width, height, focal, ((width - 1) / 2, (height - 1) / 2))

    @property
    def intrinsics(self) -> Floats:
        """K (3, 3): pixels from normalised points."""
        (c_x, c_y), f = self.centre_px, self.focal_px
        return np.array([[f, 0.0, c_x], [0.0, f * self.pixel_aspect, c_y], [0.0, 0.0, 1.0]])

    def project(self, points_cam_m: ArrayLike) -> Floats:
        """Pixels (..., 2) of points (..., 3) in camera axes; NaN for what is not in front of the camera."""
        points = np.asarray(points_cam_m, dtype=np.float64)
        depth = np.where(points[..., 2:] > 0, points[..., 2:], np.nan)
        return self._pixels(distorted(points[..., :2] / depth, self.model, self.distortion))

    def normalised(self, points_img_px: ArrayLike) -> Floats:
        """Undistorted points (..., 2) on the plane Z = 1 of pixels (..., 2); NaN where no ray ends there."""
        points = np.asarray(points_img_px, dtype=np.float64) - self.centre_px
        bent = points / (self.focal_px, self.focal_px * self.pixel_aspect)
        return undistorted(bent, self.model, self.distortion) if bends(self.model, self.distortion) else bent

    def unproject(self, points_img_px: ArrayLike, depth_m: ArrayLike = 1.0) -> Floats:
        """Points (..., 3) in camera axes at depth Z `depth_m` (...,) that project to the pixels (..., 2)."""
        flat = self.normalised(points_img_px)
        ray = np.concatenate([flat, np.ones_like(flat[..., :1])], axis=-1)
        return np.asarray(ray * np.asarray(depth_m, dtype=np.float64)[..., None])

    def _pixels(self, flat: Floats) -> Floats:
        return np.asarray(flat * (self.focal_px, self.focal_px * self.pixel_aspect) + self.centre_px)

    def _refuse_folds(self) -> None:
        u, v = np.meshgrid(np.linspace(-0.5, self.width - 0.5, 9), np.linspace(-0.5, self.height - 0.5, 9))
        border = np.stack([u, v], axis=-1)
        flat = self.normalised(border)
        back = self._pixels(distorted(flat, self.model, self.distortion))
        if self.model == "fisheye" and turning_angle(self.distortion) == math.pi / 2:
            back = np.where(np.isnan(flat), border, back)  # beyond a quarter turn is no fold, but the end of the circle
        if not np.allclose(back, border, atol=1e-6):
            raise CameraError(
                f"distortion {self.distortion} folds the picture; expected one that can be undone "
                f"everywhere on {self.width} x {self.height} pixels"
            )
