"""Rendered dives as a camera sees them that is turned away from the athlete: pictures for the suite `perspective`.

Turning a pinhole camera about its own centre moves its picture by a homography, K R K^-1, so the pictures need not be
rendered again: crops of the turned camera are cut straight out of the clip's.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.rotation import virtual_from_cam_at
from engines.codecs import transformed
from engines.contracts import CROP_H, CROP_W
from engines.view import View
from training.errors import TrainingError
from training.evaluate import perspective
from training.evaluate.networks import Networks, batched
from training.evaluate.truth import Truth

Array = NDArray[Any]


@dataclass(frozen=True)
class Moment:
    """A picture with the camera's and the athlete's truth, and the turn that brings the athlete to the axis."""

    picture: Array  # (H, W, 3)
    camera: Camera
    joints_img_px: Array  # (J, 2)
    joints_root_m: Array  # (J, 3) axes of the clip's camera
    straight_from_cam: Array  # (3, 3)


class Clips:
    """Frames of rendered dives with the athlete in view. Raises TrainingError naming a file without its truth."""

    def __init__(self, videos: list[Path], count: int) -> None:
        """Of every clip as many frames, at most `count` in all."""
        each = max(1, count // len(videos))
        self._moments = [moment for video in videos for moment in _moments(video, each)]

    def __len__(self) -> int:
        return len(self._moments)

    def seen(self, networks: Networks, angle_deg: int, known: bool) -> perspective.Seen:
        """Views around the true joints, keypoints and embeddings that the encoder finds in their crops, and truth."""
        turns = perspective.past(angle_deg, len(self))
        found = [_turned(moment, turn, known) for moment, turn in zip(self._moments, turns, strict=True)]
        views, crops, truth = ([one[column] for one in found] for column in range(3))
        cut = np.stack(crops)

        def look(rows: slice) -> tuple[Array, ...]:
            answer = networks.see(cut[rows])
            return answer["points_px"], answer["confidence"], answer["embedding"]

        points, confidence, embedding = batched(look, len(cut))
        keypoints = [view.keypoints(transformed(p, view.img_from_crop)) for view, p in zip(views, points, strict=True)]
        return perspective.Seen(views, np.array(keypoints), confidence, np.stack(truth), embedding)


def _moments(video: Path, count: int) -> Iterator[Moment]:
    """At most `count` frames of a clip, evenly from those with the athlete in view."""
    truth, matrices = Truth.beside(video), _matrices(video)
    in_view = np.flatnonzero(truth.in_view)
    chosen = set(in_view[np.linspace(0, len(in_view) - 1, min(count, len(in_view))).astype(int)].tolist())
    with av.open(str(video)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in chosen:
                pixels, root = truth.joints_img_px[number], truth.joints_root_m[number]
                yield _around(frame.to_ndarray(format="rgb24"), matrices[min(number, len(matrices) - 1)], pixels, root)


def _around(picture: Array, matrix: Array, joints_img_px: Array, joints_root_m: Array) -> Moment:
    """The part of a picture around the athlete, which is the picture of a camera with its axis elsewhere."""
    low, high = joints_img_px.min(0), joints_img_px.max(0)
    reach = max(high - low)
    left, top = (int(edge) for edge in np.maximum(low - reach, 0))
    right, bottom = (int(edge) for edge in high + reach)
    part = picture[top:bottom, left:right].copy()
    camera = Camera(part.shape[1], part.shape[0], matrix[0, 0], (matrix[0, 2] - left, matrix[1, 2] - top))
    middle = (low + high) / 2 - (left, top)
    straight = virtual_from_cam_at(camera, (float(middle[0]), float(middle[1])))
    return Moment(part, camera, joints_img_px - (left, top), joints_root_m, straight)


def _matrices(video: Path) -> Array:
    """Intrinsics (1 or F, 3, 3) of the clip's camera, pixels."""
    path = video.with_suffix(".truth.json")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        told = (
            [data["camera_matrix_px"]]
            if "camera_matrix_px" in data
            else [frame["camera_matrix_px"] for frame in data["frames"]]
        )
        return np.asarray(told, float).reshape(-1, 3, 3)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path}: tells no camera ({error!r}); render the clip again") from None


def _turned(moment: Moment, turn: Array, known: bool) -> tuple[View, Array, Array]:
    """View, crop (256, 192, 3) and truth (J, 3) of the camera that is turned past the athlete by `turn`."""
    turned_from_cam = turn @ moment.straight_from_cam
    focal = moment.camera.focal_px
    side = int(2 * focal)  # as wide as need be to look 30 degrees past and still see the whole athlete
    camera = Camera(side, side, focal, ((side - 1) / 2, (side - 1) / 2))
    turned_from_clip = camera.intrinsics @ turned_from_cam @ np.linalg.inv(moment.camera.intrinsics)
    view = perspective.view_of_joints(transformed(moment.joints_img_px, turned_from_clip), camera, known)
    clip_from_crop = np.linalg.inv(turned_from_clip) @ view.img_from_crop
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpPerspective(moment.picture, clip_from_crop, (CROP_W, CROP_H), flags=flags)
    return view, crop, moment.joints_root_m @ turned_from_cam.T
