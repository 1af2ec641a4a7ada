"""Sampling one plane of a picture through a homography: only the part a crop sees, averaged where it minifies."""

import math
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
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        if matrix[2, 0] == matrix[2, 1] == 0:  # the usual crop: no perspective, and a little less work
            return cast(Bytes, cv2.warpAffine(region, matrix[:2] / matrix[2, 2], self.size, flags=flags))
        return cast(Bytes, cv2.warpPerspective(region, matrix, self.size, flags=flags))

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
    rows, columns = shape
    steps = _steps(plane_from_crop, size)
    corners = _corners(plane_from_crop, size)
    if corners is None:
        inside, left, top, right, bottom = False, 0.0, 0.0, float(columns), float(rows)
    else:
        across, down = zip(*corners, strict=True)
        left, top, right, bottom = min(across), min(down), max(across), max(down)
        inside = left >= 0 and top >= 0 and right <= columns - 1 and bottom <= rows - 1
        left, right = left - 2 * steps[0], right + 2 * steps[0] + 1
        top, bottom = top - 2 * steps[1], bottom + 2 * steps[1] + 1
    low_x, high_x = _span(left, right, columns, steps[0])
    low_y, high_y = _span(top, bottom, rows, steps[1])
    if high_x <= low_x or high_y <= low_y:
        return None
    return Sampling(shape, size, plane_from_crop, steps, low_x, low_y, high_x, high_y, inside)


def _corners(plane_from_crop: Mat3, size: tuple[int, int]) -> list[tuple[float, float]] | None:
    """Where the crop's corners lie on the plane; None when it reaches the horizon and has no bound there."""
    (a, b, c), (d, e, f), (g, h, i) = plane_from_crop.tolist()
    corners = []
    for u, v in ((0, 0), (size[0] - 1, 0), (0, size[1] - 1), (size[0] - 1, size[1] - 1)):
        w = g * u + h * v + i
        if w <= 1e-9:
            return None
        corners.append(((a * u + b * v + c) / w, (d * u + e * v + f) / w))
    return corners


def _span(low: float, high: float, length: int, step: int) -> tuple[int, int]:
    """The part low..high of a plane's 0..length in whole steps."""
    low, high = min(max(low, 0.0), length), min(max(high, 0.0), length)
    return math.floor(low / step) * step, math.ceil(high / step) * step


def _steps(plane_from_crop: Mat3, size: tuple[int, int]) -> tuple[int, int]:
    """By how much (a power of two) to shrink the plane's x and y before sampling it."""
    (a, b, c), (d, e, f), (g, h, i) = plane_from_crop.tolist()
    u, v = (size[0] - 1) / 2, (size[1] - 1) / 2
    w = g * u + h * v + i
    x, y = (a * u + b * v + c) / w, (d * u + e * v + f) / w
    pitch_x, pitch_y = math.hypot(a - x * g, b - x * h) / abs(w), math.hypot(d - y * g, e - y * h) / abs(w)
    return _power_of_two(pitch_x), _power_of_two(pitch_y)


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
