"""The three diffusions: closed forms against their equations, the loss against its minimum."""

import math

import pytest
import torch

from models.sde import SDE, score_matching_loss

torch.set_num_threads(1)
KINDS = ("ve", "vp", "subvp")


@pytest.mark.parametrize("kind", KINDS)
def test_mean_and_variance_solve_the_moment_equations(kind):
    sde = SDE(kind)
    t = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    step = 1e-5
    mean_slope = (sde.mean(t + step) - sde.mean(t - step)) / (2 * step)
    assert torch.allclose(mean_slope, sde.drift_rate(t) * sde.mean(t), rtol=1e-6, atol=1e-9)
    variance_slope = (sde.std(t + step) ** 2 - sde.std(t - step) ** 2) / (2 * step)
    expected = 2 * sde.drift_rate(t) * sde.std(t) ** 2 + sde.diffusion_squared(t)
    assert torch.allclose(variance_slope, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_to_signal_ratio_is_inverted(kind):
    sde = SDE(kind)
    t = torch.linspace(1e-3, 1.0, 40, dtype=torch.float64)
    assert torch.allclose(sde.time_at(sde.std(t) / sde.mean(t)), t, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_log_std_is_the_logarithm_of_std(kind):
    t = torch.linspace(1e-3, 1.0, 40, dtype=torch.float64)
    assert torch.allclose(SDE(kind).log_std(t), SDE(kind).std(t).log(), rtol=1e-12, atol=1e-12)


def test_ends_of_the_schedules():
    one, zero = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    for kind in ("vp", "subvp"):
        assert SDE(kind).std(zero) == 0 and SDE(kind).mean(zero) == 1
        assert SDE(kind).std(one).item() == pytest.approx(1.0, abs=1e-4)
        assert SDE(kind).mean(one).item() == pytest.approx(math.exp(-5.025), rel=1e-9)
    assert SDE("ve").std(one).item() == pytest.approx(SDE("ve").prior_std)
    assert SDE("ve").std(zero).item() == pytest.approx(0.01)
    with pytest.raises(ValueError, match="subvp"):
        SDE("ddpm")


def test_loss_is_zero_for_the_true_noise_and_half_the_dimension_for_none():
    sde, x0, z = SDE("subvp"), torch.randn(4000, 6), torch.randn(4000, 6)
    t = torch.rand(4000) * 0.99 + 0.01

    def oracle(x, time):
        return (x - sde.mean(time)[:, None] * x0) / sde.std(time)[:, None]

    assert score_matching_loss(sde, oracle, x0, t, z).item() < 1e-4
    silent = score_matching_loss(sde, lambda x, time: torch.zeros_like(x), x0, t, z)
    assert silent.item() == pytest.approx(3.0, rel=0.1)
