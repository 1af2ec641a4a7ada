"""Keypoints and poses that a user brings to `lift`: `joints_img_px` (N, 17, 2), `joints_cam_m` (N, 17, 3), `camera`
(4: fx, fy, cx, cy, pixels), and if wanted `clip` (N), `fps` and `mask` (17) or (N, 17), 1 where a joint is known.

Pixels count from the centre of the top-left one, without lens distortion. Joints are in camera axes (x right, y down, z
forward) and in the order of `engines.skeleton`; the pelvis must be known.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.codecs import Crop, normalised_keypoints
from engines.skeleton import PELVIS, J
from training import geometry as geo
from training.errors import TrainingError
from training.evaluate.poses3d import pose_row
from training.evaluate.result import Row
from training.npz import numbers, read_npz

Array = NDArray[Any]

LAYOUT: Final = "expected joints_img_px (N,17,2), joints_cam_m (N,17,3), camera (4), and optionally clip, fps, mask"


@dataclass(frozen=True)
class Given:
    """What the lifter takes, and the truth; see `read`."""

    keypoints: Array  # (N, J, 2)
    confidence: Array  # (N, J) 1 or 0
    box: Array  # (N, 3)
    truth_m: Array  # (N, J, 3) root-relative
    clip: Array  # (N,)
    rate_hz: float

    def mean_row(self, predicted: Array) -> Row:
        """Errors of `predicted` (N, J, 3) over the known joints of every frame."""
        total: Row = {}
        patterns, member = np.unique(self.confidence > 0, axis=0, return_inverse=True)
        for number, known in enumerate(patterns):
            rows = member.ravel() == number
            row = pose_row(predicted[rows][:, known], self.truth_m[rows][:, known])
            for name, value in row.items():
                total[name] = total.get(name, 0.0) + value * rows.mean()
        return total | {"poses": float(len(predicted))}

    def clips(self, predicted: Array) -> Iterator[tuple[Array, Array]]:
        """Prediction and truth (T, K, 3) of each clip, over the joints known in all of its frames."""
        for name in np.unique(self.clip):
            rows = self.clip == name
            known = (self.confidence[rows] > 0).all(0)
            yield predicted[rows][:, known], self.truth_m[rows][:, known]


def read(path: Path, limit: int = 0) -> Given:
    """The arrays of a file, at most `limit` frames of them (0: all). Raises TrainingError naming what is wrong."""
    arrays = read_npz(path, LAYOUT, ("joints_img_px", "joints_cam_m", "camera"), ("clip", "fps", "mask"))
    points, joints, camera = (
        numbers(path, name, arrays[name], np.float64) for name in ("joints_img_px", "joints_cam_m", "camera")
    )
    count = len(np.atleast_1d(points))
    _shape(path, "joints_img_px", points, (count, J, 2))
    _shape(path, "joints_cam_m", joints, (count, J, 3))
    _shape(path, "camera", camera, (4,))
    if not (np.isfinite(camera).all() and (camera[:2] > 0).all()):
        raise TrainingError(f"{path}: camera is {camera.tolist()}; expected fx, fy above 0, cx, cy, pixels")
    mask, clip = numbers(path, "mask", arrays.get("mask", np.ones(J)), np.float64), arrays.get("clip", np.arange(count))
    if mask.shape not in ((J,), (count, J)):
        raise TrainingError(f"{path}: mask has shape {mask.shape}; expected ({J},) or ({count}, {J})")
    _shape(path, "clip", clip, (count,))
    known = np.broadcast_to(mask > 0, (count, J)) & np.isfinite(points).all(-1) & np.isfinite(joints).all(-1)
    if count == 0 or not known[:, PELVIS].all() or (known.sum(1) < 2).any():
        raise TrainingError(f"{path}: every frame needs its pelvis and another joint; leave out the frames without")
    spread = np.ptp(np.where(known[..., None], points, points[:, PELVIS : PELVIS + 1]), axis=1).max(-1)
    if not (spread > 0).all():
        raise TrainingError(f"{path}: frame {int(np.argmin(spread))} has all its joints in one place; leave it out")
    rate_hz = float(numbers(path, "fps", arrays.get("fps", np.array(50.0)), np.float64).reshape(-1)[0])
    rows = slice(0, limit or None)
    return _given(points[rows], joints[rows], known[rows], camera, clip[rows], rate_hz)


def _given(points: Array, joints: Array, known: Array, camera: Array, clip: Array, rate_hz: float) -> Given:
    focal, middle = camera[:2], camera[2:]
    keypoints, boxes = np.zeros((len(points), J, 2), np.float32), []
    for row, (place, there) in enumerate(zip(points, known, strict=True)):
        centre, size = geo.keypoint_box(place[there])
        crop = Crop((float(centre[0]), float(centre[1])), float(geo.crop_height(size)))
        keypoints[row, there] = normalised_keypoints(place[there], crop)
        boxes.append([*((centre - middle) / focal), crop.height_px / focal[1]])
    truth = np.where(known[..., None], joints - joints[:, PELVIS : PELVIS + 1], 0.0)
    return Given(keypoints, known.astype(np.float32), np.array(boxes, np.float32), truth, clip, rate_hz)


def _shape(path: Path, name: str, array: Array, expected: tuple[int, ...]) -> None:
    if array.shape != expected:
        raise TrainingError(f"{path}: {name} has shape {array.shape}, expected {expected}; {LAYOUT}")
