"""A shipped per-frame decoder inside training: the poses that the temporal network starts from and is compared with."""

from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from engines import store
from engines.contracts import MLP_DECODER, MODALITY_2D, POSE2D_ENCODER
from engines.errors import EngineError
from engines.skeleton import J
from training.sequences import Windows

Array = NDArray[np.float32]

BATCH = 256


class PerFrame:
    """Keypoints of single frames to joints by `pose2d_encoder` and `mlp_decoder` of a weights folder."""

    def __init__(self, weights: Path) -> None:
        # Not as the live path runs them, which takes a batch one by one on a CPU: here the batches are large.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._encoder, self._decoder = (
            onnxruntime.InferenceSession(store.usable(contract.network, weights), options, ["CPUExecutionProvider"])
            for contract in (POSE2D_ENCODER, MLP_DECODER)
        )

    def joints(self, keypoints: Array, confidence: Array, box: Array) -> Array:
        """Root-relative joints (N, J, 3) of keypoints (N, J, 2), confidence (N, J) and box (N, 3)."""
        parts = []
        for start in range(0, len(keypoints), BATCH):
            rows = slice(start, start + BATCH)
            inputs = {"keypoints": keypoints[rows], "confidence": confidence[rows], "box": box[rows]}
            embedding = self._encoder.run(["embedding"], inputs)[0]
            modality = np.full(len(embedding), MODALITY_2D, np.int64)
            told = {"embedding": embedding, "modality": modality, "box": box[rows]}
            parts.append(self._decoder.run(["joints"], told)[0])
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
