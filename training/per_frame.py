"""A shipped per-frame decoder inside training: the poses that the temporal network starts from and is compared with."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engines.contracts import MLP_DECODER, MODALITY_2D, POSE2D_ENCODER
from engines.errors import EngineError
from engines.session import open_session
from engines.settings import EngineSettings
from engines.skeleton import J
from training.sequences import Windows

Array = NDArray[np.float32]

BATCH = 64


class PerFrame:
    """Keypoints of single frames to joints by `pose2d_encoder` and `mlp_decoder` of a weights folder."""

    def __init__(self, weights: Path) -> None:
        settings = EngineSettings(weights=str(weights), precision="fp32")
        self._encoder, self._decoder = (
            open_session(contract, settings, torch.get_num_threads()) for contract in (POSE2D_ENCODER, MLP_DECODER)
        )

    def joints(self, keypoints: Array, confidence: Array, box: Array) -> Array:
        """Root-relative joints (N, J, 3) of keypoints (N, J, 2), confidence (N, J) and box (N, 3)."""
        parts = []
        for start in range(0, len(keypoints), BATCH):
            rows = slice(start, start + BATCH)
            inputs = {"keypoints": keypoints[rows], "confidence": confidence[rows], "box": box[rows]}
            embedding = self._encoder.run(inputs)["embedding"]
            modality = np.full(len(embedding), MODALITY_2D, np.int64)
            parts.append(self._decoder.run({"embedding": embedding, "modality": modality, "box": box[rows]})["joints"])
        return np.concatenate(parts) if parts else np.zeros((0, J, 3), np.float32)

    def windows(self, windows: Windows) -> Array:
        """Joints (B, T, J, 3) of windows, every frame alone."""
        flat = [x.flatten(0, 1).numpy() for x in (windows.keypoints, 1 - windows.missing, windows.box)]
        return self.joints(*flat).reshape(windows.joints.shape)


@cache
def per_frame(weights: str) -> PerFrame | None:
    """The decoder of the folder `weights`, opened once a process; None where it is empty or has none."""
    if not weights:
        return None
    try:
        return PerFrame(Path(weights))
    except EngineError:
        return None
