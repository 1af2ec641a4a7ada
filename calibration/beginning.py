"""Where the bundle adjustment of several cameras begins: points triangulated by pairs, in metres by their fall."""

import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.epipolar import triangulated
from calibration.errors import CalibrationError
from calibration.scene import GRAVITY_M_S2, Body, Moments, Scene
from calibration.track import Track

Floats = NDArray[np.float64]

_LEAST_IN_FLIGHT: Final = 8
_LEAST_SEEN: Final = 0.4
_UNSEEN_MASS: Final = 0.1
_REWEIGHTED: Final = 10
_REACH_M: Final = 1.3
"""From the middle of a body to a hand that is stretched out."""


def begun(
    tracks: Sequence[Track],
    body: Body,
    t_s: Floats,
    flights_s: Sequence[tuple[float, float]],
    poses: Floats,
    offsets: Floats,
) -> tuple[Moments, Scene]:
    """A scene to begin with. Every pair's length is made metres by the fall that it sees; a point is that of the pair
    that sees it most askew."""
    found, widest, downs = np.full((*tracks[0].at(t_s).noise.shape, 3), np.nan), 0.0, []
    flight, since_s = _flying(t_s, flights_s)
    for k in range(1, len(tracks)):
        first, second = pairs(tracks, k, float(offsets[k]), t_s)
        shape = first.shape[:2]
        points = triangulated(poses[k], first.reshape(-1, 2), second.reshape(-1, 2)).reshape(*shape, 3)
        points[~(points[..., 2] > 0)] = np.nan
        pull = _pull(points, flight, since_s)
        length = GRAVITY_M_S2 / float(np.linalg.norm(pull))
        poses[k, :3, 3] *= length
        downs.append(pull / np.linalg.norm(pull))
        angle = float(np.nanmedian(angles(points * length, poses[k])))
        better = np.isfinite(points) & ((angle > widest) | np.isnan(found))
        found, widest = np.where(better, points * length, found), max(widest, angle)
    down = np.mean(downs, axis=0)
    points, seen = _filled(found, t_s)
    if seen.mean() < _LEAST_SEEN:
        raise CalibrationError(
            f"only {seen.mean():.0%} of what the cameras saw makes a body; are these recordings of the same dives, and "
            "each camera file its own?"
        )
    unseen = ~seen @ np.abs(body.centre)
    moments = Moments(t_s, flight, np.where(unseen < _UNSEEN_MASS, since_s, np.nan), seen)
    falls = np.stack([_fall(points, body, moments, k, down) for k in range(len(flights_s))])
    along = np.linalg.norm(points[:, body.bones[:, 0]] - points[:, body.bones[:, 1]], axis=-1)
    lengths = np.median(along, axis=0)
    scene = Scene(poses, offsets, down / np.linalg.norm(down), falls, np.tile(lengths, (len(falls), 1)), points)
    return moments, scene


def _flying(t_s: Floats, flights_s: Sequence[tuple[float, float]]) -> tuple[NDArray[np.int64], Floats]:
    """The flight (T,) nearest to every moment, and the time since its middle, NaN outside it."""
    middles = np.array([(first + last) / 2 for first, last in flights_s])
    flight = np.argmin(np.abs(t_s[:, None] - middles), axis=1)
    ends = np.array(flights_s)[flight]
    falls = (t_s >= ends[:, 0]) & (t_s <= ends[:, 1])
    return flight, np.where(falls, t_s - middles[flight], np.nan)


def _filled(found: Floats, t_s: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Points (T, J, 3) without gaps, and which are seen: what is missing, or farther from the body than an arm reaches,
    lies about the body as it did before and after."""
    middle = _middle(found)
    for axis in range(3):
        known = np.isfinite(middle[:, axis])
        middle[~known, axis] = np.interp(t_s[~known], t_s[known], middle[known, axis])
    about = found - middle[:, None]
    seen = np.linalg.norm(about, axis=2) < _REACH_M
    for j in range(found.shape[1]):
        known = seen[:, j]
        if known.any():
            for axis in range(3):
                about[~known, j, axis] = np.interp(t_s[~known], t_s[known], about[known, j, axis])
        else:
            about[:, j] = 0.0
    return middle[:, None] + about, seen


def _middle(points: Floats) -> Floats:
    """The middle (T, 3) of the joints (T, J, 3) that are known; NaN where none is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(points, axis=1))


def _pull(points: Floats, flight: NDArray[np.int64], since_s: Floats) -> Floats:
    """Acceleration (3,) of the middle of the body that all flights share, in whatever lengths the points have."""
    middle = _middle(points)
    rows, values = [], []
    for one in np.unique(flight):
        inside = (flight == one) & np.isfinite(since_s) & np.isfinite(middle).all(axis=1)
        tau, there = since_s[inside], middle[inside]
        if len(tau) < _LEAST_IN_FLIGHT:
            continue
        # What is left of place and parabola after the best straight line.
        line = np.stack([np.ones_like(tau), tau], axis=1)
        rest = np.eye(len(tau)) - line @ np.linalg.pinv(line)
        rows.append(rest @ (tau**2 / 2))
        values.append(rest @ there)
    if not rows:
        raise CalibrationError("the cameras have not seen one whole flight together; record dives that all of them see")
    row, value = np.concatenate(rows), np.concatenate(values)
    weight = np.ones(len(row))
    for _ in range(_REWEIGHTED):
        pull = (row * weight) @ value / ((row * weight) @ row)
        off = np.linalg.norm(value - row[:, None] * pull, axis=1)
        weight = 1 / (1 + (off / max(2 * float(np.median(off)), 1e-9)) ** 2)
    return np.asarray(pull)


def _fall(points: Floats, body: Body, moments: Moments, flight: int, down: Floats) -> Floats:
    """Place and velocity (2, 3) of the centre of gravity at the middle of a flight."""
    inside = (moments.flight == flight) & np.isfinite(moments.since_s)
    tau = moments.since_s[inside]
    centre = np.einsum("j,tjk->tk", body.centre, points[inside]) - tau[:, None] ** 2 / 2 * GRAVITY_M_S2 * down
    line = np.stack([np.ones_like(tau), tau], axis=1)
    return np.asarray(np.linalg.lstsq(line, centre, rcond=None)[0])


def angles(points: Floats, pose: Floats) -> Floats:
    """Angles (...) between the rays from the first camera and from another, of pose (4, 4), to points (..., 3)."""
    away = points + pose[:3, :3].T @ pose[:3, 3]
    cosine = (points * away).sum(axis=-1) / (np.linalg.norm(points, axis=-1) * np.linalg.norm(away, axis=-1))
    return np.asarray(np.arccos(np.clip(cosine, -1, 1)))


def pairs(tracks: Sequence[Track], camera: int, offset_s: float, moments: Floats) -> tuple[Floats, Floats]:
    """What the first and another camera see (T, J, 2) at moments of the first's clock; NaN in both where one sees
    nothing."""
    first, second = tracks[0].at(moments).flat, tracks[camera].at(moments + offset_s).flat
    both = (np.isfinite(first) & np.isfinite(second)).all(axis=2, keepdims=True)
    return np.where(both, first, np.nan), np.where(both, second, np.nan)
