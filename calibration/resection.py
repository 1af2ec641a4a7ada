"""One camera's place from points of known places: several starts, then descent on the reprojection error.

Starts come from OpenCV's direct methods (SQPnP; IPPE where all points lie in a plane, which has two answers). Each is
refined by Levenberg-Marquardt with Huber's weights over rotation, translation and, if asked, the focal length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera

Floats = NDArray[np.float64]

CLICK_PX: Final = 1.5
"""Standard deviation of a point clicked with care, for a picture 1920 pixels wide."""
FLAT: Final = 0.02
"""Extent of points across a plane, over that along it, below which they are taken as lying in it."""
_PRIOR_POINTS: Final = 2
"""How many points' residuals the expected accuracy of a click counts for, beside those there are."""
_HUBER: Final = 1.5
_STEPS: Final = 100
_SETTLED: Final = 1e-10
_SLOPE: Final = 1e-6
_SAME_SIGMAS: Final = 5.0
_FOCALS: Final = (0.6, 0.9, 1.3, 2.0, 3.0, 4.5)
"""Focal lengths to begin with, in widths of the picture: 80 to 13 degrees across."""


@dataclass(frozen=True, slots=True)
class Pose:
    """A refined answer: `cam_from_world` (4, 4), its residuals seen minus predicted (N, 2) pixels, Huber's `cost`.

    `covariance` of rotation (3, rad, camera axes), translation (3, m), and the logarithm of the focal length if that
    was free; None where the points do not determine them.
    """

    camera: Camera
    cam_from_world: Floats
    residuals_px: Floats
    cost: float
    covariance: Floats | None

    @property
    def centre_m(self) -> Floats:
        """The camera's place (3,) in the world."""
        return np.asarray(-self.cam_from_world[:3, :3].T @ self.cam_from_world[:3, 3])

    @property
    def place_covariance_m2(self) -> Floats:
        """Covariance (3, 3) of the camera's place in world axes."""
        # The centre is -R^T t; turning by w about camera axes moves it by R^T [t]x w, a shift by -R^T.
        assert self.covariance is not None
        turn = self.cam_from_world[:3, :3]
        slopes = np.concatenate([-turn.T @ cross(self.cam_from_world[:3, 3]), -turn.T], axis=1)
        return np.asarray(slopes @ self.covariance[:6, :6] @ slopes.T)

    @property
    def rms_px(self) -> float:
        """Root mean square distance of points from where they are predicted."""
        return float(np.sqrt((self.residuals_px**2).sum(axis=1).mean()))

    def projected(self, world_m: Floats) -> Floats:
        """Pixels (..., 2) of points (..., 3) of the world; NaN behind the camera."""
        return self.camera.project(world_m @ self.cam_from_world[:3, :3].T + self.cam_from_world[:3, 3])


def cross(vector: Floats) -> Floats:
    """The matrix (3, 3) that takes a vector v to `vector` x v."""
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def spread(world_m: Floats) -> Floats:
    """Extents (3,) of points (N, 3) along their principal axes, the largest first; root mean square, metres."""
    centred = world_m - world_m.mean(axis=0)
    values = np.linalg.svd(centred, compute_uv=False)
    return np.asarray(np.pad(values, (0, 3 - len(values))) / np.sqrt(len(world_m)), np.float64)


def click_px(camera: Camera) -> float:
    """The accuracy that is expected of clicked points in this camera's picture."""
    return CLICK_PX * max(camera.width, camera.height) / 1920


def resected(
    world_m: Floats, img_px: Floats, camera: Camera, fit_focal: bool = False, above: bool = False
) -> list[Pose]:
    """All different answers for points (N, 3) seen at pixels (N, 2), the best first; empty if there is none.

    `above`: only answers with the camera above the lowest of the points.
    """
    found: list[Pose] = []
    for begin, focal in _starts(world_m, img_px, camera, fit_focal):
        pose = refined(begin, focal, world_m, img_px, camera, fit_focal)
        if pose is not None and not (above and pose.centre_m[2] <= world_m[:, 2].min()):
            found.append(pose)
    found.sort(key=lambda pose: pose.cost)
    return _different(found)


def _different(poses: Sequence[Pose]) -> list[Pose]:
    """Without those that are a better one's again, within what that is unsure of."""
    kept: list[Pose] = []
    for pose in poses:
        if not any(_same(pose, other) for other in kept):
            kept.append(pose)
    return kept


def _same(pose: Pose, better: Pose) -> bool:
    off = pose.centre_m - better.centre_m
    if better.covariance is None:
        return True
    return float(off @ np.linalg.solve(better.place_covariance_m2 + 1e-9 * np.eye(3), off)) < _SAME_SIGMAS**2


def _starts(world_m: Floats, img_px: Floats, camera: Camera, fit_focal: bool) -> Iterator[tuple[Floats, float]]:
    """Poses (4, 4) to begin with, and the focal length that goes with each."""
    flat = camera.normalised(img_px)
    if not np.isfinite(flat).all():
        return
    focals = [part * camera.width for part in _FOCALS] if fit_focal else [camera.focal_px]
    extents = spread(world_m)
    methods = [cv2.SOLVEPNP_SQPNP]
    if extents[2] < FLAT * extents[0]:
        methods.append(cv2.SOLVEPNP_IPPE)
    for focal in focals:
        for method in methods:
            for pose in _direct(world_m, flat * camera.focal_px / focal, method):
                yield pose, focal


def _direct(world_m: Floats, flat: Floats, method: int) -> Iterator[Floats]:
    try:
        _, turns, shifts, _ = cv2.solvePnPGeneric(
            np.ascontiguousarray(world_m), np.ascontiguousarray(flat), np.eye(3), None, flags=method
        )
    except cv2.error:
        return  # this method cannot do with these points; the others may
    for turn, shift in zip(turns, shifts, strict=True):
        pose = np.eye(4)
        pose[:3, :3] = cv2.Rodrigues(turn)[0]
        pose[:3, 3] = np.ravel(shift)
        if np.isfinite(pose).all():
            yield pose


def refined(
    cam_from_world: Floats, focal_px: float, world_m: Floats, img_px: Floats, camera: Camera, fit_focal: bool
) -> Pose | None:
    """Levenberg-Marquardt from a pose (4, 4); None when a point lies behind the camera or nothing fits."""
    grown = float(np.log(focal_px / camera.focal_px))
    state = (cam_from_world, grown)
    noise = click_px(camera)
    residual = _residuals(state, world_m, img_px, camera) / noise
    if not np.isfinite(residual).all():
        return None
    cost, damping = _huber_cost(residual), 1e-3
    for _ in range(_STEPS):
        slopes = _slopes(state, world_m, img_px, camera, fit_focal) / noise
        weight = np.repeat(_huber_weight(residual), 2)
        normal = slopes.T @ (slopes * weight[:, None])
        pull = -slopes.T @ (weight * residual.ravel())
        step = np.linalg.lstsq(normal + np.diag(damping * np.diag(normal) + 1e-12), pull, rcond=None)[0]
        tried = _moved(state, np.asarray(step, np.float64))
        again = _residuals(tried, world_m, img_px, camera) / noise
        new_cost = _huber_cost(again) if np.isfinite(again).all() else np.inf
        if new_cost > cost:
            damping *= 10
            if damping > 1e8:
                break
            continue
        settled = cost - new_cost <= _SETTLED * max(cost, 1.0)
        state, residual, cost, damping = tried, again, new_cost, max(damping / 10, 1e-9)
        if settled:
            break
    return _answer(state, residual * noise, cost, world_m, img_px, camera, fit_focal)


def _answer(
    state: tuple[Floats, float],
    residual_px: Floats,
    cost: float,
    world_m: Floats,
    img_px: Floats,
    camera: Camera,
    fit_focal: bool,
) -> Pose | None:
    pose, grown = state
    slopes = _slopes(state, world_m, img_px, camera, fit_focal)
    weight = _huber_weight(residual_px / click_px(camera))
    freedom = residual_px.size - slopes.shape[1]
    expected = 2 * _PRIOR_POINTS * click_px(camera) ** 2
    squares = float((weight[:, None] * residual_px**2).sum())
    variance = (squares + expected) / (max(freedom, 0) + 2 * _PRIOR_POINTS)
    normal = slopes.T @ (slopes * np.repeat(weight, 2)[:, None])
    covariance: Floats | None = None
    if np.linalg.cond(normal / np.sqrt(np.outer(np.diag(normal), np.diag(normal)))) < 1e10:
        covariance = np.linalg.inv(normal) * variance
    focal = camera.focal_px * float(np.exp(grown))
    refocused = replace(camera, focal_px=focal) if fit_focal else camera
    return Pose(refocused, pose, -residual_px, cost, covariance)


def _residuals(state: tuple[Floats, float], world_m: Floats, img_px: Floats, camera: Camera) -> Floats:
    """Predicted minus seen (N, 2), pixels."""
    pose, grown = state
    pixels = camera.project(world_m @ pose[:3, :3].T + pose[:3, 3])
    return np.asarray((pixels - camera.centre_px) * np.exp(grown) + camera.centre_px - img_px)


def _slopes(state: tuple[Floats, float], world_m: Floats, img_px: Floats, camera: Camera, fit_focal: bool) -> Floats:
    """Derivatives (2 N, 6 or 7) by central differences."""
    count = 7 if fit_focal else 6
    columns = []
    for step in np.eye(count) * _SLOPE:
        ahead = _residuals(_moved(state, step), world_m, img_px, camera)
        behind = _residuals(_moved(state, -step), world_m, img_px, camera)
        columns.append(((ahead - behind) / (2 * _SLOPE)).ravel())
    return np.stack(columns, axis=1)


def _moved(state: tuple[Floats, float], step: Floats) -> tuple[Floats, float]:
    pose, grown = state
    moved = np.eye(4)
    moved[:3, :3] = cv2.Rodrigues(step[:3])[0] @ pose[:3, :3]
    moved[:3, 3] = pose[:3, 3] + step[3:6]
    return moved, grown + (float(step[6]) if len(step) > 6 else 0.0)


def _huber_weight(residual: Floats) -> Floats:
    """(N,) of residuals (N, 2) in standard deviations."""
    return np.asarray(np.minimum(1.0, _HUBER / np.maximum(np.linalg.norm(residual, axis=1), 1e-12)))


def _huber_cost(residual: Floats) -> float:
    length = np.linalg.norm(residual, axis=1)
    return float(np.where(length < _HUBER, length**2, _HUBER * (2 * length - _HUBER)).sum())
