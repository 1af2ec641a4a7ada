"""`backbone`: HRNet's heat maps from synthetic crops and photographs, mixed in every batch.

Small pictures first, full size at the end: what limits accuracy is the number of crops seen. Every crop is turned by
any angle. Labels of photographs are noisy: joints without a counterpart carry no weight, and where a photograph's map
fits its joints clearly better with left and right exchanged, it is learned that way round (Johnson and Everingham,
CVPR 2011, describe these labels). The embedding is not trained here but by `align`.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engines.contracts import HEATMAP_STRIDE
from engines.heatmaps import joints_of_heatmaps
from engines.skeleton import MIRROR
from training import losses, metrics
from training.datasets import CropPool, Crops, Mixture, normalise_picture, shards, validation_crops
from training.prefetch import Prefetch
from training.recipes.align import image_encoder
from training.settings import Data, typed

HIPS, SHOULDERS = [1, 4], [11, 14]
LIMBS = [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16]


@dataclass(frozen=True)
class Settings:
    """Table `recipe` of configs/train/backbone.toml."""

    variant: str = "w18_small_v2"
    sizes: tuple[tuple[float, int, int, int], ...] = ((0.7, 128, 96, 48), (0.92, 192, 144, 32), (1.0, 256, 192, 24))
    """Until which progress, at which height and width, in which batches."""
    photos: float = 0.6
    """Share of photographs in a batch, where DATA/photos holds any."""
    swap_below: float = 0.8
    """A photograph counts as labelled the wrong way round when that makes its loss smaller than this share."""
    workers: int = 1
    validation: int = 400


class Backbone:
    """The recipe `backbone`."""

    name = "backbone"

    def __init__(self, settings: Settings, data: Data, seed: int) -> None:
        self.settings = settings
        self.modules = nn.ModuleDict(image_encoder(settings.variant))
        self.folders = [data.root / "crops"]
        shares = [1.0]
        if shards(data.root / "photos"):
            self.folders.append(data.root / "photos")
            shares = [1 - settings.photos, settings.photos]
        pools = tuple(CropPool(folder, validation=False) for folder in self.folders)
        self.mixture = Mixture(pools, tuple(shares), seed)
        self.stream = Prefetch(self.mixture.make, settings.workers)
        self.size = settings.sizes[0][1:3]
        self.held_out: dict[tuple[str, int], Crops] = {}
        counts = ", ".join(f"{len(pool)} in {pool.folder.name}" for pool in pools)
        self.header: dict[str, Any] = {
            "variant": settings.variant,
            "working_px": settings.sizes[-1][1:3],
            "data": f"training crops: {counts}; share of photographs in a batch {shares[-1] if shares[1:] else 0:g}",
        }

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All but the embedding."""
        named = self.modules["hrnet"].named_parameters()
        return [{"params": [p for name, p in named if not name.startswith("embed.")]}]

    def shipped(self) -> dict[str, tuple[nn.Module, Tensor | None]]:
        """The network that a shipped file can start, with pictures to settle its statistics on."""
        picture = self.mixture.make(0, (*self.size, 32)).picture
        return {f"hrnet_{self.settings.variant}": (self.modules["hrnet"], normalise_picture(picture))}

    def batch(self, step: int, progress: float) -> Crops:
        """Crops of batch number `step`, at the size of this part of the schedule."""
        rows = self.settings.sizes
        _, height, width, count = next((row for row in rows if progress < row[0]), rows[-1])
        self.size = (height, width)
        return self.stream.get(step, (height, width, count))

    def samples(self, batch: Crops) -> int:
        """Crops in the batch."""
        return len(batch.picture)

    def losses(self, batch: Crops, progress: float) -> dict[str, Tensor]:
        """Cross-entropy of the heat maps, photographs the way round that fits."""
        self.modules.train()
        logits, _ = self.modules["hrnet"](normalise_picture(batch.picture))
        cells = (batch.joints_px - (HEATMAP_STRIDE - 1) / 2) / HEATMAP_STRIDE
        joint = losses.heatmap_joint_losses(logits, cells)
        given, weight = losses.row_means(joint, batch.weight)
        exchanged, _ = losses.row_means(losses.heatmap_joint_losses(logits[:, list(MIRROR)], cells), batch.weight)
        swapped = (batch.metric < 0.5) & (exchanged < self.settings.swap_below * given)
        rows = torch.where(swapped, exchanged, given)
        loss = (rows * weight).sum() / weight.sum().clamp_min(1e-6)
        photos = (1 - batch.metric).sum().clamp_min(1)
        return {
            "loss": loss,
            "synthetic": (given * batch.metric).sum() / batch.metric.sum().clamp_min(1),
            "photos": (rows * (1 - batch.metric)).sum() / photos,
            "swapped": swapped.sum() / photos,
            "height": torch.tensor(float(batch.picture.shape[1])),
        }

    def validate(self, modules: nn.ModuleDict) -> dict[str, float]:
        """Keypoints on held-out crops at the present size; a network knows no other yet."""
        figures: dict[str, float] = {"height": float(self.size[0])}
        for folder in self.folders:
            key = (folder.name, self.size[0])
            if key not in self.held_out:
                turned = folder.name != "photos"
                self.held_out[key] = validation_crops(folder, self.settings.validation, *self.size, turned=turned)
            crops = self.held_out[key]
            points = keypoints(modules["hrnet"], crops)
            figures |= {f"{folder.name}_{name}": value for name, value in point_figures(points, crops).items()}
        return figures


@torch.no_grad()
def keypoints(network: nn.Module, crops: Crops) -> Any:
    """Points (N, J, 2) in crop pixels that the network finds."""
    network.eval()
    device = next(network.parameters()).device
    points = []
    for start in range(0, len(crops.picture), 16):
        with torch.autocast(device.type, torch.bfloat16):
            logits, _ = network(normalise_picture(crops.picture[start : start + 16].to(device)))
        maps = logits.float().flatten(2).softmax(-1).view(logits.shape).cpu().numpy()
        points.append(joints_of_heatmaps(maps)[0])
    return np.concatenate(points)


def point_figures(points_px: Any, crops: Crops) -> dict[str, float]:
    """PCK at 0.1 of the joints' box and at 0.2 of the torso, in all and by the trunk's tilt in the picture."""
    truth, weight = crops.joints_px.numpy(), crops.weight.numpy()
    low, high = (f(truth, 1, where=weight[..., None] > 0, initial=i) for f, i in ((np.min, 1e9), (np.max, -1e9)))
    box = (high - low).max(-1)
    trunk = truth[:, SHOULDERS].mean(1) - truth[:, HIPS].mean(1)
    torso, tilt = np.linalg.norm(trunk, axis=-1), np.degrees(np.arctan2(np.abs(trunk[:, 0]), -trunk[:, 1]))
    measurable = weight[:, SHOULDERS + HIPS].all(1)
    figures: dict[str, float] = {}
    for kind, least, most in (("all", 0, 181), ("upright", 0, 45), ("side", 45, 135), ("inverted", 135, 181)):
        rows = measurable & (tilt >= least) & (tilt < most)
        suffix = "" if kind == "all" else f"_{kind}"
        if rows.any():
            seen = (points_px[rows], truth[rows])
            figures[f"pck10_box{suffix}"] = metrics.pck(*seen, box[rows], 0.1, weight[rows])
            limbs = (points_px[rows][:, LIMBS], truth[rows][:, LIMBS])
            figures[f"pck20_torso{suffix}"] = metrics.pck(*limbs, torso[rows], 0.2, weight[rows][:, LIMBS])
    figures["crops"] = float(measurable.sum())
    return figures


def build(settings: dict[str, Any], data: Data, seed: int) -> Backbone:
    """The recipe from its table of settings."""
    made = typed(Settings, settings, "backbone [recipe]")
    sizes = tuple((float(until), h, w, n) for until, h, w, n in made.sizes)
    return Backbone(replace(made, sizes=sizes), data, seed)
