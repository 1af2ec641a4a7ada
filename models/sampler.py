"""Few-step sampling of a noise-predicting diffusion, unrolled into one graph (DPM-Solver++, Lu et al., 2022).

Data-prediction exponential integrator: D = (x - sigma eps)/m, lambda = ln(m/sigma), h = lambda_s - lambda_t,
x_s = (sigma_s/sigma_t) x_t - m_s (e^-h - 1) D. Order 1 is DDIM; order 2 (2M) extrapolates D from two steps.
Grid: Karras rho=7 in sigma/m between t=1 and t=1e-3.

Few steps distort the spread of the hypotheses. On a target of three modes order 1 keeps the
typical (median) spread within a mode, but some samples stay between modes. On a single Gaussian (sub-VP,
standard deviation 0.5 of the scaled state) order 1 gives 0.65 / 0.71 of the true spread at 8 / 10 steps,
order 2 gives 1.08 / 1.14. The sampler therefore moves hypotheses from their mean by factors fitted on validation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engines.skeleton import PELVIS, J
from models.decoders import MODALITIES, DiffusionDecoder
from models.sde import EPS_SAMPLE, SDE
from models.view import from_view, view_of

RHO = 7.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Times of the steps and m, sigma there; `steps + 1` numbers each, from t=1 down to t=1e-3."""

    t: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def steps(self) -> int:
        """Network evaluations."""
        return len(self.t) - 1


def karras_schedule(sde: SDE, steps: int, t_end: float = EPS_SAMPLE) -> Schedule:
    """Grid with rho=7 spacing of the noise-to-signal ratio sigma/m; ValueError below one step."""
    if steps < 1:
        raise ValueError(f"a sampler needs at least one step, got {steps}")
    ends = torch.tensor([1.0, t_end], dtype=torch.float64)
    high, low = (sde.std(ends) / sde.mean(ends)) ** (1 / RHO)
    ratio = (high + torch.linspace(0, 1, steps + 1, dtype=torch.float64) * (low - high)) ** RHO
    t = sde.time_at(ratio)
    return Schedule(tuple(t.tolist()), tuple(sde.mean(t).tolist()), tuple(sde.std(t).tolist()))


def integrate(
    noise_at: Callable[[Tensor, int], Tensor],
    start: Tensor,
    schedule: Schedule,
    order: int,
    limit: float = math.inf,
) -> Tensor:
    """Probability-flow solution from `start` at t=1 to data.

    Args:
        noise_at: (x, step index) -> predicted noise, same shape as x.
        start: state at t=1: standard normal times the prior's spread.
        schedule: the grid.
        order: 1 (DDIM) or 2 (2M; its first and last steps are of order 1).
        limit: bound on every coordinate of the predicted data.

    Returns:
        samples, same shape as `start`.
    """
    x, last_data, last_h = start, None, 0.0
    for i in range(schedule.steps):
        m, s = schedule.mean[i], schedule.std[i]
        m_next, s_next = schedule.mean[i + 1], schedule.std[i + 1]
        data = (x - s * noise_at(x, i)) / m
        if limit < math.inf:
            data = data.clamp(-limit, limit)
        h = math.log(m_next / s_next) - math.log(m / s)
        target = data
        if order == 2 and last_data is not None and i < schedule.steps - 1:
            lead = h / (2 * last_h)  # 1/(2r), r = h_{i-1}/h_i
            target = (1 + lead) * data - lead * last_data
        x = (s_next / s) * x - m_next * math.expm1(-h) * target
        last_data, last_h = data, h
    return x


class Sampler(nn.Module):
    """A trained `DiffusionDecoder` with its sampling loop unrolled: one graph from embedding to hypotheses.

    All that depends on the step list alone (time terms) is a constant computed here, so build the sampler
    after training; the condition's terms are computed once a call. What remains in each step is the trunk.

    Args:
        denoiser: the trained network; set to evaluation mode.
        steps: network evaluations; 6 to 10 live.
        order: 1 (DDIM) or 2 (2M), see the head of this file for what each does to the spread.
        reach_m: no joint is farther than this from the pelvis along any axis. The pose predicted in each step
            is bounded by it: an exact prediction is a mean of poses and never beyond.
        inflation: [3,17], by modality and joint: how much farther from their mean the hypotheses are put, so that
            their spread is the error's; None leaves them.
    """

    def __init__(
        self,
        denoiser: DiffusionDecoder,
        steps: int = 8,
        order: int = 1,
        reach_m: float = 1.5,
        inflation: Tensor | None = None,
    ) -> None:
        super().__init__()
        if order not in (1, 2):
            raise ValueError(f"sampler order must be 1 or 2, got {order}")
        self.denoiser = denoiser.eval()
        self.order = order
        self.limit = reach_m * denoiser.data_scale.item()
        self.schedule = karras_schedule(denoiser.sde, steps)
        device, dtype = denoiser.data_scale.device, denoiser.data_scale.dtype
        times = torch.tensor(self.schedule.t[:-1], dtype=dtype, device=device)
        with torch.no_grad():
            terms = torch.stack(denoiser.time_terms(times), dim=1)  # [steps,layers,C]
            scales = torch.stack(denoiser.scales(times), dim=1)  # [steps,3]
        self.register_buffer("time_constants", terms)
        self.scales = scales.tolist()
        not_root = torch.ones(J, 1, device=device, dtype=dtype)
        not_root[PELVIS] = 0.0
        self.register_buffer("not_root", not_root)
        self.inflation: Tensor | None
        if inflation is not None and inflation.shape != (MODALITIES, J):
            raise ValueError(f"inflation must have the shape {(MODALITIES, J)}, got {tuple(inflation.shape)}")
        self.register_buffer("inflation", None if inflation is None else inflation.to(device, dtype))

    def forward(self, embedding: Tensor, modality: Tensor, box: Tensor, noise: Tensor) -> Tensor:
        """Hypotheses of the pose.

        Args:
            embedding: [B,1024], of image, keypoints or joints.
            modality: [B] int64, which of the three.
            box: [B,3], bearing and size of the crop in units of focal length.
            noise: [B,H,51] standard normal; keep it per subject over time against flicker.

        Returns:
            joints [B,H,17,3], root-relative, camera axes, metres.
        """
        condition = self.denoiser.condition(embedding, modality, box)  # [B,C]
        terms = [term.unsqueeze(1) for term in self.denoiser.condition_terms(condition)]  # [B,1,C] each
        constants = self.time_constants

        def noise_at(x: Tensor, step: int) -> Tensor:
            sums = [constants[step, layer] + term for layer, term in enumerate(terms)]
            skip, inner, outer = self.scales[step]
            return skip * x + outer * self.denoiser.trunk(inner * x, sums)

        start = noise * self.denoiser.sde.prior_std
        state = integrate(noise_at, start, self.schedule, self.order, self.limit)  # [B,H,51]
        joints = (state / self.denoiser.data_scale).unflatten(-1, (J, 3)) * self.not_root  # [B,H,17,3]
        if self.inflation is not None:
            mean = joints.mean(dim=1, keepdim=True)  # [B,1,17,3]
            joints = mean + self.inflation[modality][:, None, :, None] * (joints - mean)
        return from_view(joints, view_of(box).unsqueeze(1))
