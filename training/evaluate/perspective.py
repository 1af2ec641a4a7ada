"""`perspective`: does the error of poses depend on where in the picture the athlete is?

The same athletes are seen by one and the same camera, that looks straight at them and then 10, 20 and 30 degrees past
them, in any direction: nothing changes but the perspective of the picture. Truth is in the axes of the turned camera.
Four ways of telling the networks, of which the live path takes the first where the camera is known:

- virtual camera: the crop is that of a camera turned onto the athlete, and the pose is turned back (`engines.view`);
- bearing told: a plain crop, its bearing in the box token, by which the networks turn keypoints and pose themselves;
- turned back: a plain crop, nothing told, and the pose turned by the bearing afterwards;
- nothing told: a plain crop as if it lay in the middle of the picture. The negative control.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration import rotation
from calibration.camera import Camera
from engines.codecs import transformed
from engines.contracts import MODALITY_2D, MODALITY_IMAGE
from engines.view import View, view_of_box
from training import geometry as geo
from training import metrics
from training.evaluate.networks import Networks, batched
from training.evaluate.result import Figures, Plot, Request, Result, Row
from training.evaluate.synth_dives import CROP_FACTOR
from training.poses import dive_clips

Array = NDArray[Any]

SEED: Final = 77003
ANGLES_DEG: Final = (0, 10, 20, 30)
CAMERA: Final = Camera(1920, 1920, 1200.0, (959.5, 959.5))
"""Wide enough for athletes 30 degrees off in any direction: 77 degrees from edge to edge."""
DISTANCES_M: Final = (4.0, 12.0)
POSES: Final = 1000
DIVES: Final = 20
PICTURES: Final = 200
NOISE_PX: Final = 3.0
NEAR_M: Final = (3.0, 6.0)
"""Where the perspective of a body's depth is strong enough to tell."""
SAMPLE: Final = Path(__file__).resolve().parents[2] / "samples" / "dive.mp4"
WRONG: Final = (0.5, 0.71, 1.0, 1.41, 2.0)
"""Factors by which the token's height is told wrong."""

VIRTUAL, TOLD, AFTER, NOTHING = "virtual camera", "bearing told", "turned back", "nothing told"
WAYS: Final = (VIRTUAL, TOLD, AFTER, NOTHING)
EXACT, NOISY = "Exact joints", f"Joints with {NOISE_PX:.0f} px of noise"
DETECTED, PICTURE = "Rendered dives, from detected keypoints", "Rendered dives, from the picture's embedding"
HEIGHT = "Exact joints straight ahead, the crop's height told wrong"
CHANGE = "largest change %"


class Seen(NamedTuple):
    """N athletes as a camera sees them: views, what the networks are given of them, and the truth."""

    views: list[View]
    keypoints: Array  # (N, J, 2)
    confidence: Array  # (N, J)
    truth_m: Array  # (N, J, 3) root-relative, camera axes
    embedding: Array | None = None  # (N, 1024), of the pictures


See = Callable[[int, bool], Seen]
"""Angle in degrees and whether the camera counts as known, to what is seen."""


def perspective(request: Request) -> Result:
    """Errors by angle for every way, from exact and noisy joints and from rendered athletes; and the token's part."""
    from training.evaluate.turned import Clips  # which needs what is here

    networks = Networks(request.weights, request.encoder, request.precision)
    joints = athletes(np.random.default_rng(SEED), request.at_most(POSES))
    videos = videos_with_truth(request.data)
    clips = Clips(videos, min(len(joints), PICTURES))

    def pictures(angle: int, known: bool) -> Seen:
        return clips.seen(networks, angle, known)

    tables = [
        by_angle(EXACT, networks, lambda angle, known: projected(joints, angle, known), MODALITY_2D),
        by_angle(NOISY, networks, lambda angle, known: projected(joints, angle, known, NOISE_PX), MODALITY_2D),
        by_angle(DETECTED, networks, pictures, MODALITY_2D),
        by_angle(PICTURE, networks, pictures, MODALITY_IMAGE),
        heights(networks, {f"{distance:g} m away": projected(at(joints, distance), 0, True) for distance in NEAR_M}),
    ]
    return Result(
        "perspective",
        f"{len(joints)} moments of generated dives of another seed, {DISTANCES_M[0]:g} to {DISTANCES_M[1]:g} m before "
        f"the camera; {len(clips)} frames of {len(videos)} rendered dives",
        len(joints),
        tuple(tables),
        (_plot(tables[0]),),
        (
            "MPJPE in mm, by the angle in degrees between the optical axis and the athlete.",
            f"`{CHANGE}`: of the angle that differs most, against straight ahead.",
        ),
        networks.used,
    )


def athletes(rng: np.random.Generator, count: int, dives: int = DIVES) -> Array:
    """Moments of so many dives (count, J, 3) before a camera that looks straight at them, from any side; metres."""
    frames = np.concatenate([clip.joints_world_m for clip in dive_clips(rng, dives)])
    chosen = frames[rng.integers(len(frames), size=count)]
    turned = (chosen - chosen[:, :1]) @ np.swapaxes(geo.random_views(rng, count, full_circle=0.0), -1, -2)
    turned[..., 2] += np.exp(rng.uniform(*np.log(DISTANCES_M), (count, 1)))
    return np.asarray(turned, np.float64)


def at(joints_m: Array, distance_m: float) -> Array:
    """The same athletes (N, J, 3), all at that distance."""
    return np.asarray(joints_m + np.array([0, 0, distance_m]) - joints_m[:, :1] * [0, 0, 1])


def past(angle_deg: float, count: int) -> Array:
    """Rotations (count, 3, 3) from the camera that looks straight to ones that look so far past, in any direction."""
    way = np.random.default_rng(SEED).uniform(-np.pi, np.pi, count)
    sine, cosine = np.sin(np.radians(angle_deg)), np.cos(np.radians(angle_deg))
    rays = np.stack([sine * np.cos(way), sine * np.sin(way), np.full(count, cosine)], -1)
    return np.stack([rotation.virtual_from_cam(ray).T for ray in rays])


def projected(joints_m: Array, angle_deg: float, known: bool, noise_px: float = 0.0) -> Seen:
    """Athletes (N, J, 3) before the turned camera, their joints found in the crop up to noise in pixels of it."""
    cam = joints_m @ np.swapaxes(past(angle_deg, len(joints_m)), -1, -2)
    views = [view_of_joints(points, CAMERA, known) for points in CAMERA.project(cam)]
    noise = noise_px * np.random.default_rng(SEED).standard_normal((*cam.shape[:2], 2))
    keypoints = []
    for view, points, error in zip(views, CAMERA.project(cam), noise, strict=True):
        found = transformed(points, np.linalg.inv(view.img_from_crop)) + error
        keypoints.append(view.keypoints(transformed(found, view.img_from_crop)))
    return Seen(views, np.array(keypoints), np.ones(cam.shape[:2], np.float32), cam - cam[:, :1])


def view_of_joints(points_img_px: Array, camera: Camera, known: bool) -> View:
    """The view that the live path has of an athlete whose joints (J, 2) lie there."""
    centre, size = geo.keypoint_box(points_img_px)
    left, top, right, bottom = (float(edge) for edge in np.concatenate([centre - size / 2, centre + size / 2]))
    return view_of_box((left, top, right, bottom), CROP_FACTOR, camera, known)


def by_angle(title: str, networks: Networks, see: See, modality: int) -> Figures:
    """MPJPE of every way at every angle."""
    rows: dict[str, Row] = {way: {} for way in WAYS}
    for angle in ANGLES_DEG:
        turned, plain = see(angle, True), see(angle, False)
        for way, row in rows.items():
            seen = turned if way == VIRTUAL else plain
            row[f"{angle}"] = metrics.mpjpe(answered(networks, seen, way, modality), seen.truth_m)
    for row in rows.values():
        first, *others = row.values()
        row[CHANGE] = 100 * max((error / first - 1 for error in others), key=abs)
    return Figures(title, rows)


def answered(networks: Networks, seen: Seen, way: str, modality: int, factor: float = 1.0) -> Array:
    """Joints (N, J, 3) in camera axes by the MLP decoder, told in this way, and the height wrong by `factor`."""
    box = np.stack([view.box for view in seen.views]) * np.float32([1, 1, factor])
    if way in (AFTER, NOTHING):
        box[:, :2] = 0
    turn_back = _afterwards if way == AFTER else View.cam_from_view
    joints = _decoded(networks, seen, box, modality)
    return np.stack([turn_back(view, pose) for view, pose in zip(seen.views, joints, strict=True)])


def _afterwards(view: View, pose: Array) -> Array:
    return rotation.undo_implicit_rotation(pose, view.camera, view.crop.centre_img_px)


def heights(networks: Networks, seen: dict[str, Seen]) -> Figures:
    """MPJPE when the token's third number, all that a map of the perspective could tell, is told wrong by a factor.

    A network that did not use it would not mind.
    """
    rows: dict[str, Row] = {}
    for name, one in seen.items():
        told = {f"x {factor:g}": answered(networks, one, VIRTUAL, MODALITY_2D, factor) for factor in WRONG}
        rows[name] = {factor: metrics.mpjpe(joints, one.truth_m) for factor, joints in told.items()}
    return Figures(HEIGHT, rows)


def _decoded(networks: Networks, seen: Seen, box: Array, modality: int) -> Array:
    if modality == MODALITY_2D:
        return networks.lift(seen.keypoints, seen.confidence, box)
    embedding = seen.embedding
    assert embedding is not None
    return batched(lambda rows: (networks.mlp(embedding[rows], MODALITY_IMAGE, box[rows]),), len(box))[0]


def videos_with_truth(data: Path) -> list[Path]:
    """The clips with truth below dives/ of the data, or the sample."""
    folder = data / "dives" if (data / "dives").is_dir() else data
    found = sorted(video for video in folder.rglob("*.mp4") if video.with_suffix(".truth.json").is_file())
    return found or [SAMPLE]


def _plot(table: Figures) -> Plot:
    series = {way: tuple(row[f"{angle}"] for angle in ANGLES_DEG) for way, row in table.rows.items()}
    return Plot("perspective", table.title, ANGLES_DEG, series, "angle off the optical axis, degrees", "MPJPE, mm")
