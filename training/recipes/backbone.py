"""`backbone`: HRNet's heat maps and embedding from synthetic crops.

Small pictures first, full size at the end. Heat maps dominate; the embedding is drawn to those of the frozen
pose encoders of `lift` (pair and triplet loss, UniHPE stage 2) and decoded by both decoders, which follow at a
small learning rate and keep rehearsing keypoints and joints. Start it from a `lift` run with `init_from`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engines.codecs import decode_heatmaps
from engines.contracts import CROP_H, CROP_W, HEATMAP_STRIDE, MODALITY_2D, MODALITY_3D, MODALITY_IMAGE
from models.hrnet import HRNet
from training import losses, metrics, poses
from training.datasets import CropBatches, Crops, loader, normalise_picture, validation_crops
from training.recipes import lift
from training.settings import Data, typed

FROZEN = ("pose2d_encoder", "pose3d_encoder")


@dataclass(frozen=True)
class Settings:
    """Table `recipe` of configs/train/backbone.toml."""

    variant: str = "w18_small_v2"
    sizes: tuple[tuple[float, int, int, int], ...] = ((0.55, 128, 96, 48), (0.8, 192, 144, 32), (1.0, 256, 192, 24))
    """Until which progress, at which height and width, in which batches."""
    heatmap_weight: float = 1.0
    align_weight: float = 0.1
    decode_weight: float = 1.0
    diffusion_weight: float = 0.002
    decoder_rate: float = 0.2
    workers: int = 1
    validation: int = 256


class Backbone:
    """The recipe `backbone`."""

    name = "backbone"

    def __init__(self, settings: Settings, data: Data, seed: int) -> None:
        self.settings = settings
        lift_settings = lift.Settings()
        self.modules = lift.build_modules(lift_settings)
        network = HRNet(settings.variant)
        self.modules["hrnet"] = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for name in FROZEN:
            self.modules[name].requires_grad_(False)
        _, height, width, batch = settings.sizes[0]
        self.batches = CropBatches(data.root / "crops", batch, (height, width), seed)
        self.stream = loader(self.batches, settings.workers)
        self.folder = data.root / "crops"
        self.held_out = {(CROP_H, CROP_W): self._validation(CROP_H, CROP_W)}
        self.size = (height, width)
        self.header: dict[str, Any] = {
            "variant": settings.variant,
            "data_scale": lift_settings.data_scale,
            "diffusion_hidden": lift_settings.diffusion_hidden,
            "mlp_hidden": lift_settings.mlp_hidden,
            "data": "synthetic athletes rendered by `posecast synth crops`; pose encoders from the recipe lift",
        }

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The network at the full rate; the decoders it shares, slowly."""
        decoders = [*self.modules["mlp_decoder"].parameters(), *self.modules["diffusion_decoder"].parameters()]
        network = [*self.modules["hrnet"].parameters(), *self.modules["temperature"].parameters()]
        return [{"params": network}, {"params": decoders, "factor": self.settings.decoder_rate}]

    def batch(self, step: int, progress: float) -> Crops:
        """Next crops, at the size of this part of the schedule."""
        for until, height, width, batch in self.settings.sizes:
            if progress < until or until == self.settings.sizes[-1][0]:
                self.batches.set_size(height, width, batch)
                self.size = (height, width)
                break
        crops: Crops = next(self.stream)
        return crops

    def samples(self, batch: Crops) -> int:
        """Crops in the batch."""
        return len(batch.picture)

    def losses(self, batch: Crops, progress: float) -> dict[str, Tensor]:
        """Heat maps, alignment with the frozen encoders, decoding."""
        m, s = self.modules, self.settings
        m.train()
        for name in FROZEN:
            m[name].eval()
        logits, image = m["hrnet"](normalise_picture(batch.picture))
        cells = (batch.joints_px - (HEATMAP_STRIDE - 1) / 2) / HEATMAP_STRIDE
        heatmap = losses.heatmap_cross_entropy(logits, cells, batch.weight)
        with torch.no_grad():
            noisy, confidence = poses.disturb(
                np.random.default_rng(int(torch.randint(2**31, ()))), batch.keypoints.cpu().numpy()
            )
            like = batch.keypoints
            e2 = m["pose2d_encoder"](
                torch.from_numpy(noisy).to(like), torch.from_numpy(confidence).to(like), batch.box
            ).float()
            e3 = m["pose3d_encoder"](batch.joints).float()
        scale = m["temperature"]()
        align = losses.pair_loss(image, e2, scale) + losses.pair_loss(image, e3, scale)
        align = align + losses.triplet_loss(image, e2, e3, scale)
        every = torch.cat([image.float(), e2, e3])
        tokens = torch.cat([lift.modality(k, e2) for k in (MODALITY_IMAGE, MODALITY_2D, MODALITY_3D)])
        box, truth = batch.box.repeat(3, 1), batch.joints.repeat(3, 1, 1)
        decoded = m["mlp_decoder"](every, tokens, box)
        n = len(image)
        image_error = losses.euclid(decoded[:n], batch.joints)
        rehearsed = losses.euclid(decoded[n:], truth[n:])
        score = m["diffusion_decoder"].loss(truth, every.detach(), tokens, box)
        loss = s.heatmap_weight * heatmap + s.align_weight * align
        loss = loss + s.decode_weight * (image_error + rehearsed) + s.diffusion_weight * score
        return {
            "loss": loss,
            "heatmap": heatmap,
            "align": align,
            "image_m": image_error,
            "rehearsed_m": rehearsed,
            "score": score,
            "height": torch.tensor(float(batch.picture.shape[1])),
        }

    def validate(self, modules: nn.ModuleDict) -> dict[str, float]:
        """Keypoints and 3D from held-out pictures at the present size; a network knows no other yet."""
        if self.size not in self.held_out:
            self.held_out[self.size] = self._validation(*self.size)
        return crop_figures(modules, self.held_out[self.size]) | {"height": float(self.size[0])}

    def _validation(self, height: int, width: int) -> Crops:
        return validation_crops(self.folder, self.settings.validation, height, width)


@torch.no_grad()
def crop_figures(modules: nn.ModuleDict, crops: Crops) -> dict[str, float]:
    """PCK of the box and of the torso by orientation, and errors of the joints decoded from the picture."""
    modules.eval()
    device = next(modules.parameters()).device
    points, joints = [], []
    for start in range(0, len(crops.picture), 16):
        rows = slice(start, start + 16)
        with torch.autocast(device.type, torch.bfloat16):
            logits, image = modules["hrnet"](normalise_picture(crops.picture[rows].to(device)))
        image = image.float()
        maps = logits.float().flatten(2).softmax(-1).view(logits.shape).cpu().numpy()
        points.append(decode_heatmaps(maps)[0])
        token = lift.modality(MODALITY_IMAGE, image)
        joints.append(modules["mlp_decoder"](image, token, crops.box[rows].to(device)).float().cpu().numpy())
    return picture_figures(np.concatenate(points), np.concatenate(joints), crops)


def picture_figures(points_px: Any, joints_m: Any, crops: Crops) -> dict[str, float]:
    """The figures of predicted points (N, J, 2) in crop pixels and joints (N, J, 3) in metres."""
    truth_px, truth_m, weight = crops.joints_px.numpy(), crops.joints.numpy(), crops.weight.numpy()
    box = (truth_px.max(1) - truth_px.min(1)).max(-1)
    torso = metrics.torso_length(truth_px)
    where = metrics.orientation(truth_m)
    figures: dict[str, float] = {}
    for kind in ("all", "upright", "side", "inverted"):
        rows = (where == kind) | (kind == "all")
        suffix = "" if kind == "all" else f"_{kind}"
        if rows.any():
            seen = (points_px[rows], truth_px[rows])
            figures[f"pck05_box{suffix}"] = metrics.pck(*seen, box[rows], 0.05, weight[rows])
            figures[f"pck10_box{suffix}"] = metrics.pck(*seen, box[rows], 0.1, weight[rows])
            figures[f"pck20_torso{suffix}"] = metrics.pck(*seen, torso[rows], 0.2, weight[rows])
    figures["image_mpjpe_mm"] = metrics.mpjpe(joints_m, truth_m)
    figures["image_p_mpjpe_mm"] = metrics.p_mpjpe(joints_m, truth_m)
    figures["crops"] = float(len(truth_px))
    return figures


def build(settings: dict[str, Any], data: Data, seed: int) -> Backbone:
    """The recipe from its table of settings."""
    if "sizes" in settings:
        rows = [(float(until), int(h), int(w), int(n)) for until, h, w, n in settings["sizes"]]
        settings = {**settings, "sizes": tuple(rows)}
    return Backbone(typed(Settings, settings, "backbone [recipe]"), data, seed)
