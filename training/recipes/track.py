"""`track`: the spatial transformer learns box and presence, supervised, from rendered scenes and crops and from
photographs.

Where a subject is present: L1 and generalised IoU on the box, and cross-entropy of the cells' votes with the place of
its centre. Everywhere: cross-entropy on presence, whose logit is calibrated on the validation split (Platt scaling,
a temperature and a shift), so that the tracker's thresholds are probabilities.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.stn import STN, Found
from training import losses, metrics
from training.datasets import normalise_picture, shards
from training.errors import TrainingError
from training.loop import Recipe
from training.prefetch import Prefetch
from training.scenes import ScenePool, Scenes, Windows, validation_scenes
from training.settings import Data, typed

MATERIAL = {"scenes": 0.6, "crops": 0.15, "photos": 0.25}
"""Folders of the data and their shares of the windows, where each holds shards."""


@dataclass(frozen=True)
class Settings:
    """Table `recipe` of configs/train/track.toml."""

    variant: str = "supervised"
    batch: int = 64
    l1_weight: float = 2.0
    giou_weight: float = 2.0
    votes_weight: float = 0.25
    presence_weight: float = 1.0
    grown_weight: float = 0.5
    """Weight of a box that was grown from joints."""
    photos: float = MATERIAL["photos"]
    """Share of photographs, where DATA/photos holds any."""
    workers: int = 1
    validation: int = 1000


class Track:
    """The recipe `track`."""

    name = "track"

    def __init__(self, settings: Settings, data: Data, seed: int) -> None:
        self.settings = settings
        stn = STN().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.modules = nn.ModuleDict({"stn": stn})
        shares = {name: share for name, share in (MATERIAL | {"photos": settings.photos}).items() if share > 0}
        self.folders = [data.root / name for name in shares if shards(data.root / name)]
        if not self.folders:
            raise TrainingError(f"{data.root}: no shards (*.tar); make them with `posecast synth scenes`")
        pools = tuple(ScenePool(folder, validation=False) for folder in self.folders)
        self.windows = Windows(pools, tuple(shares[folder.name] for folder in self.folders), seed)
        self.stream = Prefetch(self.windows.make, settings.workers)
        self.held_out = {folder.name: validation_scenes(folder, settings.validation) for folder in self.folders}
        self.header: dict[str, Any] = {
            "data": "windows of " + ", ".join(f"{len(p)} {f.name}" for p, f in zip(pools, self.folders, strict=True)),
            "presence_calibration": [1.0, 0.0],
        }

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All parameters alike."""
        return [{"params": list(self.modules.parameters())}]

    def shipped(self) -> dict[str, tuple[nn.Module, Tensor | None]]:
        """The network that a shipped file can start, with pictures to settle its statistics on."""
        return {"stn": (self.modules["stn"], normalise_picture(self.windows.make(0, 64).picture))}

    def batch(self, step: int, progress: float) -> Scenes:
        """Search windows of batch number `step`."""
        return self.stream.get(step, self.settings.batch)

    def samples(self, batch: Scenes) -> int:
        """Windows in the batch."""
        return len(batch.picture)

    def losses(self, batch: Scenes, progress: float) -> dict[str, Tensor]:
        """Box and votes where there is a subject, presence everywhere but in doubt."""
        self.modules.train()
        stn = self.modules["stn"]
        assert isinstance(stn, STN)
        found = stn.detect(normalise_picture(batch.picture))
        s = self.settings
        weight = (batch.presence * batch.certain * (s.grown_weight + (1 - s.grown_weight) * batch.exact))[:, 0]
        total = weight.sum().clamp_min(1)
        l1 = ((found.theta - batch.theta).abs().sum(-1) * weight).sum() / total
        giou = ((1 - losses.box_giou(found.theta, batch.theta)) * weight).sum() / total
        votes = (votes_loss(found, batch.theta) * weight).sum() / total
        doubt = F.binary_cross_entropy_with_logits(found.presence.float(), batch.presence, reduction="none")
        presence = (doubt * batch.certain).sum() / batch.certain.sum().clamp_min(1)
        loss = s.l1_weight * l1 + s.giou_weight * giou + s.votes_weight * votes + s.presence_weight * presence
        return {"loss": loss, "l1": l1, "giou": giou, "votes": votes, "presence": presence}

    @torch.no_grad()
    def validate(self, modules: nn.ModuleDict) -> dict[str, float]:
        """Calibrates presence, then box overlap and presence on held-out windows of every kind of material."""
        modules.eval()
        stn = modules["stn"]
        assert isinstance(stn, STN)
        seen = {name: look(stn, windows.picture) for name, windows in self.held_out.items()}
        logits = torch.cat([logit for _, logit in seen.values()])
        truth = torch.cat([windows.presence for windows in self.held_out.values()])
        certain = torch.cat([windows.certain for windows in self.held_out.values()]) > 0
        calibration = presence_calibration(logits[certain], truth[certain])
        # In the trained network too: averaging would else move the averaged one's away.
        for network in (stn, self.modules["stn"]):
            network.calibration.copy_(calibration)  # type: ignore[operator]
        self.header["presence_calibration"] = [round(float(v), 4) for v in calibration]
        figures: dict[str, float] = {}
        for name, (theta, logit) in seen.items():
            presence = torch.sigmoid(logit * calibration[0] + calibration[1])
            one = box_figures(theta.numpy(), presence.numpy(), self.held_out[name])
            prefix = "" if name == self.folders[0].name else f"{name}_"
            figures |= {prefix + key: value for key, value in one.items()}
        return figures


def look(stn: STN, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (N, 4) and uncalibrated presence logits (N, 1) of windows (N, 128, 128, 3)."""
    device = next(stn.parameters()).device
    parts = [stn.detect(normalise_picture(rows.to(device))) for rows in pictures.split(64)]
    return torch.cat([p.theta for p in parts]).float().cpu(), torch.cat([p.presence for p in parts]).float().cpu()


def votes_loss(found: Found, theta: Tensor) -> Tensor:
    """Cross-entropy (B,) of the votes with the place of the centre, shared among the four cells around it."""
    rows, columns = found.votes.shape[1:]
    x = (theta[:, 2:3] + 1) / 2 * columns - 0.5
    y = (theta[:, 3:4] + 1) / 2 * rows - 0.5
    across = (1 - (torch.arange(columns, device=x.device) - x.clamp(0, columns - 1)).abs()).clamp_min(0)
    down = (1 - (torch.arange(rows, device=y.device) - y.clamp(0, rows - 1)).abs()).clamp_min(0)
    target = (down[:, :, None] * across[:, None, :]).flatten(1)
    return -(target * found.votes.float().flatten(1).log_softmax(1)).sum(1)


def presence_calibration(logits: Tensor, truth: Tensor) -> Tensor:
    """Scale and shift (2,) of presence logits (N, 1) that fit the truth (N, 1) best; scale at least 0.05.

    Newton's method on Platt's smoothed targets ("Probabilistic outputs for support vector machines", 1999), so that
    a validation split without error does not ask for an infinite scale.
    """
    x, there = logits.double().flatten(), truth.double().flatten() > 0.5
    positive, negative = int(there.sum()), int((~there).sum())
    target = torch.where(there, (positive + 1) / (positive + 2), 1 / (negative + 2))
    design = torch.stack([x, torch.ones_like(x)], 1)
    weights = torch.tensor([1.0, 0.0], dtype=torch.float64)
    for _ in range(50):
        p = torch.sigmoid(design @ weights)
        gradient = design.T @ (p - target)
        hessian = design.T @ (design * (p * (1 - p)).unsqueeze(1)) + 1e-3 * torch.eye(2, dtype=torch.float64)
        step = torch.linalg.solve(hessian, gradient)
        weights = weights - step * min(1.0, 2.0 / float(step.abs().max().clamp_min(1e-9)))
        if float(step.abs().max()) < 1e-6:
            break
    return torch.stack([weights[0].clamp_min(0.05), weights[1]]).float()


def box_figures(theta: Any, presence: Any, scenes: Scenes) -> dict[str, float]:
    """Mean and median IoU where a subject is present, shares found, and presence where it is beyond doubt, percent."""
    certain = scenes.certain.numpy()[:, 0] > 0.5
    there = (scenes.presence.numpy()[:, 0] > 0.5) & certain
    absent = (scenes.presence.numpy()[:, 0] < 0.5) & certain
    said = presence[:, 0] > 0.5
    iou = metrics.box_iou(theta[there], scenes.theta.numpy()[there])
    return {
        "iou_mean": float(iou.mean()),
        "iou_median": float(np.median(iou)),
        "iou_over_50": float(100 * (iou > 0.5).mean()),
        "presence_accuracy": float(100 * (said == there)[certain].mean()),
        "absent_recognised": float(100 * (~said[absent]).mean()) if absent.any() else float("nan"),
        "windows": float(len(there)),
    }


def build(settings: dict[str, Any], data: Data, seed: int) -> Recipe:
    """The recipe from its table of settings; `variant = "trl"` is the one without labels."""
    if settings.get("variant", "supervised") == "trl":
        from training.recipes import track_trl

        table = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
        return track_trl.Unlabelled(typed(track_trl.Settings, table, "track [recipe]"), data, seed)
    made = typed(Settings, settings, "track [recipe]")
    if made.variant != "supervised":
        raise TrainingError(f"track [recipe]: variant = {made.variant!r}; have supervised, trl")
    return Track(made, data, seed)
