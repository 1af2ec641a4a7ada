"""How lenses bend a picture: three models, each with its inverse.

`h36m` is Human3.6M's. `opencv` is the pinhole model of OpenCV's `projectPoints`, `fisheye` that of its `cv::fisheye`;
both are given by the formulas in OpenCV's documentation of the camera calibration module. The tangential terms of
`h36m` and `opencv` differ: numbers of one are not those of the other.

"Flat" points lie on the plane Z = 1 without distortion, "bent" ones with it; both are (..., 2).
"""

import functools
import math
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Model = Literal["h36m", "opencv", "fisheye"]

COEFFICIENTS: Final[dict[Model, tuple[str, ...]]] = {
    "h36m": ("k1", "k2", "k3", "p1", "p2"),
    "opencv": ("k1", "k2", "p1", "p2", "k3"),
    "fisheye": ("k1", "k2", "k3", "k4"),
}
_NEWTON_STEPS: Final = 25
_ENOUGH: Final = 1e-12
_ARRIVED: Final = 1e-9
_TABLE: Final = 257
_ANGLE_STEPS: Final = 8
"""From the nearest of 257 angles each step doubles the digits; close to the turning angle it only halves the error."""


def bends(model: Model, distortion: tuple[float, ...]) -> bool:
    """Whether flat and bent points differ at all."""
    return model == "fisheye" or any(distortion)


def distorted(flat: Floats, model: Model, distortion: tuple[float, ...]) -> Floats:
    """Bent points of flat ones; NaN where `opencv` or `fisheye` would fold the picture over itself."""
    if not bends(model, distortion):
        return flat
    if model == "h36m":
        return _h36m(flat, distortion)
    if model == "opencv":
        return _within(_opencv(flat, distortion), flat, turning_radius(distortion))
    return _fisheye(flat, distortion)


def undistorted(bent: Floats, model: Model, distortion: tuple[float, ...]) -> Floats:
    """Flat points of bent ones, by Newton's method on all at once; NaN where it does not arrive."""
    if not bends(model, distortion):
        return bent
    if model == "fisheye":
        return _unfished(bent, distortion)
    if model == "h36m":
        return _newton(bent, _h36m, _h36m_slope, distortion)
    flat = _newton(bent, _opencv, _opencv_slope, distortion)
    return _within(flat, flat, turning_radius(distortion))


def _within(values: Floats, flat: Floats, radius: float) -> Floats:
    if math.isinf(radius):
        return values
    return np.where(np.hypot(flat[..., :1], flat[..., 1:]) < radius, values, np.nan)


@functools.lru_cache(maxsize=32)
def turning_radius(distortion: tuple[float, ...]) -> float:
    """Flat radius at which the radial part of `opencv` stops growing, infinite if it never does.

    Beyond it points far outside the picture would come back into it.
    """
    k1, k2, _, _, k3 = distortion
    return math.sqrt(_first_root([7 * k3, 5 * k2, 3 * k1, 1.0]))  # of d/dr (r + k1 r^3 + k2 r^5 + k3 r^7), in r^2


@functools.lru_cache(maxsize=32)
def turning_angle(distortion: tuple[float, ...]) -> float:
    """Angle from the axis, rad, at which the radius of `fisheye` stops growing; at most a quarter turn."""
    k1, k2, k3, k4 = distortion
    return min(math.sqrt(_first_root([9 * k4, 7 * k3, 5 * k2, 3 * k1, 1.0])), math.pi / 2)


def _first_root(coefficients: list[float]) -> float:
    """The smallest root above zero of a polynomial, infinite if there is none."""
    roots = np.roots([0.0 if abs(number) < _ENOUGH else number for number in coefficients])
    return min((float(root.real) for root in roots if abs(root.imag) < _ARRIVED and root.real > 0), default=math.inf)


def _newton(bent: Floats, bend: Any, slope: Any, distortion: tuple[float, ...]) -> Floats:
    flat = bent.copy()
    with np.errstate(all="ignore"):
        for _ in range(_NEWTON_STEPS):
            error = bend(flat, distortion) - bent
            if np.all(np.abs(error) < _ENOUGH):
                return flat
            flat = flat - _solved(slope(flat, distortion), error)
        missed = ~(np.abs(bend(flat, distortion) - bent).max(axis=-1) < _ARRIVED)
    flat[missed] = np.nan
    return flat


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


def _h36m(flat: Floats, distortion: tuple[float, ...]) -> Floats:
    k1, k2, k3, p1, p2 = distortion
    a, b = np.clip(flat[..., 0], -1.0, 1.0), np.clip(flat[..., 1], -1.0, 1.0)
    r2 = a * a + b * b
    factor = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)) + p1 * a + p2 * b
    return np.asarray(flat * factor[..., None] + r2[..., None] * np.array([p1, p2]))


def _h36m_slope(flat: Floats, distortion: tuple[float, ...]) -> Any:
    """Partial derivatives of `_h36m`: d a'/d a, d a'/d b, d b'/d a, d b'/d b."""
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


def _opencv(flat: Floats, distortion: tuple[float, ...]) -> Floats:
    k1, k2, p1, p2, k3 = distortion
    a, b = flat[..., 0], flat[..., 1]
    r2 = a * a + b * b
    factor = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return np.stack(
        [
            a * factor + 2 * p1 * a * b + p2 * (r2 + 2 * a * a),
            b * factor + p1 * (r2 + 2 * b * b) + 2 * p2 * a * b,
        ],
        axis=-1,
    )


def _opencv_slope(flat: Floats, distortion: tuple[float, ...]) -> Any:
    """Partial derivatives of `_opencv`, as those of `_h36m_slope`."""
    k1, k2, p1, p2, k3 = distortion
    a, b = flat[..., 0], flat[..., 1]
    r2 = a * a + b * b
    factor = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    radial = 2 * (k1 + r2 * (2 * k2 + r2 * 3 * k3))
    mixed = a * b * radial + 2 * (p1 * a + p2 * b)
    return (
        factor + a * a * radial + 2 * p1 * b + 6 * p2 * a,
        mixed,
        mixed,
        factor + b * b * radial + 6 * p1 * b + 2 * p2 * a,
    )


def _fisheye(flat: Floats, distortion: tuple[float, ...]) -> Floats:
    radius = np.hypot(flat[..., :1], flat[..., 1:])
    angle = np.arctan(radius)
    scale = np.where(radius > 0, _angle_bent(angle, distortion) / np.where(radius > 0, radius, 1.0), 1.0)
    return np.where(angle < turning_angle(distortion), flat * scale, np.nan)


def _angle_bent(angle: Floats, distortion: tuple[float, ...]) -> Floats:
    k1, k2, k3, k4 = distortion
    t2 = angle * angle
    return np.asarray(angle * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))))


def _unfished(bent: Floats, distortion: tuple[float, ...]) -> Floats:
    k1, k2, k3, k4 = distortion
    angles, radii = _angle_table(distortion)
    radius = np.hypot(bent[..., :1], bent[..., 1:])
    angle = np.interp(radius, radii, angles)
    with np.errstate(all="ignore"):
        for _ in range(_ANGLE_STEPS):
            t2 = angle * angle
            slope = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
            angle = np.clip(angle - (_angle_bent(angle, distortion) - radius) / slope, 0.0, angles[-1])
        arrived = (np.abs(_angle_bent(angle, distortion) - radius) < _ARRIVED) & (angle < angles[-1])
        scale = np.where(radius > 0, np.tan(angle) / radius, 1.0)
    return np.where(arrived, bent * scale, np.nan)


@functools.lru_cache(maxsize=32)
def _angle_table(distortion: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Angles up to the turning one and the radii they are bent to: where Newton's method starts."""
    angles = np.linspace(0.0, turning_angle(distortion), _TABLE)
    return angles, _angle_bent(angles, distortion)
