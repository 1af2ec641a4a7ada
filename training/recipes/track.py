"""`track`: the spatial transformer learns box and presence from synthetic scenes, supervised.

L1 and generalised IoU on the box where a subject is present, cross-entropy on presence everywhere.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.stn import STN
from training import losses, metrics
from training.datasets import loader, normalise_picture
from training.scenes import SceneBatches, Scenes, validation_scenes
from training.settings import Data, typed


@dataclass(frozen=True)
class Settings:
    """Table `recipe` of configs/train/track.toml."""

    batch: int = 64
    l1_weight: float = 2.0
    giou_weight: float = 1.0
    presence_weight: float = 0.5
    workers: int = 1
    validation: int = 1000


class Track:
    """The recipe `track`."""

    name = "track"

    def __init__(self, settings: Settings, data: Data, seed: int) -> None:
        self.settings = settings
        stn = STN().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.modules = nn.ModuleDict({"stn": stn})
        self.stream = loader(SceneBatches(data.root / "scenes", settings.batch, seed), settings.workers)
        self.held_out = validation_scenes(data.root / "scenes", settings.validation)
        self.header: dict[str, Any] = {"data": "synthetic scenes rendered by `posecast synth scenes`"}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All parameters alike."""
        return [{"params": list(self.modules.parameters())}]

    def batch(self, step: int, progress: float) -> Scenes:
        """Next search windows."""
        scenes: Scenes = next(self.stream)
        return scenes

    def samples(self, batch: Scenes) -> int:
        """Windows in the batch."""
        return len(batch.picture)

    def losses(self, batch: Scenes, progress: float) -> dict[str, Tensor]:
        """Box where there is one, presence everywhere."""
        self.modules.train()
        theta, logit = self.modules["stn"](normalise_picture(batch.picture))
        theta, logit = theta.float(), logit.float()
        weight = batch.presence[:, 0]
        total = weight.sum().clamp_min(1)
        l1 = ((theta - batch.theta).abs().sum(-1) * weight).sum() / total
        giou = ((1 - losses.box_giou(theta, batch.theta)) * weight).sum() / total
        presence = F.binary_cross_entropy_with_logits(logit, batch.presence)
        s = self.settings
        loss = s.l1_weight * l1 + s.giou_weight * giou + s.presence_weight * presence
        return {"loss": loss, "l1": l1, "giou": giou, "presence": presence}

    @torch.no_grad()
    def validate(self, modules: nn.ModuleDict) -> dict[str, float]:
        """Box overlap and presence on held-out scenes."""
        modules.eval()
        device = next(modules.parameters()).device
        parts = [
            modules["stn"](normalise_picture(self.held_out.picture[i : i + 64].to(device)))
            for i in range(0, len(self.held_out.picture), 64)
        ]
        theta, logit = (torch.cat(column).float().cpu() for column in zip(*parts, strict=True))
        return box_figures(theta.numpy(), logit.sigmoid().numpy(), self.held_out)


def box_figures(theta: Any, presence: Any, scenes: Scenes) -> dict[str, float]:
    """Mean and median IoU where a subject is present, shares found, and accuracy of presence, in percent."""
    there = scenes.presence.numpy()[:, 0] > 0.5
    said = presence[:, 0] > 0.5
    iou = metrics.box_iou(theta[there], scenes.theta.numpy()[there])
    return {
        "iou_mean": float(iou.mean()),
        "iou_over_50": float(100 * (iou > 0.5).mean()),
        "presence_accuracy": float(100 * (said == there).mean()),
        "absent_recognised": float(100 * (~said[~there]).mean()) if (~there).any() else float("nan"),
        "windows": float(len(there)),
    }


def build(settings: dict[str, Any], data: Data, seed: int) -> Track:
    """The recipe from its table of settings."""
    return Track(typed(Settings, settings, "track [recipe]"), data, seed)
