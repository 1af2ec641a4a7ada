"""Several resting cameras from an athlete they saw at the same time: where they stand from each other, and how their
clocks differ. The joints of the body are the points of the bundle adjustment; no board, no common clock.

The fall of the athlete makes metres of lengths and tells the vertical (`calibration.bundle`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.beginning import begun, pairs
from calibration.bundle import Adjusted, adjusted
from calibration.epipolar import only_turned, rotation_between, sampson, starts
from calibration.errors import CalibrationError
from calibration.resection import cross
from calibration.scene import CAMERA_UNKNOWNS, Body
from calibration.track import Track

Floats = NDArray[np.float64]

LEAST_MOMENTS: Final = 25
LEAST_JOINTS: Final = 6
"""Seen by both cameras at a moment that counts."""
MOST_MOMENTS: Final = 600
_APART_S: Final = 0.04
"""Moments: what lies nearer together comes from the same pictures."""
_TRIED_S: Final = np.arange(-0.12, 0.1201, 0.02)
"""About a first guess of an offset."""
_NOISE_ALONE: Final = 1.2
"""Deviations that the middle one of distances is where there is nothing but noise: Rayleigh's median is 1.18."""
_COUNTS_SIGMAS: Final = 3.0
_TRIED_POINTS: Final = 1500
_WORST: Final = 0.5
"""Share of sightings that may contradict the others."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What one camera has seen: a `track`, and its poses (F, J, 3) about the pelvis in its own axes, metres, NaN where
    there is none."""

    name: str
    track: Track
    poses_m: Floats


@dataclass(frozen=True, slots=True)
class Related:
    """Cameras from each other, metres: `found` as in `adjusted`. `share_wrong` (C,) of what each camera saw contradicts
    the others."""

    found: Adjusted
    share_wrong: Floats

    def sd(self, camera: int) -> tuple[float, float, float]:
        """Deviations of a camera but the first: rotation (rad), place (m), offset of its clock (s)."""
        first = (camera - 1) * CAMERA_UNKNOWNS
        covariance = self.found.covariance[first : first + CAMERA_UNKNOWNS, first : first + CAMERA_UNKNOWNS]
        pose = self.found.scene.poses[camera]
        # Of the centre -R^T t: the rotation about camera axes moves it too.
        slopes = np.concatenate([-pose[:3, :3].T @ cross(pose[:3, 3]), -pose[:3, :3].T], axis=1)
        place = slopes @ covariance[:6, :6] @ slopes.T
        turn, shift = (float(np.sqrt(np.linalg.eigvalsh(part)[-1])) for part in (covariance[:3, :3], place))
        return turn, shift, float(np.sqrt(covariance[6, 6]))

    @property
    def down_sd_rad(self) -> float:
        """Deviation of the vertical's angle."""
        first = CAMERA_UNKNOWNS * (len(self.share_wrong) - 1)
        covariance = self.found.covariance[first : first + 2, first : first + 2]
        return float(np.sqrt(np.linalg.eigvalsh(covariance)[-1]))


def related(
    watched: Sequence[Watched], offsets_s: Sequence[float], flights_s: Sequence[tuple[float, float]], body: Body
) -> Related:
    """Cameras from each other; `offsets_s` (C,) are first guesses of the clocks', right to a tenth of a second, and
    `flights_s` when the athlete fell, by the first one's.

    Raises CalibrationError when they have not seen enough together, or stand too close.
    """
    tracks = [one.track.despiked for one in watched]
    t_s = _moments(watched, tracks, offsets_s)
    poses, offsets = [np.eye(4)], [0.0]
    for k in range(1, len(watched)):
        pose, offset = _started(watched, tracks, k, offsets_s[k], t_s)
        poses.append(pose)
        offsets.append(offset)
    moments, scene = begun(tracks, body, t_s, flights_s, np.stack(poses), np.array(offsets))
    return _checked(watched, tracks, t_s, adjusted(tracks, body, moments, scene))


def _moments(watched: Sequence[Watched], tracks: Sequence[Track], offsets_s: Sequence[float]) -> Floats:
    """Times (T,) of the first camera's clock at which another sees enough of the same joints."""
    t_s = tracks[0].t_s
    seen = np.isfinite(tracks[0].at(t_s).flat).all(axis=2)
    useful = np.zeros(len(t_s), bool)
    for one, track, offset in zip(watched[1:], tracks[1:], offsets_s[1:], strict=True):
        both = seen & np.isfinite(track.at(t_s + offset).flat).all(axis=2)
        together = both.sum(axis=1) >= LEAST_JOINTS
        if together.sum() < LEAST_MOMENTS:
            raise CalibrationError(
                f"{watched[0].name} and {one.name} have seen the same athlete in {together.sum()} pictures, "
                f"{LEAST_MOMENTS} are needed; are these recordings of the same dives, and large enough in both?"
            )
        useful |= together
    chosen = np.flatnonzero(useful)
    every = max(1, round(_APART_S / float(np.median(np.diff(t_s)))), -(-len(chosen) // MOST_MOMENTS))
    return t_s[chosen[::every]]


def _started(
    watched: Sequence[Watched], tracks: Sequence[Track], camera: int, offset_s: float, moments: Floats
) -> tuple[Floats, float]:
    """A pose and an offset to begin with: of all that are tried, those that most points allow."""
    sd = float(np.hypot(tracks[0].sd, tracks[camera].sd))
    pair = tuple(values.reshape(-1, 2) for values in pairs(tracks, camera, offset_s, moments))
    left = float(np.median(tracks[0].at(moments).noise))
    if only_turned(*pair) < _NOISE_ALONE * left * sd:
        raise CalibrationError(
            f"{watched[0].name} and {watched[camera].name} look from the same place, which tells no depth; stand "
            "farther apart"
        )
    best: tuple[float, Floats, float] | None = None
    for offset in offset_s + _TRIED_S:
        first, second = (values.reshape(-1, 2) for values in pairs(tracks, camera, offset, moments))
        known = np.flatnonzero(np.isfinite(first).all(axis=1))
        tried = known[np.linspace(0, len(known) - 1, min(len(known), _TRIED_POINTS)).astype(int)]
        first, second = first[tried], second[tried]
        turn = _turn(watched[0], watched[camera], offset, moments)
        for pose in starts(first, second, sd, turn):
            off = sampson(pose, first, second) / sd
            cost = float(np.mean(off**2 / (1 + (off / _COUNTS_SIGMAS) ** 2)))
            if best is None or cost < best[0]:
                best = cost, pose, float(offset)
    if best is None:
        raise CalibrationError(
            f"what {watched[0].name} and {watched[camera].name} saw fits no two cameras; are both files their own?"
        )
    return best[1].copy(), best[2]


def _turn(first: Watched, second: Watched, offset_s: float, moments: Floats) -> Floats | None:
    """Rotation (3, 3) between two cameras from the poses that each has told of the same body; None without poses."""
    mine = first.poses_m[_nearest(first.track.t_s, moments)].reshape(-1, 3)
    other = second.poses_m[_nearest(second.track.t_s, moments + offset_s)].reshape(-1, 3)
    known = np.isfinite(mine).all(axis=1) & np.isfinite(other).all(axis=1)
    return rotation_between(mine[known], other[known]) if known.sum() >= LEAST_MOMENTS else None


def _nearest(t_s: Floats, wanted_s: Floats) -> NDArray[np.int64]:
    after = np.clip(np.searchsorted(t_s, wanted_s), 1, len(t_s) - 1)
    return np.asarray(after - (wanted_s - t_s[after - 1] < t_s[after] - wanted_s), np.int64)


def _checked(watched: Sequence[Watched], tracks: Sequence[Track], t_s: Floats, found: Adjusted) -> Related:
    scene = found.scene
    wrong = []
    for k, track in enumerate(tracks):
        seen = np.isfinite(track.at(t_s + scene.offsets_s[k]).flat).all(axis=2)
        wrong.append(1 - int(np.count_nonzero(found.used[k] & seen)) / max(int(np.count_nonzero(seen)), 1))
    for k in range(1, len(watched)):
        if wrong[k] > _WORST:
            raise CalibrationError(
                f"{wrong[k]:.0%} of what {watched[k].name} saw contradicts the other cameras; did it move, or is its "
                "camera file another's?"
            )
    return Related(found, np.array(wrong))
