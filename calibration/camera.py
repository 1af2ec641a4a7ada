"""A camera: where a point in front of it falls on the picture, and back.

Pixels have their centre at whole numbers. Camera axes are x right, y down, z forward, metres.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
_NEWTON_STEPS: Final = 25
_ENOUGH: Final = 1e-12


class CameraError(ValueError):
    """Numbers that are no camera. One line: what, and what is expected."""


@dataclass(frozen=True, slots=True)
class Camera:
    """Pinhole with Human3.6M's distortion.

    `width`, `height` in pixels; `focal_px` along u, `pixel_aspect` times that along v; `centre_px` u, v of
    the optical axis; `distortion` k1, k2, k3, p1, p2: with (a, b) = (X/Z, Y/Z) and r2 = a^2 + b^2, (a', b') =
    (a, b) (1 + k1 r2 + k2 r2^2 + k3 r2^3 + p1 a + p2 b) + (p1, p2) r2. As in Human3.6M's cameras (a, b) is
    clamped to -1..1 where it enters the factors, so they stay bounded far outside. Raises CameraError when
    the numbers are no camera, or the distortion folds the picture over itself.
    """

    width: int
    height: int
    focal_px: float
    centre_px: tuple[float, float]
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    pixel_aspect: float = 1.0

    def __post_init__(self) -> None:
        numbers = (self.focal_px, self.pixel_aspect, *self.centre_px, *self.distortion)
        if len(self.centre_px) != 2 or len(self.distortion) != 5 or not all(map(math.isfinite, numbers)):
            raise CameraError(f"expected a centre of 2 and a distortion of 5 finite numbers; got {self}")
        if self.width < 1 or self.height < 1 or self.focal_px <= 0 or self.pixel_aspect <= 0:
            raise CameraError(f"expected width, height, focal length and aspect above 0; got {self}")
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
        return self._pixels(_distorted(points[..., :2] / depth, self.distortion))

    def normalised(self, points_img_px: ArrayLike) -> Floats:
        """Undistorted points (..., 2) on the plane Z = 1 of pixels (..., 2); NaN where no ray ends there."""
        points = np.asarray(points_img_px, dtype=np.float64) - self.centre_px
        bent = points / (self.focal_px, self.focal_px * self.pixel_aspect)
        return _undistorted(bent, self.distortion) if any(self.distortion) else bent

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
        if not np.allclose(self._pixels(_distorted(self.normalised(border), self.distortion)), border, atol=1e-6):
            raise CameraError(
                f"distortion {self.distortion} folds the picture; expected one that can be undone "
                f"everywhere on {self.width} x {self.height} pixels"
            )


def _distorted(flat: Floats, distortion: tuple[float, ...]) -> Floats:
    if not any(distortion):
        return flat
    k1, k2, k3, p1, p2 = distortion
    a, b = np.clip(flat[..., 0], -1.0, 1.0), np.clip(flat[..., 1], -1.0, 1.0)
    r2 = a * a + b * b
    factor = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)) + p1 * a + p2 * b
    return np.asarray(flat * factor[..., None] + r2[..., None] * np.array([p1, p2]))


def _undistorted(bent: Floats, distortion: tuple[float, ...]) -> Floats:
    """Newton's method on `_distorted`, all points at once; NaN where it does not arrive."""
    flat = bent.copy()
    with np.errstate(all="ignore"):
        for _ in range(_NEWTON_STEPS):
            error = _distorted(flat, distortion) - bent
            if np.all(np.abs(error) < _ENOUGH):
                return flat
            flat = flat - _solved(_slope(flat, distortion), error)
        missed = ~(np.abs(_distorted(flat, distortion) - bent).max(axis=-1) < 1e-9)
    flat[missed] = np.nan
    return flat


def _slope(flat: Floats, distortion: tuple[float, ...]) -> Any:
    """Partial derivatives of `_distorted`: d a'/d a, d a'/d b, d b'/d a, d b'/d b."""
    k1, k2, k3, p1, p2 = distortion
    x, y = flat[..., 0], flat[..., 1]
    a, b = np.clip(x, -1.0, 1.0), np.clip(y, -1.0, 1.0)
    free_a, free_b = a == x, b == y
    r2 = a * a + b * b
    factor = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)) + p1 * a + p2 * b
    radial = k1 + r2 * (2 * k2 + r2 * 3 * k3)
    by_a, by_b = (2 * a * radial + p1) * free_a, (2 * b * radial + p2) * free_b
    return (
        factor + x * by_a + 2 * p1 * a * free_a,
        x * by_b + 2 * p1 * b * free_b,
        y * by_a + 2 * p2 * a * free_a,
        factor + y * by_b + 2 * p2 * b * free_b,
    )


def _solved(slope: Any, error: Floats) -> Floats:
    aa, ab, ba, bb = slope
    determinant = aa * bb - ab * ba
    return np.stack(
        [
            (bb * error[..., 0] - ab * error[..., 1]) / determinant,
            (aa * error[..., 1] - ba * error[..., 0]) / determinant,
        ],
        axis=-1,
    )
