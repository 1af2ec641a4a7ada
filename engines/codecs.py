"""Representations, there and back: crops and windows, heat maps, keypoints, box tokens, STN boxes.

Pixels have their centre at whole numbers, so a picture of width W spans -0.5 to W - 0.5. A box or window is
(left, top, right, bottom) in that span, pixels of `img`. A homography `target_from_source` is 3 x 3 and acts
on (u, v, 1).
"""

import functools
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.camera import Camera
from engines.contracts import CROP_H, CROP_W, HEATMAP_STRIDE, STN_PX

Array = NDArray[Any]
Floats = NDArray[np.float64]
Box = tuple[float, float, float, float]

HEATMAP_H: Final = CROP_H // HEATMAP_STRIDE
HEATMAP_W: Final = CROP_W // HEATMAP_STRIDE
HEATMAP_SIGMA: Final = 1.5
"""Standard deviation of a target, in heat-map pixels."""
FIT_FRAMES: Final = 4
"""Frames on either side, of the window's grid, through which a pose is fitted; at 50 a second 80 ms."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle of the picture, 3 wide to 4 high, that becomes the encoder's input.

    `centre_img_px` u, v and `height_px` in pixels of `img`; `angle_rad` turns the crop's axes clockwise as
    seen.
    """

    centre_img_px: tuple[float, float]
    height_px: float
    angle_rad: float = 0.0

    def __post_init__(self) -> None:
        if not (self.height_px > 0 and math.isfinite(sum(self.centre_img_px) + self.height_px + self.angle_rad)):
            raise ValueError(f"a crop needs finite numbers and a height above 0; got {self}")


def crop_of_box(box_img_px: Box, factor: float, angle_rad: float = 0.0) -> Crop:
    """The crop around a box, `factor` times what holds it: height = factor max(box height, 4/3 box width).

    In a turned crop the box's extent is taken along the crop's axes.
    """
    left, top, right, bottom = box_img_px
    width, height = right - left, bottom - top
    cos, sin = abs(math.cos(angle_rad)), abs(math.sin(angle_rad))
    across, along = width * cos + height * sin, width * sin + height * cos
    return Crop(((left + right) / 2, (top + bottom) / 2), factor * max(along, across * CROP_H / CROP_W), angle_rad)


def img_from_crop(crop: Crop) -> Floats:
    """Homography (3, 3) from pixels of the 256 x 192 crop to pixels of `img`."""
    scale = crop.height_px / CROP_H
    cos, sin = scale * math.cos(crop.angle_rad), scale * math.sin(crop.angle_rad)
    u, v = crop.centre_img_px
    middle_x, middle_y = (CROP_W - 1) / 2, (CROP_H - 1) / 2
    return np.array(
        [
            [cos, -sin, u - cos * middle_x + sin * middle_y],
            [sin, cos, v - sin * middle_x - cos * middle_y],
            [0.0, 0.0, 1.0],
        ]
    )


def transformed(points: ArrayLike, target_from_source: ArrayLike) -> Floats:
    """Points (..., 2) through a homography."""
    matrix = np.asarray(target_from_source, dtype=np.float64).reshape(3, 3)
    moved = np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(moved[..., :2] / moved[..., 2:])


def window_of_picture(width: int, height: int) -> Box:
    """The window that is the whole picture."""
    return (-0.5, -0.5, width - 0.5, height - 0.5)


def window_of_box(box_img_px: Box, factor: float) -> Box:
    """The square search window around a box, its side `factor` times the longer one; may leave `img`."""
    left, top, right, bottom = box_img_px
    half = factor * max(right - left, bottom - top) / 2
    u, v = (left + right) / 2, (top + bottom) / 2
    return (u - half, v - half, u + half, v + half)


def img_from_window(window_img_px: Box) -> Floats:
    """Homography (3, 3) from pixels of the STN's 128 x 128 picture to `img`: the window, squeezed."""
    left, top, right, bottom = window_img_px
    across, down = (right - left) / STN_PX, (bottom - top) / STN_PX
    return np.array([[across, 0.0, left + across / 2], [0.0, down, top + down / 2], [0.0, 0.0, 1.0]])


def box_of_theta(theta: ArrayLike, window_img_px: Box) -> Box:
    """Box in `img` of the STN's output s_x, s_y, u_x, u_y; -1 and 1 are the edges of the window."""
    s_x, s_y, u_x, u_y = (float(value) for value in np.asarray(theta).reshape(4))
    left, top, right, bottom = window_img_px
    half_w, half_h = (right - left) / 2, (bottom - top) / 2
    u, v = left + half_w * (1 + u_x), top + half_h * (1 + u_y)
    return (u - half_w * s_x, v - half_h * s_y, u + half_w * s_x, v + half_h * s_y)


def theta_of_box(box_img_px: Box, window_img_px: Box) -> Floats:
    """Inverse of `box_of_theta`, (4,)."""
    left, top, right, bottom = window_img_px
    half_w, half_h = (right - left) / 2, (bottom - top) / 2
    x0, y0, x1, y1 = box_img_px
    return np.array(
        [
            (x1 - x0) / 2 / half_w,
            (y1 - y0) / 2 / half_h,
            ((x0 + x1) / 2 - left) / half_w - 1,
            ((y0 + y1) / 2 - top) / half_h - 1,
        ]
    )


def heatmap_px_of_crop_px(points_crop_px: ArrayLike) -> Floats:
    """Crop pixels to heat-map pixels: a heat-map pixel covers 4 x 4 crop pixels."""
    return (np.asarray(points_crop_px, dtype=np.float64) - (HEATMAP_STRIDE - 1) / 2) / HEATMAP_STRIDE


def crop_px_of_heatmap_px(points_heatmap_px: ArrayLike) -> Floats:
    """Heat-map pixels to crop pixels."""
    return np.asarray(points_heatmap_px, dtype=np.float64) * HEATMAP_STRIDE + (HEATMAP_STRIDE - 1) / 2


def encode_heatmaps(joints_crop_px: ArrayLike, sigma: float = HEATMAP_SIGMA) -> NDArray[np.float32]:
    """Target maps (..., 64, 48) of joints (..., 2) in crop pixels: Gaussians that sum to one over the map.

    A joint that is not finite or lies outside the crop has a map of zeros: no target.
    """
    joints = heatmap_px_of_crop_px(joints_crop_px)
    x, y = joints[..., 0, None], joints[..., 1, None]
    inside = (np.abs(2 * x - HEATMAP_W + 1) <= HEATMAP_W) & (np.abs(2 * y - HEATMAP_H + 1) <= HEATMAP_H)
    x, y = np.where(inside, x, 0.0), np.where(inside, y, 0.0)
    across = np.exp(-0.5 * ((np.arange(HEATMAP_W) - x) / sigma) ** 2)
    down = np.exp(-0.5 * ((np.arange(HEATMAP_H) - y) / sigma) ** 2) * inside
    maps = down[..., :, None] * across[..., None, :]
    total = maps.sum(axis=(-2, -1), keepdims=True)
    return np.asarray(maps / np.where(total > 0, total, 1.0), dtype=np.float32)


def fitted(poses: NDArray[np.floating], at: int) -> NDArray[np.float32]:
    """Pose `at` of a window's poses (T, 17, 3): a parabola in time through up to four frames on either side.

    The window's network errs a little otherwise in each frame, which shows as trembling; a body turns little enough
    in so short a time. Of the frames behind `at` only the nearer half counts: the newest ones know no future.
    """
    width = min(FIT_FRAMES, at, (len(poses) - 1 - at) // 2)
    near = np.asarray(poses[at - width : at + width + 1], np.float32)
    return np.asarray(np.tensordot(_parabola(width), near, (0, 0)), np.float32)


@functools.cache
def _parabola(width: int) -> NDArray[np.float32]:
    """Weights (2 width + 1,) whose sum with samples is the middle of the parabola that fits them best."""
    at = np.arange(-width, width + 1, dtype=np.float64)
    powers = np.stack([at**0, at, at**2], axis=1)
    return np.asarray(np.linalg.pinv(powers)[0], np.float32)


def normalised_keypoints(joints_img_px: ArrayLike, crop: Crop) -> NDArray[np.float32]:
    """The contract's `keypoints` (..., 2): from the crop's centre, over half its height, `img` axes."""
    offset = np.asarray(joints_img_px, dtype=np.float64) - crop.centre_img_px
    return np.asarray(offset / (crop.height_px / 2), dtype=np.float32)


def joints_of_keypoints(keypoints: ArrayLike, crop: Crop) -> Floats:
    """Inverse of `normalised_keypoints`: pixels of `img`."""
    return np.asarray(np.asarray(keypoints, dtype=np.float64) * (crop.height_px / 2) + crop.centre_img_px)


def box_token(crop: Crop, camera: Camera) -> NDArray[np.float32]:
    """The contract's `box` (3,): bearing of the crop's centre and its height in focal lengths."""
    (u, v), (c_x, c_y) = crop.centre_img_px, camera.centre_px
    f_y = camera.focal_px * camera.pixel_aspect
    return np.array([(u - c_x) / camera.focal_px, (v - c_y) / f_y, crop.height_px / f_y], dtype=np.float32)
