"""The tracker rehearsed without pictures and networks: scenes in which people are boxes, and a detector with faults.

`python -m pipeline.rehearsal SCENES.npz TRACKS.npz [--sport ground]` runs the real tracker, its ring, its thumbnails
and its search. Only what the detector answers is made up: of those it can see in a window the one it would take, with
noise, misses and finds where nobody is. Scenes come from whoever has some (`training.synth.trackscenes`).
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
import typer

from engines.codecs import window_of_picture
from engines.view import Views
from pipeline.config import Config, TrackSettings
from pipeline.messages import Box, Track
from pipeline.picture import Picture
from pipeline.ring import Ring, slot_bytes_for
from pipeline.sources.source import SourceInfo
from pipeline.stages.capture import Capture
from pipeline.stages.track import Tracker

Floats = npt.NDArray[np.float64]

NOT_CALIBRATED_DEG: Final = 25.0
SMALLEST: Final = 0.12
"""Somebody whose longer side is a smaller share of the window is not seen in it."""
LARGER: Final = 0.2
"""Of two at the same distance from the window's middle the larger is found."""
MISSED: Final = 0.1
FALSE: Final = 0.01
"""How often somebody in the window is not found, and how often somebody is found where nobody is."""
WALL: Final = (60, 190)
TILE_PX: Final = 6
DARK: Final = 20
BRIGHT: Final = 160
CLOTH: Final = 90
CLOTH_PX: Final = 96
"""Brightness of the wall's tiles, from and up to; of the people's rectangles, the first and the last, and by how much
it varies over one; the pattern repeats itself after so many pixels."""


class Scene:
    """F frames with P people: `boxes_img_px` (F, P, 4), NaN where somebody cannot be seen."""

    def __init__(self, boxes_img_px: Floats, size_px: tuple[int, int], noise_px: float, seed: int) -> None:
        self.boxes_img_px, self.noise_px = boxes_img_px, noise_px
        self.width, self.height = size_px
        self.chance = np.random.default_rng(seed)
        self._shades = np.linspace(DARK, BRIGHT, boxes_img_px.shape[1]).astype(np.uint8)
        chance = np.random.default_rng(seed)
        cloth = chance.integers(0, CLOTH, (CLOTH_PX // 3, CLOTH_PX // 3))
        self._cloth = cloth.astype(np.uint8).repeat(3, 0).repeat(3, 1)
        tiles = chance.integers(*WALL, (self.height // TILE_PX + 1, self.width // TILE_PX + 1))
        self._wall = tiles.astype(np.uint8).repeat(TILE_PX, 0).repeat(TILE_PX, 1)[: self.height, : self.width]

    def picture(self, frame: int, t_media_ns: int) -> Picture:
        """Everybody a rectangle before a wall that rests: enough for what looks for motion."""
        luma = self._wall.copy()
        for shade, box in zip(self._shades, self.boxes_img_px[frame], strict=True):
            if np.isfinite(box).all():
                limits = [self.width, self.height] * 2
                left, top, right, bottom = np.clip(np.rint(box), 0, limits).astype(int).tolist()
                rows, columns = np.arange(top, bottom) - round(box[1]), np.arange(left, right) - round(box[0])
                luma[top:bottom, left:right] = self._cloth[rows[:, None] % CLOTH_PX, columns % CLOTH_PX] + shade
        chroma = np.full(((self.height + 1) // 2, (self.width + 1) // 2), 128, np.uint8)
        return Picture((luma, chroma, chroma), "yuv420p", t_media_ns=t_media_ns)


class Faulty:
    """In place of the network: knows where everybody is, and finds one of those in the window, mostly."""

    device = "rehearsal"

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.frame = 0

    def look(self, picture: Picture, window: Box) -> tuple[Box, float]:
        """See `Detector`."""
        scene, chance = self._scene, self._scene.chance
        inside = [box for box in scene.boxes_img_px[self.frame].tolist() if _seen(box, window)]
        if inside and chance.random() >= MISSED:
            nearest = min(inside, key=lambda box: _away(box, window))
            return self._noisy(nearest), float(chance.uniform(0.75, 1.0))
        if not inside and chance.random() < FALSE:
            return self._noisy(_drawn(window, chance)), float(chance.uniform(0.4, 0.9))
        return window, 0.03

    def glance(self, small: npt.NDArray[np.uint8], width: int, height: int) -> tuple[Box, float]:
        """See `Detector`."""
        return self.look(self._scene.picture(self.frame, 0), window_of_picture(width, height))

    def _noisy(self, box: list[float]) -> Box:
        left, top, right, bottom = np.array(box) + self._scene.chance.normal(0, self._scene.noise_px, 4)
        return float(left), float(top), max(float(right), float(left) + 1), max(float(bottom), float(top) + 1)


def _seen(box: list[float], window: Box) -> bool:
    left, top, right, bottom = box
    if not np.isfinite(left):
        return False
    u, v, side = (left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top)
    in_it = window[0] < u < window[2] and window[1] < v < window[3]
    return in_it and side >= SMALLEST * max(window[2] - window[0], window[3] - window[1])


def _away(box: list[float], window: Box) -> float:
    """How little somebody stands out in a window: the distance from its middle, less a part of the size, in its
    sides."""
    left, top, right, bottom = box
    off = np.hypot((left + right - window[0] - window[2]) / 2, (top + bottom - window[1] - window[3]) / 2)
    return float(off - LARGER * max(right - left, bottom - top)) / (window[2] - window[0])


def _drawn(window: Box, chance: np.random.Generator) -> list[float]:
    """A box somewhere in the window."""
    side = window[2] - window[0]
    u, v = window[0] + side * chance.uniform(0.3, 0.7), window[1] + side * chance.uniform(0.3, 0.7)
    half = side * chance.uniform(0.1, 0.25, 2) / 2
    return [u - half[0], v - half[1], u + half[0], v + half[1]]


def rehearsed(scene: Scene, rate_hz: float, settings: TrackSettings, folder: Path) -> Iterator[Track]:
    """What the tracker tells of each frame of a scene."""
    ring = Ring.create(folder / "ring", 4, slot_bytes_for(scene.width, scene.height))
    info = SourceInfo("scene", scene.width, scene.height, rate_hz, 0, False, None)
    capture, detector = Capture(Config(track=settings), ring, info), Faulty(scene)
    tracker = Tracker(settings, detector, lambda: ring, None, Views(None, NOT_CALIBRATED_DEG))
    for number in range(len(scene.boxes_img_px)):
        detector.frame = number
        frame = capture.step(scene.picture(number, round(number / rate_hz * 1e9)), number, 0)
        yield from tracker.step([frame])
    ring.close()


def main(scenes: Path, tracks: Path, sport: Annotated[Literal["dive", "ground"], typer.Option()] = "dive") -> None:
    """Run the tracker on all scenes of a file and write what it tells to another.

    SCENES has `boxes_img_px` (S, F, P, 4), `frames` (S,) of them used, `size_px` (2,), `rate_hz`, `noise_px` (S,) and
    `seed`; TRACKS gets `boxes_img_px` (S, F, 4), NaN where nobody is told, and `subject` (S, F).
    """
    with np.load(scenes, allow_pickle=False) as told, tempfile.TemporaryDirectory() as folder:
        size = (int(told["size_px"][0]), int(told["size_px"][1]))
        boxes, seed = told["boxes_img_px"], int(told["seed"])
        found = np.full((*boxes.shape[:2], 4), np.nan)
        subject = np.zeros(boxes.shape[:2], np.int64)
        for number, count in enumerate(told["frames"].tolist()):
            scene = Scene(boxes[number, :count], size, float(told["noise_px"][number]), seed + number)
            settings = TrackSettings(sport=sport)
            for track in rehearsed(scene, float(told["rate_hz"]), settings, Path(folder)):
                subject[number, track.seq] = track.subject
                if track.box_img_px is not None:
                    found[number, track.seq] = track.box_img_px
    np.savez_compressed(tracks, boxes_img_px=found, subject=subject)


if __name__ == "__main__":
    typer.run(main)
