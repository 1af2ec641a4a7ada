"""Where a camera stands, from points of known places: which of them do not fit, how sure the answer is, and refusals.

Whoever clicks points errs in two ways: by a pixel or two everywhere, and by taking one point for another. The first is
what the uncertainty is made of. For the second every point is predicted from all the others; one that lies far from
there is named, and left out if enough remain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.resection import FLAT, Pose, click_px, cross, resected, spread
from calibration.venue import Board, Calibration

Floats = NDArray[np.float64]

MIN_POINTS: Final = 6
MIN_GROUND: Final = 4
"""Of a plane seen from above four points do: they are a homography."""
_FAR: Final = 5.0
"""Standard deviations from where the other points put it, at which a point is taken for a mistake."""
_CLEAR_CLICKS: Final = 3.0
"""And at least so many times the accuracy of a click."""
_CHANCE: Final = 3.0
"""Standard deviations of chi-square up to which points agree as well as clicks do, and none is suspected."""
_SECOND: Final = 9.0
"""How much worse, in squared standard deviations, a second answer must be for the first to be the one."""
_UNSURE: Final = 0.1
"""Standard deviation of the place over the distance: above it, metres are not worth the name."""
_UNSURE_FOCAL: Final = 0.1


@dataclass(frozen=True, slots=True)
class Points:
    """Points of known places as they were seen: names, `world_m` (N, 3), `img_px` (N, 2)."""

    names: tuple[str, ...]
    world_m: Floats
    img_px: Floats

    def __post_init__(self) -> None:
        count = len(self.names)
        if self.world_m.shape != (count, 3) or self.img_px.shape != (count, 2):
            raise CalibrationError(
                f"expected {count} points with 3 and 2 numbers; got {self.world_m.shape} and {self.img_px.shape}"
            )
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise CalibrationError(f"point {twice[0]} is there twice; remove one")

    def __len__(self) -> int:
        return len(self.names)

    def without(self, *left_out: int) -> "Points":
        """All but some."""
        kept = [k for k in range(len(self)) if k not in left_out]
        return Points(tuple(self.names[k] for k in kept), self.world_m[kept], self.img_px[kept])


@dataclass(frozen=True, slots=True)
class Placement:
    """A camera placed. `points` are those used; `left_out` names the others with their distance in pixels."""

    pose: Pose
    points: Points
    left_out: dict[str, float]

    @property
    def world_from_cam(self) -> Floats:
        """(4, 4), metres."""
        return np.asarray(np.linalg.inv(self.pose.cam_from_world))

    @property
    def place_sd_m(self) -> Floats:
        """Standard deviations (3,) of the camera's place along x, y, z."""
        return np.asarray(np.sqrt(np.diag(self.pose.place_covariance_m2)))

    @property
    def turn_sd_rad(self) -> float:
        """Standard deviation of the direction it looks in, about the worst axis."""
        assert self.pose.covariance is not None
        return float(np.sqrt(np.linalg.eigvalsh(self.pose.covariance[:3, :3])[-1]))

    @property
    def focal_sd_px(self) -> float | None:
        """Of the focal length, if it was found too."""
        covariance = self.pose.covariance
        if covariance is None or len(covariance) < 7:
            return None
        return float(np.sqrt(covariance[6, 6])) * self.pose.camera.focal_px

    def calibration(self, before: Calibration, board: Board | None, source: str) -> Calibration:
        """The camera file with the camera placed. Raises CalibrationError."""
        return Calibration(
            camera=self.pose.camera,
            world_from_cam=self.world_from_cam,
            board=before.board if board is None else board,
            reprojection_px=self.pose.rms_px,
            focal_sd_px=before.focal_sd_px if self.focal_sd_px is None else self.focal_sd_px,
            source=source,
            name=before.name,
        )


def placed(points: Points, camera: Camera, fit_focal: bool = False, ground: bool = False) -> Placement:
    """The camera's place from at least six points, or four of a level plane if `ground`.

    `fit_focal`: the focal length is found too; that of `camera` is no more than a guess. Raises CalibrationError saying
    which point is wrong or which are missing.
    """
    _refuse_few(points, camera, fit_focal, ground)
    least = MIN_GROUND if ground else MIN_POINTS
    left_out: dict[str, float] = {}
    pose = _best(points, camera, fit_focal, ground)
    while (wrong := _mistaken(points, pose, camera, fit_focal, ground)) is not None:
        index, off_px = wrong
        name = points.names[index]
        if len(points) <= least:
            raise CalibrationError(
                f"point {name} is {off_px:.0f} px from where the others put it: clicked wrongly? correct it, or give "
                f"more points than {least}, then it is left out"
            )
        left_out[name] = off_px
        points = points.without(index)
        pose = _best(points, camera, fit_focal, ground)
    placement = Placement(pose, points, left_out)
    _refuse_bad(placement, fit_focal)
    return placement


def _refuse_few(points: Points, camera: Camera, fit_focal: bool, ground: bool) -> None:
    least = MIN_GROUND if ground else MIN_POINTS
    if len(points) < least:
        wanted = "points of the plane" if ground else "points of known places (four do with --ground)"
        raise CalibrationError(f"{len(points)} points are not enough; mark at least {least} {wanted}")
    for name, (u, v) in zip(points.names, points.img_px, strict=True):
        if not (-camera.width <= u <= 2 * camera.width and -camera.height <= v <= 2 * camera.height):
            raise CalibrationError(
                f"point {name}: u {u:g}, v {v:g} lies far outside the picture of {camera.width} x {camera.height}"
            )
    if ground and np.ptp(points.world_m[:, 2]) > 1e-6:
        raise CalibrationError("--ground: all points must have the same z; leave z out, or --ground")
    extents = spread(points.world_m)
    if extents[1] < FLAT * extents[0]:
        raise CalibrationError("all points lie on one line; add some beside it")
    if fit_focal and extents[2] < FLAT * extents[0]:
        raise CalibrationError(
            "all points lie in one plane, which does not tell the focal length; add points off it, or leave --focal out"
        )


def _best(points: Points, camera: Camera, fit_focal: bool, ground: bool) -> Pose:
    """The one answer. Raises CalibrationError when there is none, or a second that is as good."""
    answers = resected(points.world_m, points.img_px, camera, fit_focal, above=ground)
    if not answers:
        raise CalibrationError("no camera sees these points so; are names and pixels in the right rows?")
    first = answers[0]
    scale = max(1.0, (first.rms_px / click_px(camera)) ** 2 / 2)
    rivals = [pose for pose in answers[1:] if (pose.cost - first.cost) / scale < _SECOND]
    if rivals:
        places = " or ".join(_place(pose.centre_m) for pose in (first, rivals[0]))
        flat = spread(points.world_m)
        advice = "a point off their plane" if flat[2] < FLAT * flat[0] else "points farther from the others"
        raise CalibrationError(f"the points fit two places of the camera, {places}; add {advice}")
    return first


def _mistaken(points: Points, pose: Pose, camera: Camera, fit_focal: bool, ground: bool) -> tuple[int, float] | None:
    """The point that the others contradict most, and by how many pixels; None if none stands out."""
    # Below five points the rest has no freedom left to contradict anything.
    if len(points) <= (MIN_GROUND if ground else MIN_POINTS - 1):
        return None
    freedom = 2 * len(points) - (7 if fit_focal else 6)
    if pose.cost < freedom + _CHANCE * np.sqrt(2 * freedom):
        return None
    least_px = _CLEAR_CLICKS * click_px(camera)
    worst: tuple[float, int, float] | None = None
    for index in range(len(points)):
        rest = points.without(index)
        answers = resected(rest.world_m, rest.img_px, camera, fit_focal, above=ground)
        if not answers:
            continue
        off, sd = _predicted(answers[0], points, index)
        if off < least_px or off < _FAR * sd:
            continue
        if worst is None or answers[0].cost < worst[0]:
            worst = (answers[0].cost, index, off)
    if worst is None or worst[0] > 0.5 * pose.cost:
        return None
    return worst[1], worst[2]


def _predicted(without: Pose, points: Points, index: int) -> tuple[float, float]:
    """Distance of a point from where a pose found without it predicts it, and what that may be off by, pixels."""
    at = without.projected(points.world_m[index])
    if not np.isfinite(at).all():
        return np.inf, 0.0
    off = float(np.linalg.norm(at - points.img_px[index]))
    own = max(without.rms_px, click_px(without.camera))
    if without.covariance is None:
        return off, np.inf
    local = without.cam_from_world[:3, :3] @ points.world_m[index] + without.cam_from_world[:3, 3]
    x, y, z = local
    by_turn = -cross(local - without.cam_from_world[:3, 3])
    by_place = np.array([[1 / z, 0, -x / z**2], [0, 1 / z, -y / z**2]]) * without.camera.focal_px
    slopes = np.concatenate([by_place @ by_turn, by_place], axis=1)
    if len(without.covariance) > 6:
        slopes = np.column_stack([slopes, np.array([x, y]) / z * without.camera.focal_px])
    spread_px = slopes @ without.covariance @ slopes.T
    return off, float(np.sqrt(own**2 + np.linalg.eigvalsh(spread_px)[-1]))


def _refuse_bad(placement: Placement, fit_focal: bool) -> None:
    pose = placement.pose
    limit = 4 * click_px(pose.camera)
    if pose.rms_px > limit:
        raise CalibrationError(
            f"the points contradict each other by {pose.rms_px:.0f} px, {limit:.0f} are allowed; is it this board, "
            "with these measures, and this camera's focal length?"
        )
    if pose.covariance is None:
        raise CalibrationError("the points do not determine the camera's place; add points farther apart")
    away = float(np.linalg.norm(pose.centre_m - placement.points.world_m.mean(axis=0)))
    unsure = float(np.sqrt(np.linalg.eigvalsh(pose.place_covariance_m2)[-1])) / away
    if unsure > _UNSURE:
        raise CalibrationError(
            f"the camera's place is uncertain by {unsure:.0%} of its distance; add points farther from the others"
        )
    focal_sd = placement.focal_sd_px
    if fit_focal and focal_sd is not None and focal_sd > _UNSURE_FOCAL * pose.camera.focal_px:
        raise CalibrationError(
            f"the focal length is uncertain by {focal_sd / pose.camera.focal_px:.0%}; add points nearer to and farther "
            "from the camera, or calibrate intrinsics"
        )


def _place(centre_m: Sequence[float] | Floats) -> str:
    return f"({', '.join(f'{value:.1f}' for value in centre_m)})"
