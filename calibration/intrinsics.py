"""Intrinsics of a camera from views of a printed board, with their uncertainty.

OpenCV's calibration minimises the distance between corners seen and predicted (Zhang's method, then Levenberg-
Marquardt). What is added: views that do not fit the others are dropped once, a third radial coefficient is kept only if
the views determine it, and every number gets a standard deviation from the normal equations at the minimum.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.board import Pattern
from calibration.camera import Camera
from calibration.detection import View
from calibration.errors import CalibrationError, CameraError
from calibration.views import to_film, unusable

Floats = NDArray[np.float64]
Fitted = Literal["opencv", "fisheye"]

MAX_FOCAL_SD: Final = 0.01
"""A focal length less certain than one percent puts a diver at 15 m somewhere within a third of a metre."""
MAX_REPROJECTION: Final = 1.0 / 1920
"""Corners are found to a tenth of a pixel; if they are off by one in a Full HD picture, it was not one lens."""
MIN_FITTING: Final = 0.75
"""Where more than a quarter of the views contradict the rest, it is not known which of them are right."""
_OUTLIER_MAD: Final = 5.0
_NORMAL_MAD: Final = 1.4826
_SMALL_PX: Final = 0.1
_DETERMINED_SD: Final = 3.0
_NAMES: Final = ("focal_px", "focal_v_px", "centre_u_px", "centre_v_px")


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A camera and where the board was in each view.

    `residuals_px` are corners seen minus predicted (N, 2), `cam_from_board` (4, 4) in millimetres, one a view; `sd`
    holds the standard deviations of focal_px, focal_v_px, centre_u_px, centre_v_px, and the coefficients by name.
    """

    camera: Camera
    views: tuple[View, ...]
    residuals_px: tuple[Floats, ...]
    cam_from_board: tuple[Floats, ...]
    sd: dict[str, float]
    dropped: tuple[View, ...] = ()

    @property
    def reprojection_px(self) -> float:
        """Root mean square distance of corners from where they are predicted."""
        return _rms(np.concatenate(self.residuals_px))

    @property
    def views_px(self) -> Floats:
        """The same for each view (V,)."""
        return np.array([_rms(residuals) for residuals in self.residuals_px])


def calibrated(views: Sequence[View], pattern: Pattern, size_px: tuple[int, int], model: Fitted = "opencv") -> Fit:
    """The camera that saw these views of a board in pictures of `size_px` (width, height).

    Raises CalibrationError, saying what to film, when the views are too few, too much alike, or do not fit.
    """
    lacking = unusable(views, pattern, size_px)
    if lacking:
        raise CalibrationError(f"{len(views)} usable views are not enough; film also: {'; '.join(lacking)}")
    fit = _fitted(views, pattern, size_px, model)
    kept = _fitting(fit)
    if not all(kept):
        good = [view for view, keep in zip(views, kept, strict=True) if keep]
        if len(good) < MIN_FITTING * len(views) or unusable(good, pattern, size_px):
            raise CalibrationError(
                f"{len(views) - len(good)} of {len(views)} views contradict the others; is the board flat and stiff, "
                "the focus and the zoom fixed? film again"
            )
        dropped = tuple(view for view, keep in zip(views, kept, strict=True) if not keep)
        fit = _with(_fitted(good, pattern, size_px, model), dropped)
    _refuse(fit, pattern, size_px)
    return fit


def _with(fit: Fit, dropped: tuple[View, ...]) -> Fit:
    return Fit(fit.camera, fit.views, fit.residuals_px, fit.cam_from_board, fit.sd, dropped)


def _fitting(fit: Fit) -> list[bool]:
    """Which views are as good as the others."""
    errors = fit.views_px
    middle = float(np.median(errors))
    spread = max(_NORMAL_MAD * float(np.median(np.abs(errors - middle))), _SMALL_PX)
    return [bool(error <= middle + _OUTLIER_MAD * spread) for error in errors]


def _refuse(fit: Fit, pattern: Pattern, size_px: tuple[int, int]) -> None:
    limit = MAX_REPROJECTION * max(size_px)
    if fit.reprojection_px > limit:
        raise CalibrationError(
            f"corners are {fit.reprojection_px:.1f} pixels from where any such lens would show them, {limit:.1f} are "
            "allowed; is the board flat, are focus and zoom fixed? try --model fisheye for a very wide lens"
        )
    part = fit.sd["focal_px"] / fit.camera.focal_px
    if part > MAX_FOCAL_SD:
        advice = to_film(fit.views, pattern, size_px) or ["tilt the board by 45 degrees every way"]
        raise CalibrationError(f"the focal length is uncertain by {part:.1%}; film also: {'; '.join(advice)}")


def _fitted(views: Sequence[View], pattern: Pattern, size_px: tuple[int, int], model: Fitted) -> Fit:
    try:
        if model == "fisheye":
            return _solved(views, pattern, size_px, model, 4)
        plain = _solved(views, pattern, size_px, model, 4)
        richer = _solved(views, pattern, size_px, model, 5)
    except (cv2.error, np.linalg.LinAlgError) as error:
        raise CalibrationError(
            f"no {model} camera fits these {len(views)} views; film the board again, larger and more tilted"
        ) from error
    except CameraError as error:
        raise CalibrationError(
            f"what fits these {len(views)} views is no camera: {error}; film more of them"
        ) from error
    return richer if abs(richer.camera.distortion[4]) > _DETERMINED_SD * richer.sd["k3"] else plain


def _solved(views: Sequence[View], pattern: Pattern, size_px: tuple[int, int], model: Fitted, coefficients: int) -> Fit:
    board = [np.column_stack([pattern.corners_mm[view.ids], np.zeros(len(view.ids))]) for view in views]
    seen = [view.corners_img_px for view in views]
    if model == "fisheye":
        matrix, distortion, turns, shifts = _fisheye(board, seen, size_px)
    else:
        flags = cv2.CALIB_FIX_K3 if coefficients == 4 else 0
        _, matrix, distortion, turns, shifts = cv2.calibrateCamera(
            [points.astype(np.float32) for points in board],
            [points.astype(np.float32) for points in seen],
            size_px,
            None,
            None,
            flags=flags,
        )
    numbers = np.asarray(distortion, dtype=np.float64).ravel()[:coefficients]
    residuals, slopes = [], []
    for points, corners, turn, shift in zip(board, seen, turns, shifts, strict=True):
        predicted, of_lens, of_pose = _predicted(points, turn, shift, matrix, numbers, model)
        residuals.append(corners - predicted)
        slopes.append((of_lens, of_pose))
    camera = Camera(
        *size_px,
        float(matrix[0, 0]),
        (float(matrix[0, 2]), float(matrix[1, 2])),
        tuple(float(number) for number in numbers),
        float(matrix[1, 1] / matrix[0, 0]),
        model,
    )
    deviations = _deviations(np.concatenate(residuals), slopes)
    names = (*_NAMES, *(("k1", "k2", "k3", "k4") if model == "fisheye" else ("k1", "k2", "p1", "p2", "k3")))
    sd = dict(zip(names, deviations.tolist(), strict=False))
    poses = tuple(_pose(turn, shift) for turn, shift in zip(turns, shifts, strict=True))
    return Fit(camera, tuple(views), tuple(residuals), poses, sd)


def _fisheye(board: list[Floats], seen: list[Floats], size_px: tuple[int, int]) -> tuple[Any, Any, Any, Any]:
    flags = _flag("CALIB_RECOMPUTE_EXTRINSIC") | _flag("CALIB_FIX_SKEW")
    calibrate: Any = cv2.fisheye.calibrate  # its stubs ask for matrices to start from
    _, matrix, distortion, turns, shifts = calibrate(
        [points[None] for points in board], [points[None] for points in seen], size_px, None, None, flags=flags
    )
    return matrix, distortion, turns, shifts


def _flag(name: str) -> int:
    """A flag of the fisheye calibration; OpenCV 5 has moved them."""
    return int(getattr(cv2.fisheye, name, None) or getattr(cv2, name))


def _predicted(
    points: Floats, turn: Floats, shift: Floats, matrix: Floats, distortion: Floats, model: Fitted
) -> tuple[Floats, Floats, Floats]:
    """Pixels (N, 2), and their derivatives by the lens's numbers (2 N, L) and by the pose (2 N, 6)."""
    if model == "fisheye":
        found, by_numbers = cv2.fisheye.projectPoints(points[None], turn, shift, matrix, distortion)
        lens, pose = slice(0, 8), slice(8, 14)
    else:
        found, by_numbers = cv2.projectPoints(points, turn, shift, matrix, distortion)
        lens, pose = slice(6, 10 + len(distortion)), slice(0, 6)
    slopes = np.asarray(by_numbers, dtype=np.float64)
    return np.asarray(found, dtype=np.float64).reshape(-1, 2), slopes[:, lens], slopes[:, pose]


def _deviations(residuals: Floats, slopes: list[tuple[Floats, Floats]]) -> Floats:
    """Standard deviations of the lens's numbers: the poses are eliminated from the normal equations."""
    count = slopes[0][0].shape[1]
    normal = np.zeros((count, count))
    for of_lens, of_pose in slopes:
        mixed = of_pose.T @ of_lens
        normal += of_lens.T @ of_lens - mixed.T @ np.linalg.solve(of_pose.T @ of_pose, mixed)
    freedom = residuals.size - count - 6 * len(slopes)
    variance = float((residuals**2).sum()) / max(freedom, 1)
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(normal)) * variance))


def _pose(turn: Floats, shift: Floats) -> Floats:
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(turn)[0]
    pose[:3, 3] = np.ravel(shift)
    return pose


def _rms(residuals: Floats) -> float:
    return float(np.sqrt((residuals**2).sum(axis=-1).mean()))
