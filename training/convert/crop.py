"""One athlete of a picture as a training crop: a square JPEG and its label.

Without 3D truth the square is cut out of the picture. With it the camera is turned so that it looks straight at the
athlete (the smallest rotation, as `calibration.rotation` does it live), so that the crop is the picture of a pinhole
camera with its principal point in the middle, and the joints are given in the axes of that camera.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera, CameraError
from calibration.rotation import virtual_from_cam
from training.errors import TrainingError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Picture = NDArray[np.uint8]
Sample = tuple[str, bytes, dict[str, Any]]

SHARE: Final = 0.6
"""Share of the crop's side that the box of the labelled joints fills."""
LARGEST_PX: Final = 288
SMALLEST_PX: Final = 16
LEAST_JOINTS: Final = 4
"""Athletes with fewer labelled joints are left out."""
NEAREST_M: Final = 0.2
QUALITY: Final = 90
LEAST_POINTS: Final = 50
"""Labelled joints from which a camera can be found."""
AGREE_PX: Final = 3.0
"""Median distance between 2D labels and projected 3D labels from which on they do not belong together."""


@dataclass(frozen=True)
class Frame:
    """A picture file (`index` None) or one frame of a video, counted from 0."""

    path: Path
    index: int | None = None


@dataclass(frozen=True)
class Athlete:
    """One labelled athlete in one picture.

    `key` NAME-gGROUP-NN; `joints_img_px` (17, 2), without meaning where not `labelled` (17,); `visible` (17,). With
    3D truth also `joints_cam_m` (17, 3), absolute, in the axes of `camera`.
    """

    key: str
    frame: Frame
    source: str
    joints_img_px: NDArray[np.float32]
    labelled: Flags
    visible: Flags
    joints_cam_m: NDArray[np.float32] | None = None
    camera: Camera | None = None


def usable(athlete: Athlete) -> bool:
    """Whether enough joints are labelled and, with 3D truth, all lie in front of the camera."""
    depth = None if athlete.joints_cam_m is None else athlete.joints_cam_m[:, 2]
    return bool(athlete.labelled.sum() >= LEAST_JOINTS and (depth is None or depth.min() > NEAREST_M))


def sample(athlete: Athlete, picture: Picture) -> Sample:
    """Key, JPEG and label of one athlete in `picture` (h, w, 3) BGR."""
    if athlete.joints_cam_m is None:
        side, where_img_px, label = _flat(athlete)
    else:
        side, where_img_px, label = _turned(athlete)
    crop = _drawn(picture, where_img_px)
    visible = athlete.visible & athlete.labelled & _inside(athlete.joints_img_px, picture)
    label |= {
        "labelled": athlete.labelled.astype(int).tolist(),
        "visible": visible.astype(int).tolist(),
        "source": athlete.source,
        "side_px": side,
    }
    return athlete.key, bytes(cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]), label


def _flat(athlete: Athlete) -> tuple[int, Floats, dict[str, Any]]:
    """Side, pixel of the picture for each pixel of the crop (side, side, 2), and the joints of the label."""
    points = athlete.joints_img_px.astype(float)
    low, high = _box(points[athlete.labelled])
    side, scale = _side(float((high - low).max()))
    where = (_pixels(side) - (side - 1) / 2) / scale + (low + high) / 2
    joints = (points - (low + high) / 2) * scale + (side - 1) / 2
    joints[~athlete.labelled] = 0
    return side, where, {"joints_crop_px": np.round(joints, 2).tolist()}


def _turned(athlete: Athlete) -> tuple[int, Floats, dict[str, Any]]:
    """The same for the camera that looks straight at the athlete, with joints in its axes."""
    camera, joints = athlete.camera, np.asarray(athlete.joints_cam_m, float)
    assert camera is not None
    virtual_from = np.eye(3)
    for _ in range(3):  # the middle of the box moves a little as the camera turns
        low, high = _box(_plane(joints @ virtual_from.T)[athlete.labelled])
        virtual_from = virtual_from_cam(virtual_from.T @ np.array([*(low + high) / 2, 1.0]))
    turned = joints @ virtual_from.T
    flat = _plane(turned)
    low, high = _box(flat[athlete.labelled])
    side, scale = _side(float((high - low).max()) * camera.focal_px)
    focal = scale * camera.focal_px
    rays = np.concatenate([(_pixels(side) - (side - 1) / 2) / focal, np.ones((side, side, 1))], axis=2)
    where = np.nan_to_num(camera.project(rays @ virtual_from), nan=-1e6)
    return side, where, {
        "joints_crop_px": np.round(flat * focal + (side - 1) / 2, 2).tolist(),
        "joints_cam_m": np.round(turned - turned[0], 4).tolist(),
        "root_cam_m": np.round(turned[0], 4).tolist(),
        "focal_crop_px": float(focal),
    }  # fmt: skip


def _side(extent_px: float) -> tuple[int, float]:
    """Side of the crop and crop pixels per pixel of the picture, for a box of joints of `extent_px`: not enlarged."""
    whole = max(extent_px / SHARE, float(SMALLEST_PX))
    side = min(LARGEST_PX, round(whole))
    return side, min(side / whole, 1.0)


def _drawn(picture: Picture, where_img_px: Floats) -> Picture:
    """The crop; where it shrinks the picture, the picture is averaged first so that nothing flickers."""
    step = float(np.linalg.norm(where_img_px[-1, -1] - where_img_px[0, 0])) / (2**0.5 * (len(where_img_px) - 1))
    times = max(1, round(min(step, min(picture.shape[:2]) / 2)))
    if times > 1:
        height, width = (length // times for length in picture.shape[:2])
        whole = picture[: height * times, : width * times]
        picture = np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        where_img_px = (where_img_px - (times - 1) / 2) / times
    u, v = np.moveaxis(where_img_px.astype(np.float32), 2, 0)
    return np.asarray(cv2.remap(picture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _pixels(side: int) -> Floats:
    return np.stack(np.meshgrid(np.arange(float(side)), np.arange(float(side))), axis=2)


def _plane(points: Floats) -> Floats:
    return np.asarray(points[:, :2] / points[:, 2:])


def _box(points: Floats) -> tuple[Floats, Floats]:
    return points.min(0), points.max(0)


def _inside(points_img_px: NDArray[np.float32], picture: Picture) -> Flags:
    height, width = picture.shape[:2]
    return np.asarray(((points_img_px > -0.5) & (points_img_px < (width - 0.5, height - 0.5))).all(1))


def fitted_camera(joints_cam_m: Any, joints_img_px: Any, size_px: tuple[int, int], lens: bool, where: str) -> Camera:
    """The camera that maps 3D labels (..., 3), camera axes, metres, onto 2D labels (..., 2) of pictures `size_px`.

    Focal lengths and centre, with `lens` also k1, k2, p1, p2 of the distortion, by Gauss-Newton on all labels.
    TrainingError naming `where` when the two do not belong together (median distance of AGREE_PX or more).
    """
    points, pixels = np.asarray(joints_cam_m, float).reshape(-1, 3), np.asarray(joints_img_px, float).reshape(-1, 2)
    keep = (points[:, 2] > NEAREST_M) & np.isfinite(pixels).all(1)
    points, pixels = points[keep][:200_000], pixels[keep][:200_000]
    if len(points) < LEAST_POINTS:
        raise TrainingError(f"{where}: {len(points)} labelled joints, too few to find the camera; is the file whole?")
    flat = _plane(points)
    one = np.ones(len(flat))
    (f_x, c_x), (f_y, c_y) = (
        np.linalg.lstsq(np.stack([flat[:, i], one], 1), pixels[:, i], rcond=None)[0] for i in (0, 1)
    )
    try:
        camera = Camera(*size_px, float(f_x), (float(c_x), float(c_y)), pixel_aspect=float(f_y / f_x))
    except CameraError as error:
        raise TrainingError(f"{where}: 2D and 3D labels belong to no camera ({error}); restore the file") from None
    for _ in range(8 if lens else 0):
        camera = _closer(camera, flat, pixels)
    off = float(np.median(np.linalg.norm(camera.project(points) - pixels, axis=1)))
    if not off < AGREE_PX:
        raise TrainingError(f"{where}: 3D labels miss the 2D labels by {off:.1f} px (median); restore the file")
    return camera


def _closer(camera: Camera, flat: Floats, pixels: Floats) -> Camera:
    """One step of Gauss-Newton over focal length, aspect, centre, k1, k2, p1, p2; a lens that folds is not taken."""

    def built(values: Floats) -> Camera:
        f, aspect, c_x, c_y, k1, k2, p1, p2 = map(float, values)
        return Camera(camera.width, camera.height, f, (c_x, c_y), (k1, k2, 0.0, p1, p2), aspect)

    def seen(values: Floats) -> Floats:
        return built(values).project(np.concatenate([flat, np.ones((len(flat), 1))], axis=1)).ravel()

    k1, k2, _, p1, p2 = camera.distortion
    values = np.array([camera.focal_px, camera.pixel_aspect, *camera.centre_px, k1, k2, p1, p2])
    steps = np.array([1e-2, 1e-6, 1e-2, 1e-2, 1e-5, 1e-5, 1e-6, 1e-6])
    try:
        now = seen(values)
        slope = np.stack([(seen(values + s * row) - now) / s for s, row in zip(steps, np.eye(8), strict=True)], axis=1)
        return built(values + np.linalg.lstsq(slope, pixels.ravel() - now, rcond=None)[0])
    except CameraError:
        return camera
