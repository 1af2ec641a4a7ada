"""What the networks meet on the live path, from the training split: to calibrate whole numbers, and to check engines.

Every network gets what the networks before it make, in single precision, of crops, search windows and windows of
motion.
"""

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.contracts import (
    CROP_H,
    CROP_W,
    LOOKAHEADS,
    MODALITY_2D,
    MODALITY_IMAGE,
    WINDOW,
    Contract,
)
from engines.skeleton import J
from training.datasets import CropPool, Look, StoredCrop, cut, random_look, see
from training.evaluate.networks import Networks
from training.poses import PoseBank, load_bank
from training.scenes import ScenePool
from training.scenes import Windows as SearchWindows
from training.sequences import sample_windows

Array = NDArray[Any]
Inputs = dict[str, Array]

SEED: Final = 20261
HYPOTHESES: Final = 5
_LIVE: Final = (0, 13)
"""Look-aheads of provisional and refined poses."""


class Typical:
    """Typical inputs of every network; what is expensive is made once."""

    def __init__(self, data: Path, mocap: Path, weights: Path) -> None:
        self._data, self._mocap = data, mocap
        self._networks = Networks(weights)
        self._windows: Inputs | None = None
        self._bank: PoseBank | None = None

    def of(self, contract: Contract, count: int, seed: int = 0) -> Inputs:
        """`count` inputs of a network, stacked along the batch axis. Raises TrainingError where data is missing."""
        name = contract.network
        if name == "stn":
            return self._search_windows(count, seed)
        if name.startswith("hrnet_"):
            return {"crop": self._crops(count, seed)[0]}
        of_windows = name in ("temporal_window", "temporal_live")
        motion = self._motion(count if of_windows else -(-count // 4))
        if of_windows:
            frames = contract.inputs[0].shape[1]
            assert isinstance(frames, int)
            newest = {name: motion[name][:count, -frames:] for name in ("features", "seen")}
            lookahead = np.resize([LOOKAHEADS.index(behind) for behind in _LIVE], count).astype(np.int64)
            return {**newest, "lookahead": lookahead}
        return self._frames(contract, motion, count)

    def _search_windows(self, count: int, seed: int) -> Inputs:
        pool = ScenePool(self._data / "scenes", validation=False)
        return {"picture": SearchWindows((pool,), (1.0,), SEED).make(seed, count).picture.numpy()}

    def _crops(self, count: int, seed: int = 0) -> tuple[Array, Array]:
        """Crops as the tracker cuts them, the camera turned by any angle, and their boxes."""
        pool = CropPool(self._data / "crops", validation=False)
        rng = np.random.default_rng([SEED, seed])
        drawn = rng.choice(len(pool), count, replace=len(pool) < count)
        made = (self._crop(pool[int(place)], random_look(rng, full_circle=0.5)) for place in drawn)
        pictures, boxes = zip(*made, strict=True)
        return np.stack(pictures), np.stack(boxes)

    @staticmethod
    def _crop(stored: StoredCrop, look: Look) -> tuple[Array, Array]:
        seen = see(stored, look, CROP_H, CROP_W)
        return cut(stored, seen.crop_from_stored, CROP_H, CROP_W, cv2.BORDER_CONSTANT), seen.box

    def _motion(self, windows: int) -> Inputs:
        """Windows of noisy motion, frame by frame as `temporal_frame` takes them, and the features it gives."""
        if self._windows is None or len(self._windows["seen"]) < windows:
            self._windows = self._made(windows)
        return {name: values[:windows] for name, values in self._windows.items()}

    def _made(self, windows: int) -> Inputs:
        from training.evaluate.windows import frame_features, per_frame_poses

        self._bank = self._bank or load_bank(self._mocap, validation=False)
        drawn = sample_windows(np.random.default_rng(SEED), self._bank, windows, WINDOW)
        made = {name: getattr(drawn, name).numpy() for name in ("keypoints", "missing", "box", "seen")}
        measured = made["keypoints"], made["missing"], made["box"]
        made["decoded"] = per_frame_poses(self._networks, *measured)
        made["features"] = frame_features(self._networks, *measured)
        return made

    def _frames(self, contract: Contract, motion: Inputs, count: int) -> Inputs:
        """Single frames that exist, drawn from the windows; every second embedding is that of a picture."""
        rng = np.random.default_rng(SEED)
        window, frame = np.nonzero(motion["seen"] > 0)
        drawn = rng.choice(len(window), count, replace=len(window) < count)
        window, frame = window[drawn], frame[drawn]
        of_frames = {name: motion[name][window, frame] for name in ("keypoints", "missing", "box", "decoded")}
        of_frames |= {"confidence": 1 - of_frames["missing"], "use_decoded": np.ones(count, np.float32)}
        if any(tensor.name == "embedding" for tensor in contract.inputs):
            of_frames |= self._embeddings(of_frames, count)
            of_frames["noise"] = rng.standard_normal((count, HYPOTHESES, J * 3), dtype=np.float32)
        return {tensor.name: of_frames[tensor.name] for tensor in contract.inputs}

    def _embeddings(self, frames: Inputs, count: int) -> Inputs:
        crops, boxes = self._crops(count)
        seen = np.concatenate([self._networks.see(crops[at : at + 8])["embedding"] for at in range(0, count, 8)])
        lifted = self._networks.embed_keypoints(frames["keypoints"], frames["confidence"], frames["box"])
        picture = np.arange(count) % 2 == 1
        return {
            "embedding": np.where(picture[:, None], seen, lifted),
            "modality": np.where(picture, MODALITY_IMAGE, MODALITY_2D).astype(np.int64),
            "box": np.where(picture[:, None], boxes, frames["box"]),
        }
