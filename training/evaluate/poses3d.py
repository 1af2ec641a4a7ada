"""Rows of the tables about 3D poses, and the clusters of poses that the pose structure score needs."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training import metrics
from training.errors import TrainingError
from training.evaluate.result import Row
from training.poses import load_bank, sample_pairs

Array = NDArray[Any]

SEED: Final = 77001
CLUSTERS: Final = 50
CLUSTERED: Final = 5000
HYPOTHESES: Final = 20
"""Hypotheses for calibration: the five of the live path say little about a spread."""


def clusters(mocap: Path) -> Array | None:
    """Centres of 50 clusters of training poses in camera axes; None without motion capture."""
    try:
        bank = load_bank(mocap, validation=False, dives=10, stills=2000)
    except TrainingError:
        return None
    pairs = sample_pairs(np.random.default_rng(SEED), bank, CLUSTERED)
    return metrics.pose_clusters(pairs.joints.numpy(), CLUSTERS, SEED)


def pose_row(predicted: Array, truth: Array, centres: Array | None = None) -> Row:
    """Errors of poses (N, J, 3), metres; all joints given count, the pelvis included."""
    row = {
        "MPJPE mm": metrics.mpjpe(predicted, truth),
        "P-MPJPE mm": metrics.p_mpjpe(predicted, truth),
        "N-MPJPE mm": metrics.n_mpjpe(predicted, truth),
        "PCK@150 %": metrics.pck_3d(predicted, truth),
        "AUC %": metrics.auc(predicted, truth),
    }
    if centres is not None:
        row["PSS@50 %"] = metrics.pss(predicted, truth, centres)
    return row | {"poses": float(len(truth))}


def hypotheses_row(samples: Array, truth: Array) -> Row:
    """Errors of hypotheses (N, H, J, 3) and their calibration, before and after inflation.

    The inflation is fitted on every other sample and judged on the rest.
    """
    row = {
        "P-Agg mm": metrics.p_agg(samples, truth),
        "min-of-H mm": metrics.min_mpjpe(samples, truth),
        "J-Best mm": metrics.j_best(samples, truth),
        "ECE": metrics.ece(samples, truth),
    }
    if len(truth) >= 20:
        factor = metrics.fit_inflation(samples[::2], truth[::2])
        row["ECE inflated"] = metrics.ece(metrics.inflate(samples[1::2], factor), truth[1::2])
        row["inflation"] = float(np.delete(factor, 0).mean())
    return row | {"H": float(samples.shape[1]), "poses": float(len(truth))}


def sequence_row(predicted: Array, truth: Array, rate_hz: float) -> Row:
    """Errors of motion (N, T, J, 3) at `rate_hz`, T at least 4."""
    return {
        "MPJVE mm/frame": metrics.mpjve(predicted, truth),
        "acceleration mm/frame2": metrics.acceleration_error(predicted, truth),
        "jitter m/s3": metrics.jitter(predicted, rate_hz),
        "true jitter m/s3": metrics.jitter(truth, rate_hz),
    }
