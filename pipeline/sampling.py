"""Sampling one plane of a picture through a homography: only the part a crop sees, averaged where it minifies."""

from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Mat3 = npt.NDArray[np.float64]

_MINIFY: Final = 1.5
"""More source samples than this per crop pixel: the source is halved first, or fine texture would alias."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a crop of `size` samples a plane of `shape`: the part it sees, and by how much to shrink that first.

    `left`, `top`, `right`, `bottom` are multiples of the steps; the latter two may pass the plane's end by less.
    """

    shape: tuple[int, ...]
    size: tuple[int, int]
    plane_from_crop: Mat3
    steps: tuple[int, int]
    left: int
    top: int
    right: int
    bottom: int
    is_inside: bool

    def warp(self, plane: Bytes) -> Bytes:
        """The plane's part of the crop (height, width). Where `covered` is 0 it means nothing."""
        region = plane[self.top : self.bottom, self.left : self.right]
        if region.strides[1] != 1:
            region = np.ascontiguousarray(region)
        region = self._shrunk(region)
        # One sample more repeats the edge for the half pixel beyond the outermost centres. OpenCV could repeat it for
        # ever, at three times the price.
        rim = 0 if self.is_inside else 1
        if rim:
            region = cast(Bytes, cv2.copyMakeBorder(region, 1, 1, 1, 1, cv2.BORDER_REPLICATE))
        # The centre of a shrunk pixel is the centre of the step_x * step_y block it was averaged from.
        step_x, step_y = self.steps
        region_from_plane = np.array(
            [
                [1 / step_x, 0, (0.5 - self.left) / step_x - 0.5 + rim],
                [0, 1 / step_y, (0.5 - self.top) / step_y - 0.5 + rim],
                [0, 0, 1],
            ]
        )
        matrix = region_from_plane @ self.plane_from_crop
        return cast(
            Bytes, cv2.warpPerspective(region, matrix, self.size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        )

    def covered(self) -> Bytes:
        """1 where the crop lies on the plane, 0 outside and beyond the horizon (height, width)."""
        rows, columns = self.shape
        edges = np.array([[1, 0, 0.5], [0, 1, 0.5], [-1, 0, columns - 0.5], [0, -1, rows - 0.5], [0, 0, 1]])
        u, v = np.arange(self.size[0]), np.arange(self.size[1])[:, None]
        inside = np.ones((self.size[1], self.size[0]), np.bool_)
        for a, b, c in edges @ self.plane_from_crop:  # each edge is a straight line in the crop too
            inside &= a * u >= -(b * v + c)
        return cast(Bytes, inside.view(np.uint8))

    def _shrunk(self, region: Bytes) -> Bytes:
        beyond_x = self.right - self.left - region.shape[1]
        beyond_y = self.bottom - self.top - region.shape[0]
        if beyond_x or beyond_y:
            region = extended(region, beyond_x, beyond_y)
        step_x, step_y = self.steps
        while step_x > 1 or step_y > 1:
            by_x, by_y = 1 + (step_x > 1), 1 + (step_y > 1)
            region = halved(region, by_x, by_y)
            step_x, step_y = step_x // by_x, step_y // by_y
        return region


def sampling_of(shape: tuple[int, ...], plane_from_crop: Mat3, size: tuple[int, int]) -> Sampling | None:
    """How a crop of `size` (width, height) sees a plane of `shape` (rows, columns); None if it sees nothing.

    `plane_from_crop` (3, 3) takes crop pixels to plane samples, centre of the first sample at (0, 0).
    """
    steps = _steps(plane_from_crop, size)
    limits, pitch = np.array([shape[1], shape[0]]), np.array(steps)
    last_u, last_v = size[0] - 1, size[1] - 1
    crop_corners = np.array([[0, 0, 1], [last_u, 0, 1], [0, last_v, 1], [last_u, last_v, 1]])
    corners = crop_corners @ plane_from_crop.T
    if (corners[:, 2] <= 1e-9).any():  # the crop reaches the horizon: no bound
        inside, low, high = False, np.zeros(2), limits.astype(float)
    else:
        points = corners[:, :2] / corners[:, 2:]
        inside = bool((points >= 0).all() and (points <= limits - 1).all())
        low, high = points.min(0) - 2 * pitch, points.max(0) + 2 * pitch + 1
    low = np.clip(low, 0, limits) // pitch * pitch
    high = np.ceil(np.clip(high, 0, limits) / pitch) * pitch
    if (high <= low).any():
        return None
    left, top, right, bottom = int(low[0]), int(low[1]), int(high[0]), int(high[1])
    return Sampling(shape, size, plane_from_crop, steps, left, top, right, bottom, inside)


def _steps(plane_from_crop: Mat3, size: tuple[int, int]) -> tuple[int, int]:
    """By how much (a power of two) to shrink the plane's x and y before sampling it."""
    centre = np.array([(size[0] - 1) / 2, (size[1] - 1) / 2, 1.0])
    x, y, w = plane_from_crop @ centre
    jacobian = (plane_from_crop[:2, :2] - np.outer([x / w, y / w], plane_from_crop[2, :2])) / w
    step_x, step_y = (_power_of_two(float(pitch)) for pitch in np.linalg.norm(jacobian, axis=1))
    return step_x, step_y


def _power_of_two(pitch: float) -> int:
    step = 1
    while pitch > _MINIFY * step and step < 64:
        step *= 2
    return step


def extended(region: Bytes, right: int, bottom: int) -> Bytes:
    """The plane with `right` columns and `bottom` rows more, which repeat its edge."""
    return cast(Bytes, cv2.copyMakeBorder(region, 0, bottom, 0, right, cv2.BORDER_REPLICATE))


def halved(region: Bytes, by_x: int, by_y: int) -> Bytes:
    """The plane averaged over blocks of by_x * by_y (1 or 2 each), which must divide its size."""
    # OpenCV averages 2 x 2 blocks some ten times faster than at any other ratio, hence steps of two
    # throughout.
    size = (region.shape[1] // by_x, region.shape[0] // by_y)
    return cast(Bytes, cv2.resize(region, size, interpolation=cv2.INTER_AREA))
