"""Losses that teach a detector without labels: explain the picture, fall as bodies fall, keep time apart.

Katircioglu et al., "Temporal representation learning on monocular videos for 3D human pose estimation". Boxes are
theta (..., 4) = half sizes and centre, window coordinates -1..1 with y down; tuples of four frames have equal spacing.
"""

from typing import Final

import torch
from torch import Tensor

from training.losses import distance_similarity

SIDEWAYS: Final = 0.1
"""Weight of the horizontal third difference beside the vertical one."""


def third_difference(x: Tensor) -> Tensor:
    """x4 - 3 x3 + 3 x2 - x1 (...,) of four equidistant values (..., 4): zero for every parabola."""
    return x[..., 3] - 3 * x[..., 2] + 3 * x[..., 1] - x[..., 0]


def second_differences(x: Tensor) -> Tensor:
    """The two second differences (..., 2) of four equidistant values (..., 4)."""
    return x[..., :-2] - 2 * x[..., 1:-1] + x[..., 2:]


def gravity(theta: Tensor) -> Tensor:
    """|Third difference| (B,) of box centres in theta (B, 4 frames, 4): vertical, and a little sideways."""
    return third_difference(theta[..., 3]).abs() + SIDEWAYS * third_difference(theta[..., 2]).abs()


def falling(theta: Tensor, expected: Tensor, share: float = 0.5) -> Tensor:
    """Hinge (B,): both vertical accelerations at least `share` of the `expected` (B,) displacement per spacing squared.

    True on the way up as well, unlike an order of heights; without it, a box that never moves satisfies `gravity`.
    """
    return (share * expected.unsqueeze(-1) - second_differences(theta[..., 3])).clamp_min(0).sum(-1)


def descending(theta: Tensor, least: float = 0.015) -> Tensor:
    """The paper's order of heights (B,), false while a jump rises: each box at least `least` below the one before."""
    return (least - theta[..., 3].diff(dim=-1)).clamp_min(0).sum(-1)


def steady_size(theta: Tensor) -> Tensor:
    """Changes of size (B,) between neighbours of a tuple."""
    return theta[..., :2].diff(dim=-2).abs().sum((-2, -1))


def track(theta: Tensor, expected: Tensor, spacing: Tensor, reference: float, order: str, size: float) -> Tensor:
    """L_track (): gravity, order (`acceleration`, `descent` or `none`) and `size` times steady size.

    Differences of positions grow with the square of the `spacing` (B,) in frames; they are counted as at `reference`.
    """
    fall = gravity(theta)
    if order == "acceleration":
        fall = fall + falling(theta, expected)
    elif order == "descent":
        fall = fall + descending(theta)
    return (fall * (reference / spacing) ** 2 + size * steady_size(theta)).mean()


def box_prior(theta: Tensor, half_size: float) -> Tensor:
    """Boxes (N, 4) are on average centred and `half_size` large: of the batch's mean, not of each box."""
    mean = theta.mean(0)
    return mean[2:].square().mean() + (mean[:2] - half_size).square().mean()


def regressed_similarity(a: Tensor, b: Tensor, frames_apart: Tensor, d_max: float) -> Tensor:
    """The other form of the distance-based similarity loss: |s - max(0, 1 - d / d_max)|, s = max(0, cosine)."""
    s = torch.nn.functional.cosine_similarity(a.float(), b.float(), dim=-1).clamp_min(0)
    return (s - (1 - frames_apart / d_max).clamp_min(0)).abs().mean()


def contrast(variant: Tensor, time: Tensor, d_max: float, form: str = "linear") -> Tensor:
    """Distance-based similarity of the first of four frames with the other three; (B, 4, D), times (B, 4) in frames."""
    loss = distance_similarity if form == "linear" else regressed_similarity
    parts = [loss(variant[:, 0], variant[:, k], (time[:, k] - time[:, 0]).abs(), d_max) for k in (1, 2, 3)]
    return torch.stack(parts).sum()


def swapped(invariant: Tensor, shift: int) -> Tensor:
    """Time-invariant vectors (B, 4, D) handed on to other frames of the same video; `shift` 1, 2 or 3."""
    return invariant.roll(shift, dims=1)


def matched(predicted: Tensor, label: Tensor) -> Tensor:
    """`predicted` (B, C, h, w) with mean and spread of the label's channels: colour casts are not to be explained."""
    axes = (2, 3)
    mean, spread = predicted.mean(axes, keepdim=True), predicted.std(axes, keepdim=True)
    target_mean, target_spread = label.mean(axes, keepdim=True), label.std(axes, keepdim=True)
    return (predicted - mean) / (spread + 1e-4) * target_spread + target_mean


def mean_square(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference in single precision."""
    return (a.float() - b.float()).square().mean()
