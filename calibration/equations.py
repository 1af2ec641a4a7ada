"""Residuals of a scene against what cameras saw and what bodies do, and their normal equations without the joints.

Sightings count with Huber's weights by their length in standard deviations; so do falls and bones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.scene import CAMERA_UNKNOWNS, GRAVITY_M_S2, Body, Moments, Scene, across
from calibration.track import Track

Floats = NDArray[np.float64]

FALL_SD_M: Final = 0.02
"""Of a centre of gravity from joints: masses are averages, joints are not where they turn."""
BONE_SD_M: Final = 0.015
_HUBER: Final = 1.5
_LEAST_DEPTH: Final = 1e-3
_LOOSE: Final = 1e-6
_HELD_M: Final = 1e-3
_TRUST_M: Final = 0.1
"""How far a joint is moved gladly in one step: one that hardly anything was seen of would fly away."""


@dataclass(frozen=True, slots=True)
class Sighted:
    """What cameras saw against what the scene predicts: `residual` (C, T, J, 2) in deviations, `weight` (C, T, J), 0
    where nothing was seen; slopes by the point (C, T, J, 2, 3) and by the camera (C, T, J, 2, 7)."""

    residual: Floats
    weight: Floats
    by_point: Floats
    by_camera: Floats
    cost: float


def sighted(tracks: Sequence[Track], moments: Moments, scene: Scene, used: NDArray[np.bool_]) -> Sighted:
    """Of the sightings that are `used` (C, T, J)."""
    parts = [
        _seen_by(track, pose, float(offset), moments, scene.points)
        for track, pose, offset in zip(tracks, scene.poses, scene.offsets_s, strict=True)
    ]
    residual, by_point, by_camera = (np.stack([part[k] for part in parts]) for k in range(3))
    known = np.isfinite(residual).all(axis=-1) & used
    residual = np.where(known[..., None], residual, 0.0)
    length = np.linalg.norm(residual, axis=-1)
    weight, each = _huber_weight(length), _huber_cost(length)
    by_point, by_camera = (np.where(known[..., None, None], values, 0.0) for values in (by_point, by_camera))
    return Sighted(residual, np.where(known, weight, 0.0), by_point, by_camera, float(each[known].sum()))


def _seen_by(
    track: Track, pose: Floats, offset_s: float, moments: Moments, points: Floats
) -> tuple[Floats, Floats, Floats]:
    seen = track.at(moments.t_s + offset_s)
    sd = track.sd * seen.noise[..., None]
    turned = points @ pose[:3, :3].T
    place = turned + pose[:3, 3]
    depth = np.maximum(place[..., 2:], _LEAST_DEPTH)
    flat = place[..., :2] / depth
    by_place = np.zeros((*points.shape[:2], 2, 3))
    by_place[..., 0, 0] = by_place[..., 1, 1] = 1.0
    by_place[..., 2] = -flat
    by_place /= depth[..., None] * sd[..., None]
    turning = np.cross(turned[..., None, :], by_place)
    residual = (flat - seen.flat) / sd
    by_camera = np.concatenate([turning, by_place, -(seen.speed / sd)[..., None]], axis=-1)
    return residual, by_place @ pose[:3, :3], by_camera


def _huber_weight(length: Floats) -> Floats:
    return np.asarray(np.minimum(1.0, _HUBER / np.maximum(length, 1e-9)))


def _huber_cost(length: Floats) -> Floats:
    return np.asarray(np.where(length < _HUBER, length**2, _HUBER * (2 * length - _HUBER)))


def _off_fall(body: Body, moments: Moments, scene: Scene) -> Floats:
    """How far (T, 3) the centre of gravity is off its fall, in deviations; 0 where it does not fall."""
    tau = moments.since_s[:, None]
    start, velocity = scene.falls[moments.flight, 0], scene.falls[moments.flight, 1]
    expected = start + tau * velocity + tau**2 / 2 * GRAVITY_M_S2 * scene.down
    centre = np.einsum("j,tjk->tk", body.centre, scene.points)
    return np.asarray(np.nan_to_num((centre - expected) / FALL_SD_M))


def _off_bones(body: Body, moments: Moments, scene: Scene) -> tuple[Floats, Floats]:
    """How much (T, B) bones are too long, in deviations, and their directions (T, B, 3)."""
    along = scene.points[:, body.bones[:, 0]] - scene.points[:, body.bones[:, 1]]
    length = np.linalg.norm(along, axis=-1)
    known = np.asarray(moments.seen[:, body.bones].all(axis=2))
    off = np.where(known, (length - scene.lengths_m[moments.flight]) / BONE_SD_M, 0.0)
    return off, np.where(known[..., None], along / np.maximum(length, 1e-9)[..., None], 0.0)


def body_cost(body: Body, moments: Moments, scene: Scene) -> float:
    """What falls and bones that are not as they should be cost."""
    fall = np.linalg.norm(_off_fall(body, moments, scene), axis=1)
    bones = np.abs(_off_bones(body, moments, scene)[0])
    return float(_huber_cost(fall).sum() + _huber_cost(bones).sum())


@dataclass
class System:
    """Normal equations with the points of each moment eliminated: `normal` (G, G) and `pull` (G,) of all other
    unknowns; points move by `own` (T, 3 J) less `back` (T, 3 J, G) times the others' step."""

    normal: Floats
    pull: Floats
    back: Floats
    own: Floats


class _Sums:
    """The normal equations while they are summed up, moment by moment: T moments, P = 3 J coordinates, G others."""

    def __init__(self, moments: int, joints: int, others: int) -> None:
        self.points = np.zeros((moments, 3 * joints, 3 * joints))
        self.mixed = np.zeros((moments, 3 * joints, others))
        self.others = np.zeros((others, others))
        self.pull_points = np.zeros((moments, 3 * joints))
        self.pull_others = np.zeros(others)

    def eliminated(self, damping: float) -> System:
        """Without the points."""
        diagonal = np.einsum("tii->ti", self.points)
        diagonal += damping * (diagonal + _TRUST_M**-2) + _LOOSE
        solved = np.linalg.solve(self.points, np.concatenate([self.mixed, self.pull_points[..., None]], axis=2))
        back, own = solved[..., :-1], solved[..., -1]
        normal = self.others - np.einsum("tpg,tph->gh", self.mixed, back)
        pull = self.pull_others - np.einsum("tpg,tp->g", self.mixed, own)
        return System(normal + _LOOSE * np.eye(len(normal)), pull, back, own)


def system_of(seen: Sighted, body: Body, moments: Moments, scene: Scene, damping: float) -> System:
    """The normal equations about a scene; `damping` holds back the points."""
    cameras = CAMERA_UNKNOWNS * (len(scene.poses) - 1)
    count, joints = scene.points.shape[:2]
    sums = _Sums(count, joints, cameras + 2 + scene.falls.size + scene.lengths_m.size)
    _add_sightings(sums, seen)
    _add_falls(sums, body, moments, scene, cameras)
    _add_bones(sums, body, moments, scene, cameras + 2 + scene.falls.size)
    held = np.repeat(~moments.seen, 3, axis=1)
    np.einsum("tii->ti", sums.points)[held] += _HELD_M**-2
    return sums.eliminated(damping)


def _add_sightings(sums: _Sums, sighted: Sighted) -> None:
    weight, slope, residual = sighted.weight, sighted.by_point, sighted.residual
    own = np.einsum("ctj,ctjki,ctjkl->tjil", weight, slope, slope)
    pull = -np.einsum("ctj,ctjki,ctjk->tji", weight, slope, residual)
    sums.pull_points += pull.reshape(sums.pull_points.shape)
    for j in range(own.shape[1]):
        sums.points[:, 3 * j : 3 * j + 3, 3 * j : 3 * j + 3] += own[:, j]
    for k in range(1, len(weight)):
        at = slice((k - 1) * CAMERA_UNKNOWNS, k * CAMERA_UNKNOWNS)
        camera = sighted.by_camera[k]
        mixed = np.einsum("tj,tjki,tjkl->tjil", weight[k], slope[k], camera)
        sums.mixed[:, :, at] += mixed.reshape(*sums.pull_points.shape, CAMERA_UNKNOWNS)
        sums.others[at, at] += np.einsum("tj,tjki,tjkl->il", weight[k], camera, camera)
        sums.pull_others[at] -= np.einsum("tj,tjki,tjk->i", weight[k], camera, residual[k])


def _add_falls(sums: _Sums, body: Body, moments: Moments, scene: Scene, first: int) -> None:
    """The vertical's two unknowns lie at `first`, six of each flight behind them."""
    residual = _off_fall(body, moments, scene)
    weight = _huber_weight(np.linalg.norm(residual, axis=1))
    by_point = np.kron(body.centre, np.eye(3)) / FALL_SD_M  # (3, 3 J)
    for t in np.flatnonzero(np.isfinite(moments.since_s)):
        tau, flight = float(moments.since_s[t]), int(moments.flight[t])
        at = np.r_[first : first + 2, first + 2 + 6 * flight : first + 8 + 6 * flight]
        by_down = -(tau**2) / 2 * GRAVITY_M_S2 * across(scene.down).T
        by_others = np.concatenate([by_down, -np.eye(3), -tau * np.eye(3)], axis=1) / FALL_SD_M
        sums.points[t] += weight[t] * by_point.T @ by_point
        sums.pull_points[t] -= weight[t] * by_point.T @ residual[t]
        sums.mixed[t][:, at] += weight[t] * by_point.T @ by_others
        sums.others[np.ix_(at, at)] += weight[t] * by_others.T @ by_others
        sums.pull_others[at] -= weight[t] * by_others.T @ residual[t]


def _add_bones(sums: _Sums, body: Body, moments: Moments, scene: Scene, first: int) -> None:
    """The lengths lie at `first`, those of one flight's athlete after another's."""
    residual, along = _off_bones(body, moments, scene)
    weight = _huber_weight(np.abs(residual)) / BONE_SD_M**2
    rows = np.arange(len(residual))
    for b, (one, other) in enumerate(body.bones):
        at = first + moments.flight * len(body.bones) + b
        square = weight[:, b, None, None] * along[:, b, :, None] * along[:, b, None, :]
        pull = weight[:, b, None] * along[:, b] * (BONE_SD_M * residual[:, b, None])
        for joint, sign in ((one, 1.0), (other, -1.0)):
            here = slice(3 * joint, 3 * joint + 3)
            there = slice(3 * other, 3 * other + 3) if sign > 0 else slice(3 * one, 3 * one + 3)
            sums.points[:, here, here] += square
            sums.points[:, here, there] -= square
            sums.pull_points[:, here] -= sign * pull
            for axis in range(3):
                sums.mixed[rows, 3 * joint + axis, at] -= sign * weight[:, b] * along[:, b, axis]
        np.add.at(sums.others, (at, at), weight[:, b] * moments.seen[:, [one, other]].all(axis=1))
        np.add.at(sums.pull_others, at, weight[:, b] * BONE_SD_M * residual[:, b])
