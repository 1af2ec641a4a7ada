"""A picture of a simple world: planes, boxes and bars drawn in perspective with a level camera.

Axes of this world: x right, y up from the floor, z away from the camera, metres; the eye is `eye_m` above the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

NEAR_M: Final = 0.3
_SUBPIXEL_BITS: Final = 3
_FARTHEST_TEXEL: Final = 30000.0  # remap counts in 16 bits; what lies farther has faded


@dataclass(frozen=True)
class View:
    """Square pictures of `side_px`, focal length `focal_px`, horizon at row `horizon_px`, eye `eye_m` above floor."""

    side_px: int
    focal_px: float
    horizon_px: float
    eye_m: float

    def at(self, points_m: Array) -> Array:
        """Pixels [..., 2] of points [..., 3]; points nearer than `NEAR_M` are drawn at that depth."""
        depth = np.maximum(points_m[..., 2], NEAR_M)
        x = self.side_px / 2 + self.focal_px * points_m[..., 0] / depth
        y = self.horizon_px + self.focal_px * (self.eye_m - points_m[..., 1]) / depth
        return np.stack([x, y], -1)

    def scale(self, depth_m: float) -> float:
        """Pixels per metre at this depth."""
        return self.focal_px / max(depth_m, NEAR_M)


def random_view(rng: np.random.Generator, side: int, eye_m: tuple[float, float] = (0.6, 6.0)) -> View:
    """Any usual camera: wide to long lens, looking a little up or down."""
    focal = side * float(np.exp(rng.uniform(np.log(0.6), np.log(3.0))))
    horizon = side * (0.5 + float(np.clip(rng.normal(-0.1, 0.25), -0.7, 0.6)))
    return View(side, focal, horizon, float(np.exp(rng.uniform(*np.log(eye_m)))))


def quad(image: Array, texture: Array, corners_px: Array) -> None:
    """Draw `texture` over the quadrilateral `corners_px` [4, 2] (its corners clockwise from top left) of `image`."""
    side, (height, width) = len(image), texture.shape[:2]
    corners = np.asarray(corners_px, np.float32)
    low = np.floor(corners.min(0)).clip(0, side).astype(int)
    high = np.ceil(corners.max(0)).clip(0, side).astype(int)
    if (high - low < 1).any():
        return
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    shift = (corners - low).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(flat, shift)
    size = tuple((high - low).tolist())
    drawn = cv2.warpPerspective(texture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    cover = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillConvexPoly(cover, np.rint(shift * 8).clip(-1e6, 1e6).astype(np.int32), 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    blend(image[low[1] : high[1], low[0] : high[0]], drawn, cover)


def blend(part: Array, drawn: Array, cover: Array) -> None:
    """Put `drawn` [H, W, 3] over `part` in place with `cover` [H, W] 0-255."""
    if part.size:
        alpha = (cover.astype(np.float32) / 255)[..., None]
        part += (drawn - part) * alpha


def paste(image: Array, sprite: Array, cover: Array, left_px: float, top_px: float) -> None:
    """Draw `sprite` [H, W, 3] with `cover` [H, W] 0-255 at this corner, cut at the picture's edges."""
    x, y = round(left_px), round(top_px)
    height, width = cover.shape
    x0, y0, x1, y1 = max(0, x), max(0, y), min(image.shape[1], x + width), min(len(image), y + height)
    if x0 < x1 and y0 < y1:
        inner = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
        blend(image[y0:y1, x0:x1], sprite[inner], cover[inner])


def ground(image: Array, view: View, texture: Array, metres: float) -> None:
    """Draw the floor: `texture` [S, S, 3] covers `metres` squared and repeats mirrored; it fades into its mean afar."""
    side, first = len(image), max(0, int(np.ceil(view.horizon_px + 1)))
    if first >= side:
        return
    depth = view.focal_px * view.eye_m / (np.arange(first, side, dtype=np.float32) - view.horizon_px)
    x = np.arange(side, dtype=np.float32) - side / 2
    unit = len(texture) / metres
    u = x[None] * (depth / view.focal_px * unit)[:, None] + 7.3 * unit
    v = np.repeat((depth * unit)[:, None], side, 1)
    u, v = (k.clip(-_FARTHEST_TEXEL, _FARTHEST_TEXEL) for k in (u, v))
    drawn = cv2.remap(texture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    # Texels per pixel along the line of sight: beyond a few there is nothing but noise to see.
    crowded = depth * depth / (view.focal_px * view.eye_m) * unit
    fade = np.clip((crowded - 1.5) / 8, 0, 0.9)[:, None, None]
    image[first:] = drawn * (1 - fade) + texture.mean((0, 1)) * fade


def face(image: Array, view: View, corners_m: Array, colour: Array) -> None:
    """Fill a polygon [N, 3] of one colour."""
    points = np.asarray(corners_m, np.float32)
    if points[:, 2].max() <= NEAR_M:
        return
    pixels = np.rint(view.at(points) * 8).clip(-1e6, 1e6).astype(np.int32)
    cv2.fillPoly(image, [pixels], tuple(map(float, colour)), cv2.LINE_AA, _SUBPIXEL_BITS)


def box(image: Array, view: View, low_m: Array, high_m: Array, colour: Array, texture: Array | None = None) -> None:
    """A box between two corners: front, the side and the top or bottom that the eye sees, each lit differently."""
    (x0, y0, z0), (x1, y1, z1) = low_m, high_m
    z0 = max(z0, NEAR_M)
    if y1 < view.eye_m:
        face(image, view, np.array([[x0, y1, z0], [x1, y1, z0], [x1, y1, z1], [x0, y1, z1]]), colour * 1.2)
    if y0 > view.eye_m:
        face(image, view, np.array([[x0, y0, z0], [x1, y0, z0], [x1, y0, z1], [x0, y0, z1]]), colour * 0.5)
    x = x0 if x0 > 0 else x1
    if x0 > 0 or x1 < 0:
        face(image, view, np.array([[x, y0, z0], [x, y0, z1], [x, y1, z1], [x, y1, z0]]), colour * 0.7)
    front = np.array([[x0, y1, z0], [x1, y1, z0], [x1, y0, z0], [x0, y0, z0]], np.float32)
    if texture is None:
        face(image, view, front, colour)
    else:
        quad(image, texture, view.at(front))


def bar(image: Array, view: View, start_m: Array, end_m: Array, width_m: float, colour: Array) -> None:
    """A round bar between two points."""
    ends = np.asarray([start_m, end_m], np.float32)
    if ends[:, 2].min() < NEAR_M:
        return
    pixels = view.at(ends)
    width = max(1, round(width_m * view.scale(float(ends[:, 2].mean()))))
    first, second = (tuple(p) for p in np.rint(pixels * 8).clip(-1e6, 1e6).astype(int).tolist())
    tone = tuple(map(float, colour))
    cv2.line(image, first, second, tone, min(width, 200), cv2.LINE_AA, _SUBPIXEL_BITS)
    if width > 4:
        light = tuple(map(float, np.minimum(colour * 1.3 + 10, 255)))
        cv2.line(image, first, second, light, width // 4, cv2.LINE_AA, _SUBPIXEL_BITS)
