"""`upright`: would keypoints gain if the crop were turned so that the trunk stands upright in it?

The crops of rendered dives are cut around the true box, as the live path cuts them, and turned by the true angle of the
trunk, or by the angle that the keypoints of the frame before had: what a live path could know. The encoder is trained
on athletes in every attitude. Where even the true angle gains nothing to speak of, turning is not worth its price: more
pixels in every message, and an angle that could keep itself wrong.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from engines.codecs import Crop, crop_of_box, img_from_crop, transformed
from engines.contracts import CROP_H, CROP_W
from training import geometry as geo
from training import metrics
from training.evaluate.networks import Networks
from training.evaluate.perspective import videos_with_truth
from training.evaluate.result import Figures, Plot, Request, Result, Row
from training.evaluate.synth_dives import CROP_FACTOR
from training.evaluate.truth import Truth
from training.metrics import TILTS

Array = NDArray[Any]

FRAMES: Final = 1500
AS_IS, TRUE, BEFORE = "as it is", "turned by the true angle", "turned by the angle of the frame before"
WAYS: Final = (AS_IS, TRUE, BEFORE)
PCK, MEDIAN = "PCK@0.2 of the torso, percent", "Median error, pixels of the picture"
LEAST_TORSO_PX: Final = 8.0
"""Shorter ones, seen from the end, have no angle."""


class Seen(NamedTuple):
    """One frame: true joints (J, 2) and by way of turning the ones found, pixels of the picture."""

    truth: Array
    found: dict[str, Array]


def upright(request: Request) -> Result:
    """PCK and error of keypoints by the trunk's tilt, of crops as they are and turned upright."""
    networks = Networks(request.weights, request.encoder, request.precision)
    videos = videos_with_truth(request.data)
    seen: list[Seen] = []
    for video in track(videos, "dives", transient=True):
        seen += list(seen_in(networks, video))
        if len(seen) >= request.at_most(FRAMES):
            break
    truth = np.array([one.truth for one in seen])
    found = {way: np.array([one.found[way] for one in seen]) for way in WAYS}
    pck = Figures(PCK, {way: by_tilt(points, truth, _hits) for way, points in found.items()})
    median = Figures(MEDIAN, {way: by_tilt(points, truth, _median) for way, points in found.items()})
    places = tuple(pck.columns)
    series = {way: tuple(row[place] for place in places) for way, row in pck.rows.items()}
    return Result(
        "upright",
        f"{len(seen)} frames of rendered dives, true boxes",
        len(seen),
        (pck, median),
        (Plot("upright", PCK, places, series, "", "%"),),
        (f"Frames in which the torso is shorter than {LEAST_TORSO_PX:g} pixels are left out.",),
        networks.used,
    )


def seen_in(networks: Networks, video: Path) -> Iterator[Seen]:
    """Every frame with the athlete in view."""
    truth, before = Truth.beside(video), 0.0
    with av.open(str(video)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number >= len(truth.in_view) or not truth.in_view[number]:
                before = 0.0
                continue
            joints, picture = truth.joints_img_px[number], frame.to_ndarray(format="rgb24")
            angles = {AS_IS: 0.0, TRUE: angle_rad(joints), BEFORE: before}
            found = {way: _found(networks, picture, crop_of(joints, angle)) for way, angle in angles.items()}
            before = angle_rad(found[BEFORE])
            yield Seen(joints, found)


def angle_rad(joints_px: Array) -> float:
    """How far the trunk of joints (J, 2) is turned clockwise from upright."""
    across, down = metrics.trunk(joints_px)
    return math.atan2(across, -down)


def crop_of(joints_img_px: Array, angle: float) -> Crop:
    """The crop of the box around joints (J, 2), turned clockwise by `angle`, radians."""
    centre, size = geo.keypoint_box(joints_img_px)
    left, top, right, bottom = (float(edge) for edge in np.concatenate([centre - size / 2, centre + size / 2]))
    return crop_of_box((left, top, right, bottom), CROP_FACTOR, angle)


def _found(networks: Networks, picture: Array, crop: Crop) -> Array:
    matrix = img_from_crop(crop)
    cut = cv2.warpPerspective(picture, matrix, (CROP_W, CROP_H), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return transformed(networks.see(cut[None])["points_px"][0], matrix)


def by_tilt(points: Array, truth: Array, figure: Callable[[Array, Array], float]) -> Row:
    """A figure of points (N, J, 2) by the tilt of the true trunk, and of all."""
    torso = np.linalg.norm(metrics.trunk(truth), axis=-1)
    tilt = np.where(torso >= LEAST_TORSO_PX, metrics.tilt(metrics.trunk(truth)), "")
    error = np.linalg.norm(points - truth, axis=-1)
    chosen = {name: tilt == name for name in TILTS} | {"all": tilt != ""}
    return {name: figure(error[rows], torso[rows]) for name, rows in chosen.items() if rows.any()}


def _hits(error_px: Array, torso_px: Array) -> float:
    return float(100 * (error_px <= 0.2 * torso_px[:, None]).mean())


def _median(error_px: Array, torso_px: Array) -> float:
    return float(np.median(error_px))
