"""`lift`: pose encoders and decoders from pose pairs alone, without pictures.

UniHPE stage 1 (pair loss between keypoint and joint embeddings) together with the decoders: MLP by distance,
diffusion by score matching, both from both embeddings. Encoders of 2D and 3D and both decoders are trained at
once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engines.contracts import MODALITY_2D, MODALITY_3D, MODALITY_IMAGE
from engines.skeleton import J
from models.decoders import DiffusionDecoder, MLPDecoder
from models.pose_encoder import PoseEncoder2D, PoseEncoder3D
from models.sampler import Sampler
from training import losses, metrics
from training.poses import Pairs, load_bank, sample_pairs
from training.settings import Data, typed

VALIDATION_SEED = 90001


@dataclass(frozen=True)
class Settings:
    """Table `recipe` of configs/train/lift.toml."""

    batch: int = 128
    pair_weight: float = 0.1
    decode_weight: float = 4.0
    diffusion_weight: float = 0.02
    diffusion_draws: int = 1
    diffusion_hidden: int = 512
    mlp_hidden: int = 896
    """Not UniHPE's 1024: the shipped files together stay below 60 MB."""
    dropout: float = 0.0
    """Every batch is new, so there is little to over-fit; drawing masks would cost a third of the time."""
    data_scale: float = 5.0
    joint_noise_m: float = 0.01
    dives: int = 150
    stills: int = 20000
    """Random gymnast poses in the bank."""
    validation: int = 1024


def build_modules(settings: Settings) -> nn.ModuleDict:
    """The four networks, and the temperature of the pair loss."""
    return nn.ModuleDict(
        {
            "pose2d_encoder": PoseEncoder2D(dropout=settings.dropout),
            "pose3d_encoder": PoseEncoder3D(dropout=settings.dropout),
            "mlp_decoder": MLPDecoder(hidden=settings.mlp_hidden, dropout=settings.dropout),
            "diffusion_decoder": DiffusionDecoder(
                hidden=settings.diffusion_hidden,
                dropout=settings.dropout,
                data_scale=settings.data_scale,
            ),
            "temperature": losses.Temperature(),
        }
    )


def modality(kind: int, like: Tensor, borrowed: float = 0.0) -> Tensor:
    """Modality tokens (B,); a share `borrowed` calls itself an image, so that this token is not new to the
    decoders later."""
    token = torch.full((len(like),), kind, dtype=torch.int64, device=like.device)
    return torch.where(torch.rand(len(like), device=like.device) < borrowed, MODALITY_IMAGE, token)


class Lift:
    """The recipe `lift`."""

    name = "lift"

    def __init__(self, settings: Settings, data: Data, seed: int) -> None:
        self.settings, self.seed = settings, seed
        self.modules = build_modules(settings)
        self.bank = load_bank(data.mocap, False, settings.dives, settings.stills)
        held_out = load_bank(data.mocap, True, max(1, settings.dives // 6), max(1, settings.stills // 10))
        self.held_out = sample_pairs(np.random.default_rng(VALIDATION_SEED), held_out, settings.validation)
        self.header: dict[str, Any] = {
            "data_scale": settings.data_scale,
            "diffusion_hidden": settings.diffusion_hidden,
            "mlp_hidden": settings.mlp_hidden,
            "data": f"{len(self.bank.mocap)} mocap clips, {len(self.bank.dives)} generated dives, random gymnast poses",
        }

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All parameters alike."""
        return [{"params": list(self.modules.parameters())}]

    def batch(self, step: int, progress: float) -> Pairs:
        """Fresh pairs; the step number is the seed."""
        return sample_pairs(np.random.default_rng([self.seed, step]), self.bank, self.settings.batch)

    def samples(self, batch: Pairs) -> int:
        """Pairs in the batch."""
        return len(batch.joints)

    def losses(self, batch: Pairs, progress: float) -> dict[str, Tensor]:
        """Pair loss, and both decoders from both embeddings."""
        m, s = self.modules, self.settings
        m.train()
        noisy = batch.joints + s.joint_noise_m * torch.randn_like(batch.joints)
        e2 = m["pose2d_encoder"](batch.keypoints, batch.confidence, batch.box)
        e3 = m["pose3d_encoder"](noisy - noisy[:, :1])
        both = torch.cat([e2, e3])
        tokens = torch.cat([modality(MODALITY_2D, e2, 0.3), modality(MODALITY_3D, e3, 0.1)])
        box, truth = batch.box.repeat(2, 1), batch.joints.repeat(2, 1, 1)
        decoded = m["mlp_decoder"](both, tokens, box)
        pair = losses.pair_loss(e2, e3, m["temperature"]())
        lift = losses.euclid(decoded[: len(e2)], batch.joints)
        auto = losses.euclid(decoded[len(e2) :], batch.joints)
        n = s.diffusion_draws
        score = m["diffusion_decoder"].loss(
            truth.repeat(n, 1, 1), both.float().repeat(n, 1), tokens.repeat(n), box.repeat(n, 1)
        )
        loss = s.pair_weight * pair + s.decode_weight * (lift + 0.5 * auto) + s.diffusion_weight * score
        return {"loss": loss, "pair": pair, "lift_m": lift, "auto_m": auto, "score": score}

    def validate(self, modules: nn.ModuleDict) -> dict[str, float]:
        """Errors in millimetres of lifting held-out poses, by decoder and orientation."""
        return lift_figures(modules, self.held_out)


@torch.no_grad()
def lift_figures(modules: nn.ModuleDict, pairs: Pairs, hypotheses: int = 5) -> dict[str, float]:
    """MPJPE and P-MPJPE of keypoints lifted by both decoders, in millimetres."""
    modules.eval()
    device = next(modules.parameters()).device
    keypoints, confidence, box, joints = (x.to(device) for x in pairs)
    e2 = modules["pose2d_encoder"](keypoints, confidence, box)
    e3 = modules["pose3d_encoder"](joints)
    token = modality(MODALITY_2D, e2)
    truth = pairs.joints.numpy()
    lifted = modules["mlp_decoder"](e2, token, box).cpu().numpy()
    auto = modules["mlp_decoder"](e3, modality(MODALITY_3D, e3), box).cpu().numpy()
    noise = torch.randn(len(e2), hypotheses, J * 3, generator=torch.Generator().manual_seed(1)).to(device)
    sampled = Sampler(modules["diffusion_decoder"])(e2, token, box, noise).mean(1).cpu().numpy()
    figures = {
        "mpjpe_mm": metrics.mpjpe(lifted, truth),
        "p_mpjpe_mm": metrics.p_mpjpe(lifted, truth),
        "diffusion_mpjpe_mm": metrics.mpjpe(sampled, truth),
        "auto_mpjpe_mm": metrics.mpjpe(auto, truth),
    }
    where = metrics.orientation(truth)
    for kind in ("upright", "side", "inverted"):
        rows = where == kind
        if rows.any():
            figures[f"mpjpe_{kind}_mm"] = metrics.mpjpe(lifted[rows], truth[rows])
    return figures


def build(settings: dict[str, Any], data: Data, seed: int) -> Lift:
    """The recipe from its table of settings."""
    return Lift(typed(Settings, settings, "lift [recipe]"), data, seed)
