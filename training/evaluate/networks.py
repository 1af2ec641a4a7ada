"""The networks under measurement: opened once each, in single precision, with the hash of the file that was opened."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines import store
from engines.choice import Candidate
from engines.contracts import (
    CROP_H,
    CROP_W,
    DIFFUSION_DECODER,
    MLP_DECODER,
    MODALITY_2D,
    POSE2D_ENCODER,
    Contract,
    encoder,
)
from engines.errors import BackendError
from engines.heatmaps import joints_of_heatmaps
from engines.opening import Opening, Refused, Runner
from engines.session import CheckedSession
from engines.settings import EngineSettings
from engines.skeleton import J

Array = NDArray[Any]

BATCH: Final = 32
HYPOTHESES: Final = 5
"""As the live path has it."""
NOISE_SEED: Final = 77001
MIDDLE_PX: Final = np.array([(CROP_W - 1) / 2, (CROP_H - 1) / 2])


class Networks:
    """Sessions of one folder of weights, in one precision; what has no int8 variant stays in single precision then."""

    def __init__(self, weights: Path, variant: str = "w18_small_v2", precision: str = "fp32") -> None:
        self._weights, self._variant, self._precision = weights, variant, precision
        self._open: dict[str, CheckedSession] = {}
        self.used: dict[str, str] = {}

    def session(self, contract: Contract) -> CheckedSession:
        """The session of a contract: measured as it is, whether the live path would take it or not.

        Raises EngineError.
        """
        name = contract.network
        if name not in self._open:
            self._open[name] = CheckedSession(contract, self._runner(contract))
            self.used[name] = digest(name, self._weights)
        return self._open[name]

    def _runner(self, contract: Contract) -> Runner:
        name, precision = contract.network, self._precision
        if precision == "int8" and not store.has(store.whole_numbers(name), self._weights):
            precision = "fp32"
        settings = EngineSettings(weights=str(self._weights), threads=_threads())
        way = Candidate("openvino", "cpu", precision)
        try:
            return Opening(contract, way, settings, {}, lambda _: None).unchecked()
        except Refused as refusal:
            raise BackendError(str(refusal)) from refusal

    def see(self, crops: Array) -> dict[str, Array]:
        """Of crops (B, 256, 192, 3) uint8: `points_px` (B, J, 2) in the crop, `confidence` (B, J), `embedding`."""
        seen = self.session(encoder(self._variant)).run({"crop": crops})
        points, confidence = joints_of_heatmaps(seen["heatmaps"])
        return {
            "points_px": points,
            "confidence": confidence.astype(np.float32),
            "embedding": np.asarray(seen["embedding"], np.float32),
        }

    def embed_keypoints(self, keypoints: Array, confidence: Array, box: Array) -> Array:
        """Embeddings (B, 1024) of keypoints (B, J, 2) as the contract scales them."""
        inputs = {"keypoints": keypoints, "confidence": confidence, "box": box}
        return self.session(POSE2D_ENCODER).run({k: np.asarray(v, np.float32) for k, v in inputs.items()})["embedding"]

    def mlp(self, embedding: Array, kind: int, box: Array) -> Array:
        """Joints (B, J, 3) by the MLP decoder, from an embedding of modality `kind`."""
        return self.session(MLP_DECODER).run(_tokens(embedding, kind, box))["joints"]

    def diffusion(self, embedding: Array, kind: int, box: Array, count: int = HYPOTHESES) -> Array:
        """Hypotheses (B, `count`, J, 3) by the diffusion decoder, the same noise for every sample."""
        noise = np.random.default_rng(NOISE_SEED).standard_normal((1, count, J * 3)).astype(np.float32)
        inputs = _tokens(embedding, kind, box) | {"noise": np.repeat(noise, len(box), 0)}
        return self.session(DIFFUSION_DECODER).run(inputs)["joints"]

    def sample(self, embedding: Array, kind: int, box: Array, count: int) -> Array:
        """`diffusion` of any number of embeddings, batch by batch."""
        parts = batched(lambda rows: (self.diffusion(embedding[rows], kind, box[rows], count),), len(box), 16)
        return parts[0]

    def lift(self, keypoints: Array, confidence: Array, box: Array) -> Array:
        """Joints (N, J, 3) from keypoints alone, by the keypoint encoder and the MLP decoder."""

        def run(rows: slice) -> tuple[Array, ...]:
            embedding = self.embed_keypoints(keypoints[rows], confidence[rows], box[rows])
            return (self.mlp(embedding, MODALITY_2D, box[rows]),)

        return batched(run, len(box))[0]


def digest(network: str, weights: Path) -> str:
    """First 12 digits of the SHA-256 of a network's file. Raises WeightsError when there is none."""
    return hashlib.sha256(store.find(network, weights).read_bytes()).hexdigest()[:12]


def keypoints_of_crop_px(points_px: Array) -> Array:
    """The contract's `keypoints` of points (..., 2) in the pixels of the crop."""
    return np.asarray((points_px - MIDDLE_PX) / (CROP_H / 2), np.float32)


def batched(run: Callable[[slice], tuple[Array, ...]], count: int, size: int = BATCH) -> list[Array]:
    """The columns that `run` gives for slices of at most `size`, joined."""
    parts = [run(slice(start, min(start + size, count))) for start in range(0, count, size)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _tokens(embedding: Array, kind: int, box: Array) -> dict[str, Array]:
    return {
        "embedding": embedding,
        "modality": np.full(len(box), kind, np.int64),
        "box": np.asarray(box, np.float32),
    }


def _threads() -> int:
    import torch

    return torch.get_num_threads()
