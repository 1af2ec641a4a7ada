"""What the recipe `temporal` measures on its held-out split while it trains."""

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.contracts import LOOKAHEADS, WINDOW
from training import metrics
from training.per_frame import PerFrame
from training.poses import PoseBank
from training.sequences import Windows, sample_windows

Array = NDArray[np.float32]
Predict = Callable[[Windows, Tensor, Tensor | None], Tensor]
"""Windows, look-ahead (B,), the per-frame decoder's joints (B, T, J, 3) or None -> joints (B, T, J, 3)."""

STREAMED: Final = 8
"""Frames published one after the other, each from a window of its own."""
DELAYS: Final = (0, 2, 13)


class HeldOut:
    """Fixed windows of held-out motion and the figures on them."""

    def __init__(self, rng: np.random.Generator, bank: PoseBank, count: int, decoder: PerFrame | None) -> None:
        self.noisy = sample_windows(rng, bank, count, WINDOW)
        self.exact = sample_windows(rng, bank, count, WINDOW, clean=True, natural=True, dive_share=0.0)
        self.dives = sample_windows(rng, bank, max(1, count // 8), WINDOW + STREAMED - 1, dive_share=1.0)
        self._decoded = None if decoder is None else torch.from_numpy(decoder.windows(self.dives))

    def figures(self, predict: Predict) -> dict[str, float]:
        """All figures: of keypoints alone, and of dives with the decoder's joints where there is one."""
        figures: dict[str, float] = {}
        for frames in (0, 13, 121):
            figures |= _at(_run(predict, self.noisy, frames), self.noisy, frames)
        figures |= _exact(_run(predict, self.exact, 121), self.exact)
        return figures | self.stream(predict)

    def stream(self, predict: Predict) -> dict[str, float]:
        """Dives as a live stream at several look-ahead, and by the per-frame decoder: error and acceleration error,
        on the same frames."""
        figures: dict[str, float] = {}
        for frames in DELAYS:
            published = torch.stack([self._shifted(predict, shift, frames) for shift in range(STREAMED)], 1)
            figures |= self._compared(f"dive_k{frames}", published.numpy(), frames)
            if self._decoded is not None and frames == 0:
                figures |= self._compared("dive_frame", self._decoded[:, -STREAMED:].numpy(), 0)
        return figures

    def _shifted(self, predict: Predict, shift: int, behind: int) -> Tensor:
        places = slice(shift, shift + WINDOW)
        part = Windows(*(x[:, places] for x in self.dives))
        decoded = None if self._decoded is None else self._decoded[:, places]
        return _run(predict, part, behind, decoded)[:, WINDOW - 1 - behind]

    def _compared(self, name: str, poses: Array, behind: int) -> dict[str, float]:
        end = WINDOW + STREAMED - 1 - behind
        part = slice(end - STREAMED, end)
        truth, seen = self.dives.joints.numpy()[:, part], self.dives.seen.numpy()[:, part] > 0
        error = np.linalg.norm(poses - truth, axis=-1).mean(-1)
        bend = np.linalg.norm(np.diff(poses - truth, n=2, axis=1), axis=-1).mean(-1)
        return {
            f"{name}_mpjpe_mm": float(error[seen].mean() * metrics.MM),
            f"{name}_acceleration_mm": float(bend[seen[:, 2:] & seen[:, 1:-1] & seen[:, :-2]].mean() * metrics.MM),
        }


def _run(predict: Predict, windows: Windows, behind: int, decoded: Tensor | None = None) -> Tensor:
    parts = []
    for start in range(0, len(windows.seen), 16):
        rows = slice(start, start + 16)
        index = torch.full((len(windows.seen[rows]),), LOOKAHEADS.index(behind))
        part = Windows(*(x[rows] for x in windows))
        parts.append(predict(part, index, None if decoded is None else decoded[rows]).float().cpu())
    return torch.cat(parts)


def _at(predicted: Tensor, windows: Windows, behind: int) -> dict[str, float]:
    at = WINDOW - 1 - behind
    rows = windows.seen[:, at] > 0  # a lost frame is published by no one
    if not rows.any():
        return {}
    poses, truth = predicted[rows].numpy()[:, at], windows.joints[rows].numpy()[:, at]
    return {
        f"mpjpe_k{behind}_mm": metrics.mpjpe(poses, truth),
        f"p_mpjpe_k{behind}_mm": metrics.p_mpjpe(poses, truth),
    }


def _exact(predicted: Tensor, windows: Windows) -> dict[str, float]:
    """Of every fourth frame of the middle of centred windows."""
    poses, truth = (x.numpy()[:, 40:-40:4].reshape(-1, *x.shape[2:]) for x in (predicted, windows.joints))
    return {
        "exact_mpjpe_mm": metrics.mpjpe(poses, truth),
        "exact_p_mpjpe_mm": metrics.p_mpjpe(poses, truth),
    }
