"""Losses of every recipe, as functions of tensors.

Shapes: B batch, T frames, J joints, D embedding, h w heat map. Distances in metres unless said otherwise.
"""

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.codecs import HEATMAP_H, HEATMAP_SIGMA
from engines.skeleton import BONES

SMALLEST_SCALE: Final = 1e-4
"""Of the logits of the contrastive losses: tau is at most 10,000 (UniHPE)."""


def heatmap_target(joints_cells: Tensor, h: int, w: int) -> Tensor:
    """Gaussian targets (B, J, h, w), each summing to one, at `joints_cells` (B, J, 2) = x, y in heat-map cells.

    Their spread is the codec's for the full-size crop and shrinks with smaller ones.
    """
    sigma = HEATMAP_SIGMA * h / HEATMAP_H
    x = torch.arange(w, device=joints_cells.device, dtype=torch.float32)
    y = torch.arange(h, device=joints_cells.device, dtype=torch.float32)
    gx = torch.exp(-((x - joints_cells[..., :1]) ** 2) / (2 * sigma**2))
    gy = torch.exp(-((y - joints_cells[..., 1:]) ** 2) / (2 * sigma**2))
    target = gy[..., :, None] * gx[..., None, :]
    return target / target.sum((-2, -1), keepdim=True).clamp_min(1e-8)


def heatmap_joint_losses(logits: Tensor, joints_cells: Tensor) -> Tensor:
    """Soft-max cross-entropy (B, J) of each map: `logits` (B, J, h, w), `joints_cells` (B, J, 2) = x, y in cells.

    Counted above the target's own entropy, so that a perfect map scores about 0.
    """
    h, w = logits.shape[-2:]
    flat = heatmap_target(joints_cells, h, w).flatten(2)
    log_p = logits.float().flatten(2).log_softmax(-1)
    return -(flat * (log_p - flat.clamp_min(1e-12).log())).sum(-1)


def row_means(values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted means (B,) of `values` (B, J), and the sums (B,) of their weights."""
    total = weight.sum(-1)
    return (values * weight).sum(-1) / total.clamp_min(1e-6), total


def heatmap_cross_entropy(logits: Tensor, joints_cells: Tensor, weight: Tensor) -> Tensor:
    """Mean of `heatmap_joint_losses` by `weight` (B, J), which is 0 where a joint lies outside of the picture."""
    rows, total = row_means(heatmap_joint_losses(logits, joints_cells), weight)
    return (rows * total).sum() / total.sum().clamp_min(1e-6)


def euclid(predicted: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean Euclidean distance of joints (..., 3); `weight` broadcasts over (...)."""
    distance = torch.linalg.vector_norm(predicted.float() - truth.float(), dim=-1)
    if weight is None:
        return distance.mean()
    weight = weight.expand_as(distance)
    return (distance * weight).sum() / weight.sum().clamp_min(1e-6)


class Temperature(nn.Module):
    """Learnable logit scale 1/tau, kept between `SMALLEST_SCALE` and `largest`.

    The parameter itself is clamped, not a copy of it: past a clamped copy it would get no gradient and never return.
    """

    def __init__(self, scale: float = 14.0, largest: float = 100.0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.log_largest = math.log(largest)

    def forward(self) -> Tensor:
        """Scale, a scalar tensor."""
        with torch.no_grad():
            self.log_scale.clamp_(math.log(SMALLEST_SCALE), self.log_largest)
        return self.log_scale.exp()


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of every row of `a` (B, D) with every row of `b`, (B, B), in single precision also under autocast."""
    with torch.autocast(a.device.type, enabled=False):
        return F.normalize(a.float(), dim=-1) @ F.normalize(b.float(), dim=-1).T


def pair_loss(a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
    """Symmetrised InfoNCE between embeddings (B, D) of the same B poses seen two ways; rows are normalised
    here."""
    logits = scale * cosines(a, b)
    truth = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2


def largest_eigenvalue(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Largest eigenvalue of [[1, a, b], [a, 1, c], [b, c, 1]], in [1, 3], by the trigonometric closed form.

    The arccosine's slope is infinite at +-1 (parallel vectors), so its argument keeps 1e-6 from there.
    """
    p = ((a * a + b * b + c * c) / 3).clamp_min(1e-8)
    cosine = (a * b * c / p**1.5).clamp(-1 + 1e-6, 1 - 1e-6)
    return 1 + 2 * p.sqrt() * torch.cos(torch.arccos(cosine) / 3)


def triplet_indices(batch: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Which pose stands for modality 2 and 3 in each of B columns: two (B, B) index tables.

    Row r anchors modality 1 at pose r. Column 0 is the positive (r, r); every further column is a random
    permutation.
    """
    second = torch.stack([torch.randperm(batch, generator=generator) for _ in range(batch)], 1)
    third = torch.stack([torch.randperm(batch, generator=generator) for _ in range(batch)], 1)
    second[:, 0] = third[:, 0] = torch.arange(batch)
    return second, third


def triplet_loss(
    x1: Tensor, x2: Tensor, x3: Tensor, scale: Tensor, indices: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Triplet eigenvalue loss of UniHPE over three embeddings (B, D) of the same poses.

    The logit of a triplet is the largest eigenvalue of its Gram matrix. A negative that draws the anchor's own
    pose in both other modalities is the positive once more and is masked. Use together with `pair_loss`:
    eigenvalues ignore signs.
    """
    batch = len(x1)
    second, third = indices if indices is not None else triplet_indices(batch)
    second, third = second.to(x1.device), third.to(x1.device)
    rows = torch.arange(batch, device=x1.device)[:, None]
    a = cosines(x1, x2)[rows, second]
    b = cosines(x1, x3)[rows, third]
    c = cosines(x2, x3)[second, third]
    logits = scale * largest_eigenvalue(a, b, c)
    false_negative = (second == rows) & (third == rows)
    false_negative[:, 0] = False
    logits = logits.masked_fill(false_negative, -torch.inf)
    return F.cross_entropy(logits, torch.zeros(batch, dtype=torch.long, device=x1.device))


def velocity(predicted: Tensor, truth: Tensor) -> Tensor:
    """Mean error of first differences along T of joints (B, T, J, 3), metres a frame."""
    return euclid(predicted.diff(dim=1), truth.diff(dim=1))


def acceleration(predicted: Tensor, truth: Tensor) -> Tensor:
    """Mean error of second differences along T of joints (B, T, J, 3), metres a frame squared."""
    return euclid(predicted.diff(n=2, dim=1), truth.diff(n=2, dim=1))


def bone_lengths(joints: Tensor) -> Tensor:
    """Lengths (..., 16) of the skeleton's bones for joints (..., J, 3)."""
    parents, children = ([bone[i] for bone in BONES] for i in (0, 1))
    return torch.linalg.vector_norm(joints[..., children, :] - joints[..., parents, :], dim=-1)


def bone_variance(joints: Tensor) -> Tensor:
    """Variance of each bone's length along T of joints (B, T, J, 3), averaged: a body does not stretch."""
    return bone_lengths(joints.float()).var(dim=1).mean()


def distance_similarity(a: Tensor, b: Tensor, frames_apart: Tensor, d_max: float) -> Tensor:
    """Distance-based similarity loss (DSL) of vectors (B, D) of two frames `frames_apart` (B,) of one video.

    With s = max(0, cosine): pulls s to 1 for equal times and to 0 from `d_max` on, linear between.
    """
    s = F.cosine_similarity(a.float(), b.float(), dim=-1).clamp_min(0)
    nearness = (1 - frames_apart / d_max).clamp(0, 1)
    return (nearness * (1 - s) + (1 - nearness) * s).mean()


def box_giou(predicted: Tensor, truth: Tensor) -> Tensor:
    """Generalised intersection over union (B,) of boxes (B, 4) = s_x, s_y, u_x, u_y: half sizes and centre."""
    low_p, high_p = predicted[:, 2:] - predicted[:, :2], predicted[:, 2:] + predicted[:, :2]
    low_t, high_t = truth[:, 2:] - truth[:, :2], truth[:, 2:] + truth[:, :2]
    shared = (torch.minimum(high_p, high_t) - torch.maximum(low_p, low_t)).clamp_min(0).prod(-1)
    union = (high_p - low_p).prod(-1) + (high_t - low_t).prod(-1) - shared
    hull = (torch.maximum(high_p, high_t) - torch.minimum(low_p, low_t)).prod(-1)
    return shared / union.clamp_min(1e-9) - (hull - union) / hull.clamp_min(1e-9)
