"""Rendered views of a printed calibration board, with the exact camera: what the calibration is measured on.

A board is held before a random camera in a random place, size and tilt each time; the picture has the lens's
distortion, uneven light, blur, the smear of a moving hand and the noise of a sensor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from calibration.board import Pattern, charuco
from calibration.camera import Camera
from calibration.detection import Finder
from calibration.distortion import Model
from calibration.intrinsics import calibrated

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

SIZE_PX = (1280, 720)
VIEWS = 20
_TEXTURE_PX_PER_SQUARE = 64
_MARGIN_SQUARES = 0.5
_SUPERSAMPLING = 2
_SMEAR_PX = 2
_TRIES = 50
_GOLDEN = 0.618034


@dataclass(frozen=True)
class Shot:
    """How a board is held and photographed: `cam_from_board` [4, 4] in mm, and what happens to the picture."""

    cam_from_board: Floats
    blur_px: float = 0.7
    smear_px: float = 0.0
    smear_rad: float = 0.0
    noise: float = 2.0


def random_camera(rng: np.random.Generator, model: Model = "opencv", size_px: tuple[int, int] = SIZE_PX) -> Camera:
    """A camera as one meets them: 30 to 80 degrees wide with some distortion, or a fisheye lens of about 130."""
    width, height = size_px
    centre = ((width - 1) / 2 + rng.normal(0, 0.01 * width), (height - 1) / 2 + rng.normal(0, 0.01 * width))
    if model == "fisheye":
        focal = width * rng.uniform(0.4, 0.5)
        return Camera(width, height, focal, centre, tuple(rng.normal(0, [0.02, 0.004, 0.001, 0.0003])), model=model)
    focal = width / 2 / np.tan(np.deg2rad(rng.uniform(30, 80)) / 2)
    k1 = rng.uniform(-0.2, 0.05)
    distortion = (k1, rng.uniform(0.0, 0.3) * abs(k1), rng.normal(0, 5e-4), rng.normal(0, 5e-4))
    return Camera(width, height, focal, centre, distortion, rng.uniform(0.998, 1.002), model)


def random_shots(rng: np.random.Generator, camera: Camera, pattern: Pattern, count: int = VIEWS) -> list[Shot]:
    """Shots as somebody takes them who has read the manual: all over the picture, near and far, tilted every way.

    Of a checkerboard all corners are in the picture.
    """
    shots: list[Shot] = []
    for index in range(count):
        tries = (_shot(rng, camera, pattern, index) for _ in range(_TRIES))
        shots.append(next(shot for shot in tries if pattern.kind == "charuco" or _whole(shot, camera, pattern)))
    return shots


def _whole(shot: Shot, camera: Camera, pattern: Pattern) -> bool:
    corners = np.column_stack([pattern.corners_mm, np.zeros(len(pattern.corners_mm)), np.ones(len(pattern.corners_mm))])
    pixels = camera.project((corners @ shot.cam_from_board.T)[:, :3])
    return bool((np.abs(pixels / (camera.width, camera.height) - 0.5) < 0.48).all())


def _shot(rng: np.random.Generator, camera: Camera, pattern: Pattern, index: int) -> Shot:
    cell = np.array([index % 3, index // 3 % 3])
    place = (0.22 + 0.28 * cell + rng.uniform(-0.08, 0.08, 2)) * (camera.width - 1, camera.height - 1)
    part = rng.uniform(0.25, 0.6)
    ray = camera.unproject(place)
    distance = pattern.size_mm[0] * camera.focal_px / (part * camera.width)
    # Every way in turn: after the golden section of a full turn the next is far from all before.
    lean, about = np.deg2rad(rng.uniform(12, 42)), 2 * np.pi * (_GOLDEN * index + rng.uniform(0, 0.1))
    turn, _ = cv2.Rodrigues(np.array([np.cos(about), np.sin(about), 0.0]) * lean)
    roll, _ = cv2.Rodrigues(np.array([0.0, 0.0, rng.normal(0, 0.2)]))
    pose = np.eye(4)
    pose[:3, :3] = turn @ roll
    middle = np.array([*np.multiply(pattern.size_mm, 0.5), 0.0])
    pose[:3, 3] = ray / np.linalg.norm(ray) * distance - pose[:3, :3] @ middle
    smear = min(abs(rng.normal(0, 0.7)), _SMEAR_PX)
    return Shot(pose, rng.uniform(0.5, 1.0), smear, rng.uniform(0, np.pi), rng.uniform(1.0, 4.0))


class Renderer:
    """Pictures of one board through one camera."""

    def __init__(self, camera: Camera, pattern: Pattern) -> None:
        self.camera, self.pattern = camera, pattern
        scale = _SUPERSAMPLING
        u = (np.arange(camera.width * scale) + 0.5) / scale - 0.5
        v = (np.arange(camera.height * scale) + 0.5) / scale - 0.5
        flat = camera.normalised(np.stack(np.meshgrid(u, v), axis=-1))
        self._rays = np.concatenate([flat, np.ones_like(flat[..., :1])], axis=-1)
        self._texture = texture(pattern)

    def luma(self, shot: Shot, rng: np.random.Generator) -> Bytes:
        """The picture [H, W], uint8."""
        height, width = self.camera.height, self.camera.width
        board, inside = self._board(shot.cam_from_board)
        light = rng.uniform(0.75, 1.0) * (1 - 0.25 * _slope(rng, width, height))
        scene = _background(rng, width, height)
        picture = scene * (1 - inside) + board * inside
        picture = 12 + 205 * picture * light
        picture = cv2.GaussianBlur(_smeared(picture, shot), (0, 0), shot.blur_px)
        return np.clip(picture + rng.normal(0, shot.noise, picture.shape), 0, 255).round().astype(np.uint8)

    def _board(self, cam_from_board: Floats) -> tuple[Floats, Floats]:
        """Brightness of the print and the part of each pixel it covers, both [H, W]."""
        print_ = np.zeros((self.camera.height, self.camera.width))
        inside = np.zeros_like(print_)
        left, top, right, bottom = self._around(cam_from_board)
        if left >= right or top >= bottom:
            return print_, inside
        scale = _SUPERSAMPLING
        rays = self._rays[top * scale : bottom * scale, left * scale : right * scale]
        plane = cam_from_board[:3, [0, 1, 3]] @ np.linalg.inv(_texture_from_board(self.pattern))
        place = rays @ np.linalg.inv(plane).T
        with np.errstate(all="ignore"):
            ahead = place[..., 2] > 0
            u, v = (np.where(ahead, place[..., axis] / place[..., 2], -1e4).astype(np.float32) for axis in (0, 1))
        shades = []
        for source in (self._texture, np.ones_like(self._texture)):
            fine = cv2.remap(source, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
            shades.append(cv2.resize(fine, (right - left, bottom - top), interpolation=cv2.INTER_AREA))
        part = np.s_[top:bottom, left:right]
        inside[part] = shades[1]
        print_[part] = shades[0] / np.maximum(shades[1], 1e-6)
        return print_, inside

    def _around(self, cam_from_board: Floats) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what the sheet can cover, pixels; all of the picture if it is not known."""
        width, height = self.camera.width, self.camera.height
        margin = (_MARGIN_SQUARES + 0.2) * self.pattern.square_mm
        low, high = np.full(2, -margin), np.array(self.pattern.size_mm) + margin
        along = np.linspace(0, 1, 12)[:, None]
        corners = np.array([low, (high[0], low[1]), high, (low[0], high[1]), low])
        edge = np.concatenate([a + (b - a) * along for a, b in pairwise(corners)])
        points = np.column_stack([edge, np.zeros(len(edge))]) @ cam_from_board[:3, :3].T + cam_from_board[:3, 3]
        pixels = self.camera.project(points)
        if not np.isfinite(pixels).all():
            return 0, 0, width, height
        left, top = np.floor(pixels.min(axis=0)).clip(0, (width, height)).astype(int)
        right, bottom = np.ceil(pixels.max(axis=0) + 1).clip(0, (width, height)).astype(int)
        return int(left), int(top), int(right), int(bottom)


def texture(pattern: Pattern) -> npt.NDArray[np.float32]:
    """The print on its white sheet, 0 black to 1 white; ChArUco as OpenCV itself draws it."""
    side = _TEXTURE_PX_PER_SQUARE
    margin = round(_MARGIN_SQUARES * side)
    if pattern.kind == "charuco":
        squares = charuco(pattern).generateImage((pattern.columns * side, pattern.rows * side)) / 255.0
    else:
        parity = np.add.outer(np.arange(pattern.rows), np.arange(pattern.columns)) % 2
        squares = np.kron(parity, np.ones((side, side)))
    sheet = np.pad(squares, margin, constant_values=1.0)
    return np.asarray(0.04 + 0.9 * sheet, dtype=np.float32)


def _texture_from_board(pattern: Pattern) -> Floats:
    """Pixels of the texture from millimetres of the board (3, 3), homogeneous."""
    scale, margin = _TEXTURE_PX_PER_SQUARE / pattern.square_mm, round(_MARGIN_SQUARES * _TEXTURE_PX_PER_SQUARE)
    return np.array([[scale, 0, margin - 0.5], [0, scale, margin - 0.5], [0, 0, 1.0]])


def _slope(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Light that falls off to one side, 0..1 [H, W]."""
    angle = rng.uniform(0, 2 * np.pi)
    v, u = np.mgrid[:height, :width]
    along = np.cos(angle) * u / width + np.sin(angle) * v / height
    return np.asarray((along - along.min()) / np.ptp(along))


def _background(rng: np.random.Generator, width: int, height: int) -> Floats:
    coarse = rng.uniform(0.1, 0.9, (9, 16)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float64)


def _smeared(picture: Floats, shot: Shot) -> Floats:
    """Moved by `smear_px` while the shutter was open."""
    along = np.arange(-_SMEAR_PX, _SMEAR_PX + 1)
    u, v = np.meshgrid(along, along)
    kernel = np.zeros(u.shape)
    for step in np.linspace(-0.5, 0.5, 9) * shot.smear_px:
        beside = (
            (1 - abs(u - step * np.cos(shot.smear_rad))).clip(0),
            (1 - abs(v - step * np.sin(shot.smear_rad))).clip(0),
        )
        kernel += beside[0] * beside[1] / 9
    return np.asarray(cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REPLICATE))


def pictures(seed: int, camera: Camera, pattern: Pattern, count: int = VIEWS) -> Iterator[Bytes]:
    """`count` pictures [H, W] of the board, uint8."""
    rng = np.random.default_rng([seed, 1])
    renderer = Renderer(camera, pattern)
    for shot in random_shots(rng, camera, pattern, count):
        yield renderer.luma(shot, rng)


def focal_error(seed: int, pattern: Pattern | None = None, model: Model = "opencv") -> float:
    """Relative error of the focal length calibrated from 20 rendered views of a board; the true one is random."""
    pattern = pattern or Pattern()
    camera = random_camera(np.random.default_rng(seed), model)
    finder = Finder(pattern)
    found = [finder.view(luma) for luma in pictures(seed, camera, pattern)]
    result = calibrated([view for view in found if view is not None], pattern, SIZE_PX, model)
    return abs(result.camera.focal_px / camera.focal_px - 1)
