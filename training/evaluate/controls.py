"""What else the suite `flight` measures: calibration by boards and by falls, and tracking with and without gravity."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calibration.store import load
from engines.skeleton import PELVIS
from flight.verticals import Recording, plumbed
from training.evaluate import verticals
from training.evaluate.flight_clips import VENUES, Clip
from training.evaluate.result import Row
from training.synth import boards, trackscenes

Array = NDArray[Any]

TITLE: Final = "Tracking people as boxes, with gravity and without"
GRAVITY, WITHOUT = "with gravity", "without"
AGAIN: Final = "found again within 3 frames %"
BOARD: Final = "focal length by a ChArUco board, %"
FALLS: Final = "vertical from 5 dives, from noisy joints, degrees"
BOXES: Final = "the same by the middle of the box, degrees"
SEEN_FALLS: Final = "vertical from 5 dives, from pixels, degrees"
SCENES: Final = 200
SEED: Final = 9801
BOARDS: Final = 6
"""Cameras, each calibrated from rendered views of a ChArUco board."""
DIVES_EACH: Final = 5
CAMERAS: Final = 8
_FIRST_DIVE: Final = 9600


def tracking(limit: int) -> dict[str, Row]:
    """The tracker among walkers, coach and next diver, each diver hidden for 0.3 s of the flight."""
    count = limit or SCENES
    return {name: _tracked(count, gravity) for name, gravity in ((GRAVITY, True), (WITHOUT, False))}


def _tracked(count: int, gravity: bool) -> Row:
    found = trackscenes.track_scenes(count, SEED, gravity)
    return {
        "switches": float(found.switches),
        AGAIN: 100 * found.recovered,
        "of occlusions": float(found.occlusions),
        "frames lost %": 100 * found.lost,
        "first lock, s": found.lock_s,
        "mean IoU": found.overlap,
        "mean IoU while hidden": found.hidden_overlap,
        "dives": float(found.count),
    }


def boards_and_falls(limit: int, filmed: list[tuple[Clip, dict[str, Array]]]) -> dict[str, Row]:
    """Errors of focal lengths by boards, and of the vertical from the falls of five dives before one camera."""
    cameras = min(limit or CAMERAS, CAMERAS)
    focal = [100 * abs(boards.focal_error(seed)) for seed in range(min(limit or BOARDS, BOARDS))]
    seeds = [range(_FIRST_DIVE + DIVES_EACH * k, _FIRST_DIVE + DIVES_EACH * (k + 1)) for k in range(cameras)]
    heights = [3.0 if k % 2 else 10.0 for k in range(cameras)]
    centre = [verticals.gravity_error_deg(list(of), height) for of, height in zip(seeds, heights, strict=True)]
    box = [
        verticals.gravity_error_deg(list(of), height, point="box") for of, height in zip(seeds, heights, strict=True)
    ]
    rows = {
        BOARD: _spread(focal),
        FALLS: _spread(centre),
        BOXES: _spread(box),
    }
    pixels = [_plumb(filmed, venue) for venue in VENUES]
    if any(np.isfinite(pixels)):
        rows[SEEN_FALLS] = _spread([one for one in pixels if np.isfinite(one)])
    return rows


def _plumb(filmed: list[tuple[Clip, dict[str, Array]]], venue: str) -> float:
    """Error of the vertical, degrees, from a venue's dives as replayed; NaN where too few are there."""
    of_it = [(clip, poses) for clip, poses in filmed if clip.venue == venue]
    if len(of_it) < DIVES_EACH:
        return float("nan")
    camera = load(of_it[0][0].camera_file).camera
    found = plumbed([_recording(clip.name, poses) for clip, poses in of_it], camera)
    true_down = -np.array(of_it[0][0].truth["world_from_cam"])[2, :3]
    return float(np.degrees(np.arccos(np.clip(found.down_cam @ true_down, -1, 1))))


def _recording(name: str, poses: dict[str, Array]) -> Recording:
    joints = poses["joints_root_m"].astype(float)
    return Recording(
        name,
        poses["t_media_s"],
        joints - joints[:, PELVIS : PELVIS + 1],
        poses["joints_img_px"].astype(float),
        np.nan_to_num(poses["joints_conf"].astype(float)),
    )


def _spread(values: list[float]) -> Row:
    known = np.array(values)[np.isfinite(values)]
    return {"median": float(np.median(known)), "largest": float(known.max()), "cameras": float(len(known))}
