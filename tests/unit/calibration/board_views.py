"""Views of a board by a known camera, computed instead of rendered: exact corners with noise added."""

import cv2
import numpy as np

from calibration.board import Pattern
from calibration.camera import Camera
from calibration.detection import View
from training.synth.boards import random_shots


def views_of(
    camera: Camera, pattern: Pattern, count: int = 20, noise_px: float = 0.1, seed: int = 0, rise_px: float = 3.0
) -> list[View]:
    """Corners of the board that lie in the picture, in `count` varied poses."""
    rng = np.random.default_rng(seed)
    shots = random_shots(rng, camera, pattern, count)
    return [
        view_of(shot.cam_from_board, camera, pattern, rng, noise_px, rise_px, str(index))
        for index, shot in enumerate(shots)
    ]


def view_of(cam_from_board, camera, pattern, rng, noise_px=0.1, rise_px=3.0, label="") -> View:
    corners = np.column_stack([pattern.corners_mm, np.zeros(len(pattern.corners_mm))])
    pixels = camera.project(corners @ cam_from_board[:3, :3].T + cam_from_board[:3, 3])
    inside = ((pixels > 0) & (pixels < (camera.width - 1, camera.height - 1))).all(axis=1)
    pixels = pixels[inside] + rng.normal(0, noise_px, (inside.sum(), 2))
    return View(pixels, np.flatnonzero(inside), rise_px, label)


def pose(camera: Camera, pattern: Pattern, place, part, tilt_deg=(0.0, 0.0)) -> np.ndarray:
    """`cam_from_board` with the board's middle at `place` (0..1), `part` of the picture wide, turned about y and x."""
    turn = cv2.Rodrigues(np.deg2rad(np.array([tilt_deg[1], 0.0, 0.0])))[0]
    turn = cv2.Rodrigues(np.deg2rad(np.array([0.0, tilt_deg[0], 0.0])))[0] @ turn
    made = np.eye(4)
    made[:3, :3] = turn
    depth = pattern.size_mm[0] * camera.focal_px / (part * camera.width)
    middle = np.array([*np.multiply(pattern.size_mm, 0.5), 0.0])
    made[:3, 3] = camera.unproject(np.multiply(place, (camera.width - 1, camera.height - 1)), depth) - turn @ middle
    return made
