"""Search windows to learn from: the synthetic scenes of `posecast synth`, cut as the tracker looks at them.

Live, the network sees the whole picture squeezed to a square (to acquire) or a window around the last box (to follow).
Boxes are `half width, half height, centre x, centre y` in window coordinates -1..1, as the contract's `theta`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from engines.contracts import STN_PX
from training import pictures
from training.datasets import shards
from training.errors import TrainingError

Array = NDArray[np.float64]

FULL: Final = 0.35
"""Share of windows that are as large as the scene allows."""
VISIBLE: Final = 0.4
"""Share of a box's area that must lie in the window for the subject to count as present."""


class Scenes(NamedTuple):
    """A batch of search windows."""

    picture: torch.Tensor  # (B, 128, 128, 3) uint8 RGB
    theta: torch.Tensor  # (B, 4), zeros without a subject
    presence: torch.Tensor  # (B, 1) 1 or 0


@dataclass(frozen=True)
class StoredScene:
    """One scene as stored: JPEG, and the subject's box x0, y0, x1, y1 in scene coordinates -1..1, if there is one."""

    jpeg: bytes
    box: tuple[float, float, float, float] | None


def read_scenes(shard: Path, validation: bool) -> list[StoredScene]:
    """The scenes of a shard that belong to one split."""
    from training.synth.shards import is_validation, read_shard

    out = []
    for key, jpeg, label in read_shard(shard):
        if is_validation(key) is validation:
            box = tuple(map(float, label["box"])) if label["present"] else None
            out.append(StoredScene(jpeg, box))  # type: ignore[arg-type]
    return out


def random_window(rng: np.random.Generator, box: Array | None) -> Array:
    """A window x0, y0, x1, y1 in scene coordinates, of the aspect of some picture, inside the scene where it fits."""
    aspect = float(np.exp(rng.uniform(np.log(0.56), np.log(1.8))))
    if rng.random() < 0.4:
        aspect = 1.0
    if box is None or rng.random() < FULL:
        half = np.array([min(1.0, aspect), min(1.0, 1 / aspect)]) * rng.uniform(0.7, 1.0)
        centre = rng.uniform(-1, 1, 2) * (1 - half)
        return np.concatenate([centre - half, centre + half])
    middle, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    # Around the subject: 1.3 to 5 times the box, off its centre; may reach out of the scene, as a live window may.
    half = np.maximum(np.exp(rng.uniform(np.log(1.3), np.log(5.0))) * size.max() / 2, 0.08)
    half = half * np.array([np.sqrt(aspect), 1 / np.sqrt(aspect)])
    centre = middle + rng.uniform(-0.9, 0.9, 2) * np.maximum(half - size / 2, 0.1 * half)
    return np.concatenate([centre - half, centre + half])


def theta_in(window: Array, box: Array | None) -> tuple[Array, float]:
    """Target `theta` (4,) of a box seen in a window, and presence 1 or 0; the box is clipped to the window."""
    if box is None:
        return np.zeros(4), 0.0
    middle, half = (window[:2] + window[2:]) / 2, (window[2:] - window[:2]) / 2
    low, high = (box[:2] - middle) / half, (box[2:] - middle) / half
    inner_low, inner_high = np.clip(low, -1, 1), np.clip(high, -1, 1)
    share = np.prod(inner_high - inner_low) / np.prod(high - low)
    if share < VISIBLE:
        return np.zeros(4), 0.0
    return np.concatenate([(inner_high - inner_low) / 2, (inner_high + inner_low) / 2]), 1.0


def cut_window(scene: NDArray[np.uint8], window: Array, border: int = cv2.BORDER_REPLICATE) -> NDArray[np.uint8]:
    """The window of a square scene (S, S, 3) squeezed to 128x128, averaged where it is reduced."""
    side = len(scene)
    low, high = (window[:2] + 1) / 2 * side, (window[2:] + 1) / 2 * side
    scale = STN_PX / (high - low)
    matrix = np.array([[scale[0], 0, -scale[0] * low[0]], [0, scale[1], -scale[1] * low[1]]])
    # Edge coordinates to pixel centres, on both sides.
    matrix[:, 2] += 0.5 * scale - 0.5
    if scale.min() < 0.75:
        scene = np.asarray(cv2.blur(scene, (2, 2) if scale.min() > 0.4 else (3, 3)))
    return np.asarray(cv2.warpAffine(scene, matrix, (STN_PX, STN_PX), flags=cv2.INTER_LINEAR, borderMode=border))


def turned(scene: NDArray[np.uint8], box: Array | None, symmetry: int) -> tuple[NDArray[np.uint8], Array | None]:
    """One of the eight symmetries of the square, applied to scene and box alike."""
    if symmetry & 4:
        scene = scene[:, ::-1]
        box = None if box is None else np.array([-box[2], box[1], -box[0], box[3]])
    for _ in range(symmetry & 3):
        scene = np.rot90(scene)  # counter-clockwise on the screen: (x, y) -> (y, -x)
        box = None if box is None else np.array([box[1], -box[2], box[3], -box[0]])
    return np.ascontiguousarray(scene), box


def decode(jpeg: bytes) -> NDArray[np.uint8]:
    """RGB picture of a stored JPEG."""
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise TrainingError("a stored scene is no JPEG: render the shard again with `posecast synth`")
    return np.asarray(bgr[..., ::-1], np.uint8)


def augmented(rng: np.random.Generator, stored: StoredScene) -> tuple[NDArray[np.uint8], Array, float]:
    """Picture, theta and presence of one random window of a scene."""
    box = None if stored.box is None else np.array(stored.box)
    scene, box = turned(
        decode(stored.jpeg), box, int(rng.integers(8)) if rng.random() < 0.6 else 4 * int(rng.integers(2))
    )
    window = random_window(rng, box)
    border = cv2.BORDER_REPLICATE if rng.random() < 0.7 else cv2.BORDER_CONSTANT
    theta, presence = theta_in(window, box)
    return pictures.disturb(rng, cut_window(scene, window, border), occlude=False), theta, presence


class SceneBatches(IterableDataset[Scenes]):
    """Endless batches from the scene shards of a folder, listed anew at each pass."""

    def __init__(self, folder: Path, batch: int, seed: int) -> None:
        self.folder, self.batch, self.seed = folder, batch, seed
        if not shards(folder):
            raise TrainingError(f"{folder}: no shards (*.tar); make them with `posecast synth scenes --out {folder}`")

    def __iter__(self) -> Iterator[Scenes]:
        cv2.setNumThreads(1)
        rng = np.random.default_rng([self.seed, torch.initial_seed() % 2**31])
        rows: list[tuple[NDArray[np.uint8], Array, float]] = []
        while True:
            pool = [scene for file in shards(self.folder) for scene in read_scenes(file, validation=False)]
            for index in rng.permutation(len(pool)):
                rows.append(augmented(rng, pool[index]))
                if len(rows) == self.batch:
                    yield collate(rows)
                    rows = []


def validation_scenes(folder: Path, limit: int, seed: int = 6) -> Scenes:
    """Up to `limit` held-out scenes in windows drawn once, without disturbance."""
    rng = np.random.default_rng(seed)
    rows = []
    for file in shards(folder):
        for stored in read_scenes(file, validation=True)[: limit - len(rows)]:
            box = None if stored.box is None else np.array(stored.box)
            window = random_window(rng, box)
            rows.append((cut_window(decode(stored.jpeg), window), *theta_in(window, box)))
    if not rows:
        raise TrainingError(f"{folder}: no held-out scene yet; render more with `posecast synth scenes`")
    return collate(rows)


def collate(rows: list[tuple[NDArray[np.uint8], Array, float]]) -> Scenes:
    """A batch from (picture, theta, presence) rows."""
    picture, theta, presence = (np.stack(column) for column in zip(*rows, strict=True))
    return Scenes(
        torch.from_numpy(picture),
        torch.from_numpy(theta.astype(np.float32)),
        torch.from_numpy(presence.astype(np.float32))[:, None],
    )
