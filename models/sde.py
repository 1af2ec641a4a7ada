"""The three diffusions (VE, VP, sub-VP) in closed form, and the score-matching loss (Song et al., ICLR 2021).

x_t = m(t) x_0 + sigma(t) z, t from 0 (data) to 1 (noise). The network always predicts the noise z ("eps");
the score is -eps/sigma, also for VE, where that is the better conditioned of the two choices.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor

Kind = Literal["ve", "vp", "subvp"]

BETA_0: Final = 0.1
BETA_1: Final = 20.0
SIGMA_MIN: Final = 0.01
SIGMA_MAX: Final = 50.0
EPS_TRAIN: Final = 1e-5
EPS_SAMPLE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class SDE:
    """One of the three diffusions; all functions are element-wise in t."""

    kind: Kind

    def __post_init__(self) -> None:
        if self.kind not in ("ve", "vp", "subvp"):
            raise ValueError(f"SDE {self.kind!r} unknown; have ve, vp, subvp")

    def beta(self, t: Tensor) -> Tensor:
        """Noise rate of VP and sub-VP."""
        return BETA_0 + t * (BETA_1 - BETA_0)

    def mean(self, t: Tensor) -> Tensor:
        """m(t), the factor of the data."""
        if self.kind == "ve":
            return torch.ones_like(t)
        return torch.exp(-(t**2) * (BETA_1 - BETA_0) / 4 - t * BETA_0 / 2)

    def std(self, t: Tensor) -> Tensor:
        """sigma(t), the factor of the noise; by expm1, as 1-m^2 loses its digits near t=0."""
        if self.kind == "ve":
            return SIGMA_MIN * (SIGMA_MAX / SIGMA_MIN) ** t
        variance = -torch.expm1(-(t**2) * (BETA_1 - BETA_0) / 2 - t * BETA_0)
        return variance if self.kind == "subvp" else variance.sqrt()

    def log_std(self, t: Tensor) -> Tensor:
        """ln sigma(t)."""
        if self.kind == "ve":  # linear in t; log of the power would lose digits that Fourier features need
            return math.log(SIGMA_MIN) + t * math.log(SIGMA_MAX / SIGMA_MIN)
        return torch.log(self.std(t))

    def drift_rate(self, t: Tensor) -> Tensor:
        """f(x,t)/x: the drift is this times x."""
        return torch.zeros_like(t) if self.kind == "ve" else -0.5 * self.beta(t)

    def diffusion_squared(self, t: Tensor) -> Tensor:
        """g(t)^2."""
        if self.kind == "ve":
            return 2 * self.std(t) ** 2 * math.log(SIGMA_MAX / SIGMA_MIN)
        if self.kind == "vp":
            return self.beta(t)
        return self.beta(t) * -torch.expm1(-2 * BETA_0 * t - (BETA_1 - BETA_0) * t**2)

    @property
    def prior_std(self) -> float:
        """Spread of the starting noise at t=1."""
        return SIGMA_MAX if self.kind == "ve" else 1.0

    def time_at(self, ratio: Tensor) -> Tensor:
        """t at which sigma/m equals `ratio`, the inverse of the monotone noise-to-signal ratio."""
        if self.kind == "ve":
            return torch.log(ratio / SIGMA_MIN) / math.log(SIGMA_MAX / SIGMA_MIN)
        # -log m, from m = 1/sqrt(1 + ratio^2) for VP and 1/m - m = ratio for sub-VP.
        decay = 0.5 * torch.log1p(ratio**2) if self.kind == "vp" else torch.asinh(ratio / 2)
        slope = BETA_1 - BETA_0
        return (-BETA_0 + torch.sqrt(BETA_0**2 + 4 * slope * decay)) / slope


def score_matching_loss(
    sde: SDE, noise_at: Callable[[Tensor, Tensor], Tensor], x0: Tensor, t: Tensor, z: Tensor
) -> Tensor:
    """E of half the squared error of the predicted noise, summed over the state: sigma^2-weighted.

    Args:
        sde: the diffusion.
        noise_at: (x_t [B,D], t [B]) -> predicted noise [B,D].
        x0: data [B,D], scaled.
        t: [B] in (0,1].
        z: standard normal [B,D].

    Returns:
        scalar.
    """
    x = sde.mean(t)[:, None] * x0 + sde.std(t)[:, None] * z
    return 0.5 * (noise_at(x, t) - z).square().sum(dim=1).mean()
