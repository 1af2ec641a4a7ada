"""Rendered dives for the suite `flight`: cameras that rest, calibrated by the truth, and several dives by one camera.

Every clip is rendered once into DATA/flight, with its truth and its camera file beside it. Their seeds are nobody
else's: no network has seen these athletes, and no setting was chosen on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from calibration.camera import Camera
from calibration.store import save
from calibration.venue import Board, Calibration
from training.evaluate.result import MaterialMissing

SEEDS: Final = tuple(range(9401, 9421))
"""A dive and a camera each."""
VENUES: Final = {
    "springboard": (3.0, "quarter", tuple(range(9451, 9456))),
    "tower": (10.0, "side", tuple(range(9461, 9466))),
}
"""Height of the board, stand of the one camera, seeds of the dives before it."""
RECIPE: Final = 1
BOARD_WIDTH_M: Final = {"springboard": 0.5, "platform": 2.0}
BOARD_LENGTH_M: Final = 4.8


@dataclass(frozen=True)
class Clip:
    """A rendered dive: `name`, the video, the truth as it was written, the venue it belongs to (empty: its own)."""

    name: str
    video: Path
    truth: dict[str, Any]
    venue: str

    @property
    def camera_file(self) -> Path:
        """The calibration of the truth."""
        return self.video.with_name("camera.toml")

    @property
    def report(self) -> dict[str, Any]:
        """What a report should find."""
        return dict(self.truth["report"])


def clips(data: Path, limit: int = 0) -> list[Clip]:
    """All clips, rendered where they are missing. Raises MaterialMissing where they cannot be."""
    wanted = [(seed, "") for seed in SEEDS]
    wanted += [(seed, venue) for venue, (_, _, seeds) in VENUES.items() for seed in seeds]
    found = []
    for seed, venue in wanted[: limit or None]:
        folder = data / "flight" / f"dive-{seed}"
        if not _whole(folder):
            _render(folder, seed, venue)
        truth = json.loads((folder / "dive.truth.json").read_text(encoding="utf-8"))
        found.append(Clip(folder.name, folder / "dive.mp4", truth, venue))
    return found


def _whole(folder: Path) -> bool:
    try:
        truth = json.loads((folder / "dive.truth.json").read_text(encoding="utf-8"))
        whole = isinstance(truth, dict) and truth.get("recipe") == RECIPE
        return whole and all((folder / name).is_file() for name in ("dive.mp4", "camera.toml"))
    except (OSError, ValueError):
        return False


def _render(folder: Path, seed: int, venue: str) -> None:
    try:
        from training.synth import clip, dive, render, shots
    except ImportError as error:
        raise MaterialMissing(f"{folder.parent}: clips to render, and none can be rendered ({error})") from None
    chance = np.random.default_rng(seed)
    camera = _venue_camera(venue) if venue else None
    told = {"recipe": RECIPE, "made_with": f"posecast eval flight, seed {seed}"}
    try:
        for plan in _plans(chance, venue):
            try:
                shot = shots.Shot("static", "random")
                clip.write(folder, seed, plan, shot, thorough=False, camera=camera, **told)
                break
            except dive.DiveError:  # this body cannot make it: another dive
                continue
    except (render.NoGraphicsError, OSError) as error:
        raise MaterialMissing(f"{folder.parent}: clips to render, and none can be rendered ({error})") from None
    calibrate(folder)


def _plans(chance: np.random.Generator, venue: str) -> Iterator[Any]:
    from training.synth import dive

    while True:
        plan = dive.random_plan(chance)
        if not venue or plan.height_m == VENUES[venue][0]:
            yield plan


def _venue_camera(venue: str) -> Any:
    """One camera for all dives from a board: it sees whatever a dive from there may need."""
    from training.synth import clip, shots

    height_m, stand, seeds = VENUES[venue]
    rng = np.random.default_rng(seeds[0])
    room = np.array([[x, y, z] for x in (-1.5, 3.2) for y in (-0.6, 0.6) for z in (-height_m - 0.9, 2.9)])
    return shots.framing(shots.position(rng, stand, height_m), room, clip.SIZE_PX)


def calibrate(folder: Path) -> None:
    """Write the camera file of a clip's truth beside it."""
    truth = json.loads((folder / "dive.truth.json").read_text(encoding="utf-8"))
    matrix, height_m = truth["camera_matrix_px"], float(truth["dive"]["height_m"])
    width, height = truth["size_px"]
    camera = Camera(width, height, matrix[0][0], (matrix[0][2], matrix[1][2]))
    kind = "springboard" if height_m <= 3 else "platform"
    board = Board(kind, height_m, BOARD_WIDTH_M[kind], BOARD_LENGTH_M)
    placed = Calibration(camera, np.array(truth["world_from_cam"]), board=board, source="truth of the rendered clip")
    save(folder / "camera.toml", placed)
