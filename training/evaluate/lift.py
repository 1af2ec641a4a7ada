"""`posecast eval`: the ONNX networks as shipped, measured on the held-out split of synthetic data and mocap.

All figures are of synthetic or motion capture data; errors in millimetres, PCK in percent, times at 50 frames
a second.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from engines.codecs import decode_heatmaps
from engines.contracts import (
    CROP_H,
    CROP_W,
    DIFFUSION_DECODER,
    LOOKAHEADS,
    MLP_DECODER,
    MODALITY_2D,
    MODALITY_IMAGE,
    POSE2D_ENCODER,
    STN,
    TEMPORAL_FRAME,
    TEMPORAL_WINDOW,
    WINDOW,
    Contract,
    encoder,
)
from engines.errors import EngineError
from engines.session import EngineSettings, Session, open_session
from engines.skeleton import J
from training import metrics
from training.datasets import validation_crops
from training.errors import TrainingError
from training.poses import load_bank, sample_pairs
from training.recipes.backbone import picture_figures
from training.recipes.track import box_figures
from training.scenes import validation_scenes
from training.sequences import Windows, sample_windows
from training.settings import Data

Array = NDArray[Any]
Figures = dict[str, float]

SEED: Final = 77001
HYPOTHESES: Final = 5
BATCH: Final = 32
NAMES: Final = ("crops", "lift", "temporal", "track")


def evaluate(name: str, data: Data, weights: Path, limit: int) -> dict[str, Figures]:
    """Figures by measurement; `name` is one of crops, lift, temporal, track, or all."""
    if name != "all" and name not in NAMES:
        raise TrainingError(f"measurement {name!r} unknown; have {', '.join(NAMES)} and all")
    measures = {"crops": crops, "lift": lift, "temporal": temporal, "track": track}
    results: dict[str, Figures] = {}
    for key in NAMES if name == "all" else (name,):
        try:
            results |= measures[key](data, weights, limit)
        except EngineError as error:
            raise TrainingError(str(error)) from None
    return results


def _open(contract: Contract, weights: Path) -> Session:
    return open_session(contract, EngineSettings(weights=str(weights), precision="fp32"), torch.get_num_threads())


def _batched(run: Callable[[slice], tuple[Array, ...]], count: int) -> list[Array]:
    parts = [run(slice(i, min(i + BATCH, count))) for i in range(0, count, BATCH)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


class Decoders:
    """Both decoders behind one call."""

    def __init__(self, weights: Path) -> None:
        self._mlp, self._diffusion = _open(MLP_DECODER, weights), _open(DIFFUSION_DECODER, weights)
        self._noise = np.random.default_rng(SEED).standard_normal((1, HYPOTHESES, J * 3)).astype(np.float32)

    def joints(self, embedding: Array, kind: int, box: Array) -> tuple[Array, Array]:
        """MLP's joints (B, J, 3) and the diffusion's hypotheses (B, 5, J, 3)."""
        inputs = {"embedding": embedding, "modality": np.full(len(box), kind, np.int64), "box": box}
        noise = np.repeat(self._noise, len(box), 0)
        mlp = self._mlp.run(inputs)["joints"]
        return mlp, self._diffusion.run({**inputs, "noise": noise})["joints"]


def _errors(prefix: str, predicted: Array, truth: Array) -> Figures:
    return {
        f"{prefix}_mpjpe_mm": metrics.mpjpe(predicted, truth),
        f"{prefix}_n_mpjpe_mm": metrics.n_mpjpe(predicted, truth),
        f"{prefix}_p_mpjpe_mm": metrics.p_mpjpe(predicted, truth),
    }


def _decoder_figures(mlp: Array, samples: Array, truth: Array) -> Figures:
    best = np.linalg.norm(samples - truth[:, None], axis=-1).mean(-1).min(1).mean() * metrics.MM
    figures = _errors("mlp", mlp, truth) | _errors("diffusion_mean", samples.mean(1), truth)
    return figures | {"diffusion_best_of_5_mpjpe_mm": float(best), "samples": float(len(truth))}


def crops(data: Data, weights: Path, limit: int) -> dict[str, Figures]:
    """Keypoints by orientation, and 3D from the picture and from the detected keypoints, by both decoders."""
    crops = validation_crops(data.root / "crops", min(limit, 2000), CROP_H, CROP_W)
    network, lifter, decoders = (
        _open(encoder("w18_small_v2"), weights),
        _open(POSE2D_ENCODER, weights),
        Decoders(weights),
    )
    box, middle = crops.box.numpy(), np.array([(CROP_W - 1) / 2, (CROP_H - 1) / 2])

    def run(rows: slice) -> tuple[Array, ...]:
        seen = network.run({"crop": crops.picture[rows].numpy()})
        points, confidence = decode_heatmaps(seen["heatmaps"])
        keypoints = ((points - middle) / (CROP_H / 2)).astype(np.float32)
        embedding = lifter.run({"keypoints": keypoints, "confidence": confidence.astype(np.float32), "box": box[rows]})[
            "embedding"
        ]
        image = decoders.joints(seen["embedding"], MODALITY_IMAGE, box[rows])
        return points, confidence, *image, *decoders.joints(embedding, MODALITY_2D, box[rows])

    points, confidence, image, image_samples, lifted, lifted_samples = _batched(run, len(box))
    truth = crops.joints.numpy()
    return {
        "crops": picture_figures(points, image, crops) | {"mean_confidence": float(confidence.mean())},
        "joints_from_picture": _decoder_figures(image, image_samples, truth),
        "joints_from_detected_keypoints": _decoder_figures(lifted, lifted_samples, truth),
    }


def lift(data: Data, weights: Path, limit: int) -> dict[str, Figures]:
    """3D from disturbed keypoints of held-out mocap and dives, by both decoders."""
    bank = load_bank(data.mocap, validation=True, dives=20, stills=2000)
    pairs = sample_pairs(np.random.default_rng(SEED), bank, limit)
    lifter, decoders = _open(POSE2D_ENCODER, weights), Decoders(weights)
    keypoints, confidence, box, truth = (x.numpy() for x in pairs)

    def run(rows: slice) -> tuple[Array, ...]:
        inputs = {"keypoints": keypoints[rows], "confidence": confidence[rows], "box": box[rows]}
        return decoders.joints(lifter.run(inputs)["embedding"], MODALITY_2D, box[rows])

    mlp, samples = _batched(run, len(box))
    figures = {"lift": _decoder_figures(mlp, samples, truth)}
    where = metrics.orientation(truth)
    for kind in ("upright", "side", "inverted"):
        rows = where == kind
        if rows.any():
            figures[f"lift_{kind}"] = _decoder_figures(mlp[rows], samples[rows], truth[rows])
    return figures


def temporal(data: Data, weights: Path, limit: int) -> dict[str, Figures]:
    """Error by look-ahead at the frame that would be published, over the last second of windows, against
    per-frame lifting."""
    bank = load_bank(data.mocap, validation=True, dives=20, stills=10)
    windows = sample_windows(np.random.default_rng(SEED), bank, max(1, min(limit // 20, 200)), WINDOW)
    figures = {"temporal_per_frame_decoder": _per_frame(windows, weights)}
    features = _features(windows, weights)
    network = _open(TEMPORAL_WINDOW, weights)
    truth = windows.joints.numpy()
    for index, frames in enumerate(LOOKAHEADS):
        predicted = np.concatenate(
            [
                network.run(
                    {
                        "features": features[i : i + 1],
                        "seen": windows.seen[i : i + 1].numpy(),
                        "lookahead": np.array([index]),
                    }
                )["joints"]
                for i in range(len(truth))
            ]
        )
        # A frame that was lost, or lies before the stream began, is published by no one.
        rows = windows.seen.numpy()[:, WINDOW - 1 - frames] > 0
        if rows.any():
            figures[f"temporal_k{frames}"] = _sequence_figures(predicted[rows], truth[rows], frames)
    return figures


def _features(windows: Windows, weights: Path) -> Array:
    network = _open(TEMPORAL_FRAME, weights)
    size, frames = windows.seen.shape
    keypoints, missing = windows.keypoints.flatten(0, 1).numpy(), windows.missing.flatten(0, 1).numpy()
    run = _batched(
        lambda rows: (network.run({"keypoints": keypoints[rows], "missing": missing[rows]})["feature"],), len(keypoints)
    )
    return run[0].reshape(size, frames, -1)


def _sequence_figures(predicted: Array, truth: Array, lookahead: int) -> Figures:
    at = WINDOW - 1 - lookahead
    # Velocity and acceleration of one window's output around the wanted frame.
    around = slice(max(0, at - 12), min(WINDOW, at + 13))
    return {
        "mpjpe_mm": metrics.mpjpe(predicted[:, at], truth[:, at]),
        "p_mpjpe_mm": metrics.p_mpjpe(predicted[:, at], truth[:, at]),
        "velocity_error_mm_per_frame": metrics.mpjve(predicted[:, around], truth[:, around]),
        "acceleration_error_mm_per_frame2": metrics.acceleration_error(predicted[:, around], truth[:, around]),
        "windows": float(len(truth)),
    }


def _per_frame(windows: Windows, weights: Path) -> Figures:
    """The MLP decoder on each frame's keypoints alone, over the last 25 frames that the look-ahead 0 is
    measured on."""
    lifter, decoders = _open(POSE2D_ENCODER, weights), Decoders(weights)
    last = slice(WINDOW - 13, WINDOW)
    keypoints = windows.keypoints[:, last].flatten(0, 1).numpy()
    confidence = 1 - windows.missing[:, last].flatten(0, 1).numpy()
    box = windows.box[:, last].flatten(0, 1).numpy()

    def run(rows: slice) -> tuple[Array, ...]:
        inputs = {"keypoints": keypoints[rows], "confidence": confidence[rows], "box": box[rows]}
        return decoders.joints(lifter.run(inputs)["embedding"], MODALITY_2D, box[rows])[:1]

    predicted = _batched(run, len(box))[0].reshape(len(windows.seen), -1, J, 3)
    truth = windows.joints[:, last].numpy()
    return {
        "mpjpe_mm": metrics.mpjpe(predicted[:, -1], truth[:, -1]),
        "p_mpjpe_mm": metrics.p_mpjpe(predicted[:, -1], truth[:, -1]),
        "velocity_error_mm_per_frame": metrics.mpjve(predicted, truth),
        "acceleration_error_mm_per_frame2": metrics.acceleration_error(predicted, truth),
        "windows": float(len(truth)),
    }


def track(data: Data, weights: Path, limit: int) -> dict[str, Figures]:
    """Box overlap and presence on held-out scenes."""
    scenes = validation_scenes(data.root / "scenes", limit)
    network = _open(STN, weights)

    def run(rows: slice) -> tuple[Array, ...]:
        out = network.run({"picture": scenes.picture[rows].numpy()})
        return out["theta"], out["presence"]

    theta, presence = _batched(run, len(scenes.picture))
    return {"track": box_figures(theta, presence, scenes)}
