"""`temporal`: the masked pose model, first rebuilding masked sequences (stage I), then lifting keypoint
streams (stage II).

Stage II is the streaming form of ALGORITHMS 5: a random look-ahead per window, attention masks instead of
padding, frames and joints lost. Windows are short at first and full at the end; a short one is exactly a full
one whose older frames have not been seen, at a third of the cost. Only the sequence head is trained; the
strided decoder stays as it is.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engines.contracts import LOOKAHEADS, WINDOW
from models.layers import key_mask
from models.pretraining import MaskedPoseModel
from models.temporal import MPM
from training import losses, metrics
from training.poses import load_bank
from training.sequences import RATE_HZ, Windows, sample_windows
from training.settings import Data, typed

VALIDATION_SEED = 90002
LOOKAHEAD_FRAMES = torch.tensor(LOOKAHEADS)


@dataclass(frozen=True)
class Settings:
    """Table `recipe` of configs/train/temporal.toml."""

    layers: int = 4
    pretrain: float = 0.12
    """Share of the budget for stage I."""
    short: float = 0.7
    """Until which progress windows are short."""
    short_frames: int = 81
    short_batch: int = 32
    full_batch: int = 12
    dropout: float = 0.0
    velocity_weight: float = 2.0
    acceleration_weight: float = 0.5
    bone_weight: float = 0.1
    dives: int = 150
    validation: int = 96


class Temporal:
    """The recipe `temporal`."""

    name = "temporal"

    def __init__(self, settings: Settings, data: Data, seed: int) -> None:
        self.settings, self.seed = settings, seed
        mpm = MPM(layers=settings.layers, mlp_dropout=settings.dropout, dropout=settings.dropout)
        # The whole pre-training model is kept, so that one checkpoint serves both stages.
        self.modules = nn.ModuleDict({"pretraining": MaskedPoseModel(mpm, dropout=settings.dropout)})
        self.bank = load_bank(data.mocap, False, settings.dives, stills=10)
        held_out = load_bank(data.mocap, True, max(1, settings.dives // 6), stills=10)
        rng = np.random.default_rng(VALIDATION_SEED)
        self.held_out = sample_windows(rng, held_out, settings.validation, WINDOW)
        self.header: dict[str, Any] = {
            "rate_hz": RATE_HZ,
            "window": WINDOW,
            "layers": settings.layers,
            "lookaheads": list(LOOKAHEADS),
            "data": f"{len(self.bank.mocap)} mocap clips, {len(self.bank.dives)} generated dives",
        }

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All but the strided decoder, which this recipe does not use."""
        unused = ("strided", "frame_head", "mode")
        named = self.modules["pretraining"].named_parameters()
        return [{"params": [p for name, p in named if not name.removeprefix("mpm.").startswith(unused)]}]

    def batch(self, step: int, progress: float) -> Windows:
        """Fresh windows; the step number is the seed."""
        s = self.settings
        full = progress >= s.short
        frames, size = (WINDOW, s.full_batch) if full or progress < s.pretrain else (s.short_frames, s.short_batch)
        rng = np.random.default_rng([self.seed, step])
        return sample_windows(rng, self.bank, size, frames, clean=progress < s.pretrain)

    def samples(self, batch: Windows) -> int:
        """Windows in the batch."""
        return len(batch.joints)

    def losses(self, batch: Windows, progress: float) -> dict[str, Tensor]:
        """Stage I or stage II, by progress."""
        model = self.modules["pretraining"].train()
        if progress < self.settings.pretrain:
            flat, deep = model.loss(batch.keypoints), model.loss(batch.joints)
            return {"loss": flat + deep, "rebuilt_2d": flat, "rebuilt_3d": deep} | _zeros(
                flat, "position_m", "velocity_m", "acceleration_m"
            )
        lookahead = torch.randint(len(LOOKAHEADS), (len(batch.joints),), device=batch.joints.device)
        predicted = lift(model.mpm, batch, lookahead)
        weight = frame_weights(lookahead, batch.joints.shape[1]) * (0.3 + 0.7 * batch.seen)
        position = losses.euclid(predicted, batch.joints, weight[..., None])
        velocity = losses.velocity(predicted, batch.joints)
        acceleration = losses.acceleration(predicted, batch.joints)
        s = self.settings
        loss = position + s.velocity_weight * velocity + s.acceleration_weight * acceleration
        loss = loss + s.bone_weight * losses.bone_variance(predicted)
        parts = {"position_m": position, "velocity_m": velocity, "acceleration_m": acceleration}
        return {"loss": loss, **_zeros(loss, "rebuilt_2d", "rebuilt_3d"), **parts}

    @torch.no_grad()
    def validate(self, modules: nn.ModuleDict) -> dict[str, float]:
        """Error at several look-aheads, at the frame that would be published, on disturbed held-out windows."""
        mpm = modules["pretraining"].mpm.eval()
        device = next(mpm.parameters()).device
        figures: dict[str, float] = {}
        for index, frames in enumerate(LOOKAHEADS):
            if frames in (0, 2, 13, 121):
                figures |= _figures(mpm, self.held_out, index, frames, device)
        return figures


def _zeros(like: Tensor, *names: str) -> dict[str, Tensor]:
    return {name: like.new_zeros(()) for name in names}


def lift(mpm: MPM, batch: Windows, lookahead: Tensor) -> Tensor:
    """Joints (B, T, J, 3) of windows of T <= 243 frames, which take the newest T places of the network's
    window."""
    size, frames = batch.seen.shape
    features = mpm.encode_frame(batch.keypoints.flatten(0, 1), batch.missing.flatten(0, 1))
    features = torch.where(batch.seen[..., None] > 0.5, features.unflatten(0, (size, frames)), 0.0)
    tokens = features + mpm.temporal.position[-frames:] + mpm.lookahead(lookahead)[:, None]
    tokens = mpm.temporal(tokens, key_mask(batch.seen))
    return torch.as_tensor(mpm.sequence_head(tokens) * mpm.not_root)


def frame_weights(lookahead: Tensor, frames: int) -> Tensor:
    """Weights (B, T) of the frames: 1 at the wanted one, falling to 0.2 with e-folding distance 13 (ALGORITHMS
    5.2)."""
    wanted = frames - 1 - LOOKAHEAD_FRAMES.to(lookahead.device)[lookahead]
    distance = (torch.arange(frames, device=lookahead.device)[None] - wanted[:, None]).abs()
    return 0.2 + 0.8 * torch.exp(-distance / 13)


def _figures(mpm: MPM, windows: Windows, index: int, frames: int, device: torch.device) -> dict[str, float]:
    parts = []
    for start in range(0, len(windows.joints), 16):
        part = Windows(*(x[start : start + 16].to(device) for x in windows))
        lookahead = torch.full((len(part.joints),), index, device=device)
        parts.append(lift(mpm, part, lookahead).float().cpu())
    at = WINDOW - 1 - frames
    rows = windows.seen[:, at] > 0  # a lost frame is published by no one
    if not rows.any():
        return {}
    predicted, truth = torch.cat(parts)[rows].numpy(), windows.joints[rows].numpy()
    # Three frames around the wanted one give its acceleration where newer frames exist.
    span = slice(at - 2, at + 1) if frames == 0 else slice(at - 1, at + 2)
    return {
        f"mpjpe_k{frames}_mm": metrics.mpjpe(predicted[:, at], truth[:, at]),
        f"p_mpjpe_k{frames}_mm": metrics.p_mpjpe(predicted[:, at], truth[:, at]),
        f"acceleration_k{frames}_mm": metrics.acceleration_error(predicted[:, span], truth[:, span]),
    }


def build(settings: dict[str, Any], data: Data, seed: int) -> Temporal:
    """The recipe from its table of settings."""
    return Temporal(typed(Settings, settings, "temporal [recipe]"), data, seed)
