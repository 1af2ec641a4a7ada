"""Decoders from the shared embedding to pose: residual MLP (one answer) and diffusion (many).

MLP decoder of UniHPE (2023): 3 residual blocks of 1024. Diffusion decoder: the denoiser of GFPose (Ci et al., CVPR
2023) with UniHPE's conditioning, c = W_e e + E_mod[m] + W_b box, which does not depend on the noisy
state and is therefore computed once a frame. Joints are root-relative, camera axes, metres; inside, both decoders work
in the axes of the camera that looks straight at the crop (`models.view`), which the box tells.

One addition to GFPose: the trunk predicts only what a linear estimator cannot. For data of spread d the best
linear guess of the noise is sigma x / v with v = m^2 d^2 + sigma^2; the network adds m d / sqrt(v) times the
trunk at x / sqrt(v). Without it the trunk must first learn to copy 51 numbers through group norms, and its
error is multiplied by sigma/m = 152 in the pose predicted at t=1. `precondition=False` gives the plain one.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.contracts import EMBEDDING
from engines.skeleton import PELVIS, J
from models.layers import GroupNormVector, ResidualMLP
from models.sde import EPS_TRAIN, SDE, Kind, score_matching_loss
from models.view import from_view, into_view, view_of

MODALITIES = 3
BOX = 3


class Condition(nn.Module):
    """Embedding + modality token + box; in training the whole is zeroed for a share of the samples.

    Args:
        width: length of the result; the embedding is projected only when `project` is set.
        dropout: share of the samples that get the zero ("null") condition in training.
    """

    def __init__(self, width: int, project: bool, dropout: float) -> None:
        super().__init__()
        if not project and width != EMBEDDING:
            raise ValueError(f"an unprojected embedding has length {EMBEDDING}, not {width}")
        self.embedding = nn.Linear(EMBEDDING, width) if project else nn.Identity()
        self.modality = nn.Embedding(MODALITIES, width)
        self.box = nn.Linear(BOX, width, bias=False)
        self.dropout = dropout
        nn.init.normal_(self.modality.weight, std=0.02)

    def forward(self, embedding: Tensor, modality: Tensor, box: Tensor) -> Tensor:
        """[B,1024], [B] int64, [B,3] -> [B,width]."""
        c = self.embedding(embedding) + self.modality(modality) + self.box(box)
        if self.training and self.dropout > 0:
            keep = torch.rand(c.shape[0], 1, device=c.device) >= self.dropout
            c = c * keep
        return c


class MLPDecoder(nn.Module):
    """One pose from one embedding.

    Args:
        out_dim: 3 for root-relative joints in metres (root exactly 0), 2 for keypoints in the crop.
        hidden: width inside each residual block.
        blocks: residual blocks.
        dropout: inside the blocks.
        condition_dropout: share of samples decoded without condition in training.
    """

    def __init__(
        self,
        out_dim: int = 3,
        hidden: int = 1024,
        blocks: int = 3,
        dropout: float = 0.1,
        condition_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if out_dim not in (2, 3):
            raise ValueError(f"a pose has 2 or 3 coordinates, got out_dim={out_dim}")
        self.condition = Condition(EMBEDDING, project=False, dropout=condition_dropout)
        self.blocks = nn.Sequential(*(ResidualMLP(EMBEDDING, hidden, dropout) for _ in range(blocks)))
        self.norm = nn.LayerNorm(EMBEDDING)
        self.out = nn.Linear(EMBEDDING, J * out_dim)
        self.out_dim = out_dim
        mask = torch.ones(J, 1)
        if out_dim == 3:
            mask[PELVIS] = 0.0
        self.register_buffer("not_root", mask, persistent=False)

    def forward(self, embedding: Tensor, modality: Tensor, box: Tensor) -> Tensor:
        """[B,1024], [B] int64, [B,3] -> [B,17,3] metres or [B,17,2] crop units."""
        x = self.blocks(self.condition(embedding, modality, box))  # [B,1024]
        pose = self.out(self.norm(x)).view(-1, J, self.out_dim) * self.not_root  # [B,17,out_dim]
        return from_view(pose.float(), view_of(box)) if self.out_dim == 3 else pose


class TimeEmbedding(nn.Module):
    """Diffusion time as a vector [N,dim]: sinusoids of 999 t; for VE Gaussian features of ln sigma."""

    def __init__(self, sde: SDE, dim: int) -> None:
        super().__init__()
        self.sde = sde
        half = dim // 2
        if sde.kind == "ve":
            frequencies = torch.randn(half) * 30.0 * 2 * math.pi
        else:
            frequencies = torch.exp(-math.log(10000.0) * torch.arange(half) / (half - 1))
        self.register_buffer("frequencies", frequencies)
        self.linear = nn.Linear(dim, dim)

    def forward(self, t: Tensor) -> Tensor:
        """[N] -> [N,dim]."""
        value = self.sde.log_std(t) if self.sde.kind == "ve" else 999.0 * t
        angle = value[:, None] * self.frequencies
        return functional.silu(self.linear(torch.cat([angle.sin(), angle.cos()], dim=1)))


class DiffusionDecoder(nn.Module):
    """Denoiser: predicts the noise in a scaled, flattened pose. Sampled by `models.sampler.Sampler`.

    Args:
        hidden: width H of the trunk and the condition, a multiple of 32.
        time_dim: width E of the time embedding.
        blocks: residual blocks of two layers each.
        dropout: after every activation.
        condition_dropout: share of samples trained without condition, which keeps a prior of poses.
        data_scale: state = metres * data_scale; kept with the weights.
        sde: subvp, vp or ve.
        precondition: add the linear estimate, see the head of this file.
        pose_std_m: spread of one root-relative coordinate, for the linear estimate.
    """

    def __init__(
        self,
        hidden: int = 1024,
        time_dim: int = 512,
        blocks: int = 2,
        dropout: float = 0.25,
        condition_dropout: float = 0.1,
        data_scale: float = 5.0,
        sde: Kind = "subvp",
        precondition: bool = True,
        pose_std_m: float = 0.3,
    ) -> None:
        super().__init__()
        self.sde = SDE(sde)
        self.precondition, self.pose_std_m = precondition, pose_std_m
        self.register_buffer("data_scale", torch.tensor(float(data_scale)))
        self.condition = Condition(hidden, project=True, dropout=condition_dropout)
        self.time = TimeEmbedding(self.sde, time_dim)
        layers = 1 + 2 * blocks
        # One layer is A x + T tau + C c; the bias lives in A.
        self.state = nn.ModuleList(nn.Linear(J * 3 if i == 0 else hidden, hidden) for i in range(layers))
        self.from_time = nn.ModuleList(nn.Linear(time_dim, hidden, bias=False) for _ in range(layers))
        self.from_condition = nn.ModuleList(nn.Linear(hidden, hidden, bias=False) for _ in range(layers))
        self.norms = nn.ModuleList(GroupNormVector(32, hidden) for _ in range(layers))
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, J * 3)

    def time_terms(self, t: Tensor) -> list[Tensor]:
        """T_b tau of every layer: [N] -> layers x [N,hidden]; constants for a fixed step list."""
        tau = self.time(t)  # [N,time_dim]
        return [linear(tau) for linear in self.from_time]

    def condition_terms(self, condition: Tensor) -> list[Tensor]:
        """C_b c of every layer: [B,hidden] -> layers x [B,hidden]; once a frame."""
        return [linear(condition) for linear in self.from_condition]

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Factors [N] of the linear estimate, of the trunk's input and of its output."""
        if not self.precondition:
            return torch.zeros_like(t), torch.ones_like(t), torch.ones_like(t)
        m, s, spread = self.sde.mean(t), self.sde.std(t), self.pose_std_m * self.data_scale
        root = torch.sqrt((m * spread) ** 2 + s**2)
        return s / root**2, 1 / root, m * spread / root

    def _layer(self, index: int, x: Tensor, term: Tensor) -> Tensor:
        return self.drop(functional.silu(self.norms[index](self.state[index](x) + term)))

    def trunk(self, x: Tensor, terms: list[Tensor]) -> Tensor:
        """The part that depends on the state: [...,51] and per layer T tau + C c -> noise [...,51]."""
        h = self._layer(0, x, terms[0])  # [...,hidden]
        for i in range(1, len(terms), 2):
            h = h + self._layer(i + 1, self._layer(i, h, terms[i]), terms[i + 1])
        return self.out(h)  # [...,51]

    def forward(self, x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """Predicted noise.

        Args:
            x: noisy scaled state [B,51].
            t: diffusion time [B].
            condition: [B,hidden] from `self.condition(embedding, modality, box)`; zeros for the prior.

        Returns:
            noise [B,51].
        """
        pairs = zip(self.time_terms(t), self.condition_terms(condition), strict=True)
        skip, inner, outer = (factor[:, None] for factor in self.scales(t))  # [B,1] each
        return skip * x + outer * self.trunk(inner * x, [time + cond for time, cond in pairs])

    def loss(self, joints_cam_m: Tensor, embedding: Tensor, modality: Tensor, box: Tensor) -> Tensor:
        """Score-matching loss of a batch [B,17,3] (root-relative metres), t uniform, one draw a sample."""
        x0 = into_view(joints_cam_m, view_of(box)).flatten(1) * self.data_scale
        t = torch.rand(x0.shape[0], device=x0.device) * (1 - EPS_TRAIN) + EPS_TRAIN
        condition = self.condition(embedding, modality, box)
        return score_matching_loss(self.sde, lambda x, time: self(x, time, condition), x0, t, torch.randn_like(x0))
