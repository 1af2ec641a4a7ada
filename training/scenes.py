"""Search windows to learn from, drawn as the tracker looks: the whole picture squeezed to a square while nobody is
known, a square around the last box afterwards; and windows in which there is nobody.

The material is scenes and crops of `posecast synth`, and photographs. Boxes are `half width, half height, centre x,
centre y` in window coordinates -1..1, as the contract's `theta`. Batch number k of a seed depends on (seed, k) alone.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training import pictures
from training.datasets import CROP_SIDE_PX, shards
from training.errors import TrainingError
from training.geometry import keypoint_box
from training.synth import backgrounds
from training.synth.shards import ShardIndex
from training.windows import (
    SMALLEST,
    beside_window,
    cut_window,
    follow_window,
    furnished,
    graphics,
    inset,
    theta_in,
    thing_window,
    turned,
    whole_window,
)

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]
View = Literal["whole", "follow", "beside", "thing", "nobody"]

VIEWS: Final[tuple[View, ...]] = ("whole", "follow", "beside", "thing", "nobody")
SHARES: Final = (0.34, 0.36, 0.08, 0.16, 0.06)
"""How often each kind of window is drawn; without scenes of nobody, `nobody` is background alone."""
CANVASES: Final = 40
"""Painted backgrounds that a run uses."""


class Scenes(NamedTuple):
    """A batch of search windows."""

    picture: torch.Tensor  # (B, 128, 128, 3) uint8 RGB
    theta: torch.Tensor  # (B, 4), zeros without a subject
    presence: torch.Tensor  # (B, 1) 1 or 0
    certain: torch.Tensor  # (B, 1) 1 where presence is beyond doubt, 0 where a part of the subject is seen
    exact: torch.Tensor  # (B, 1) 1 where the box is the subject's outline, 0 where it was grown from joints


class Row(NamedTuple):
    """One sample of a batch."""

    picture: Picture
    theta: Array
    presence: float
    certain: float
    exact: float


@dataclass(frozen=True)
class StoredScene:
    """One scene as stored: JPEG, and the subject's box x0, y0, x1, y1 in scene coordinates -1..1, if there is one."""

    jpeg: bytes
    box: tuple[float, float, float, float] | None
    exact: bool = True
    """The box is the body's outline, not grown from joints."""
    centred: bool = False
    """The subject stands in the middle, as in a crop."""


def labelled_box(label: dict[str, Any]) -> tuple[tuple[float, float, float, float] | None, bool, bool]:
    """Box of a scene's, crop's or photograph's label in coordinates -1..1, and `exact` and `centred` of it."""
    if "present" in label:
        return (tuple(map(float, label["box"])) if label["present"] else None), True, False  # type: ignore[return-value]
    side = float(label.get("side_px", CROP_SIDE_PX))
    if "box_crop_px" in label:
        return tuple((2 * (np.array(label["box_crop_px"]) + 0.5) / side - 1).tolist()), True, True
    joints = np.array(label["joints_crop_px"])[np.array(label["labelled"], bool)]
    centre, size = keypoint_box(2 * (joints + 0.5) / side - 1, pad=0.05)
    return tuple(np.concatenate([centre - size / 2, centre + size / 2]).tolist()), False, True


class ScenePool:
    """The scenes of one split of a folder of shards, each read from its place in the file when wanted."""

    def __init__(self, folder: Path, validation: bool) -> None:
        self._index = ShardIndex(shards(folder), validation, labelled_box)

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> StoredScene:
        return StoredScene(self._index.jpeg(index), *self._index.labels[index])


def decode(jpeg: bytes) -> Picture:
    """RGB picture of a stored JPEG."""
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise TrainingError("a stored scene is no JPEG: render the shard again with `posecast synth`")
    return np.asarray(bgr[..., ::-1], np.uint8)


@functools.cache
def canvases(seed: int) -> tuple[Picture, ...]:
    """Painted backgrounds (256, 256, 3) of a seed."""
    rng = np.random.default_rng([seed, 0x5CE7E])
    return tuple(np.asarray(backgrounds.canvas(rng, side=256).image, np.uint8) for _ in range(CANVASES))


class Windows:
    """Windows drawn from pools of scenes, each pool with its share; `make(step, count)` is batch number `step`."""

    def __init__(self, pools: tuple[ScenePool, ...], shares: tuple[float, ...], seed: int) -> None:
        self.pools, self.seed = pools, seed
        self.shares = np.array(shares) / sum(shares)
        self.canvases = canvases(seed)

    def make(self, step: int, count: int) -> Scenes:
        """Batch number `step` of `count` windows, disturbed."""
        rng = np.random.default_rng([self.seed, step])
        return collate([self._one(rng, disturb=True) for _ in range(count)])

    def _one(self, rng: np.random.Generator, disturb: bool) -> Row:
        pool = self.pools[int(rng.choice(len(self.pools), p=self.shares))]
        return self.draw(rng, pool[int(rng.integers(len(pool)))], disturb)

    def draw(self, rng: np.random.Generator, stored: StoredScene, disturb: bool) -> Row:
        """One window of a stored scene; `disturb` also spoils the picture as cameras and broadcasts do."""
        view: View = VIEWS[int(rng.choice(len(VIEWS), p=SHARES))]
        scene, box = decode(stored.jpeg), None if stored.box is None else np.array(stored.box)
        upright = rng.random() < 0.4
        scene, box = turned(scene, box, 4 * int(rng.integers(2)) if upright else int(rng.integers(8)))
        canvas = self.canvases[int(rng.integers(len(self.canvases)))]
        if view == "nobody" and box is not None:
            scene, box = canvas, None
        large = box is not None and float((box[2:] - box[:2]).max()) / 2 > 2 * SMALLEST
        if box is not None and view == "whole" and large and rng.random() < 0.5:
            scene, box = inset(rng, scene, box, canvas, len(canvas))
        elif box is not None and view in ("follow", "beside") and stored.centred and rng.random() < 0.7:
            scene, box = inset(rng, scene, box, canvas, None)
        window = self._window(rng, view, scene, box)
        theta, presence, certain = theta_in(window, box)
        if presence and theta[:2].max() < SMALLEST:
            certain = 0.0
        border = cv2.BORDER_CONSTANT if rng.random() < 0.7 else cv2.BORDER_REPLICATE
        picture = cut_window(scene, window, border)
        if view == "thing" and not presence and rng.random() < 0.5:
            picture = furnished(rng, picture)
        if disturb:
            picture = self._spoil(rng, picture, view, hides=theta[:2].max() > 0.3 or not presence)
        return Row(picture, theta, presence, certain, float(stored.exact))

    def _window(self, rng: np.random.Generator, view: View, scene: Picture, box: Array | None) -> Array:
        if view == "thing" or (box is None and view != "whole"):
            window = thing_window(rng, scene, box)
            if window is not None:
                return window
        if view == "beside" and box is not None:
            window = beside_window(rng, box)
            if window is not None:
                return window
        return whole_window(rng, box) if box is None or view == "whole" else follow_window(rng, box)

    def _spoil(self, rng: np.random.Generator, picture: Picture, view: View, hides: bool) -> Picture:
        if view == "whole" and rng.random() < 0.12:
            picture = graphics(rng, picture)
        return pictures.disturb(rng, picture, occlude=hides)


def validation_scenes(folder: Path, limit: int, seed: int = 6) -> Scenes:
    """Up to `limit` held-out scenes of a folder in windows drawn once, without disturbance."""
    pool = ScenePool(folder, validation=True)
    if not len(pool):
        raise TrainingError(f"{folder}: no held-out scene yet; render more with `posecast synth scenes`")
    rng = np.random.default_rng(seed)
    windows = Windows((pool,), (1.0,), seed)
    return collate([windows.draw(rng, pool[int(i)], disturb=False) for i in rng.permutation(len(pool))[:limit]])


def collate(rows: list[Row]) -> Scenes:
    """A batch of rows."""
    picture, *numbers = (np.stack(column) for column in zip(*rows, strict=True))
    theta, *flags = (torch.from_numpy(np.asarray(values, np.float32)) for values in numbers)
    return Scenes(torch.from_numpy(picture), theta, *(flag[:, None] for flag in flags))
