"""Few-step sampling: mode weights and spread where the score is known, and the unrolled graph."""

import pytest
import torch

from engines.skeleton import PELVIS
from models.decoders import DiffusionDecoder
from models.sampler import Sampler, integrate, karras_schedule
from models.sde import SDE
from models.view import from_view, view_of

torch.set_num_threads(1)

WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
MODES = torch.tensor([[-3.0, 0.0], [2.0, 3.0], [2.5, -3.0]], dtype=torch.float64)
SPREAD = 0.5


def mixture_noise(x, mean, std):
    """Exact noise prediction of the 3-mode mixture at m=mean, sigma=std."""
    variance = (mean * SPREAD) ** 2 + std**2
    offset = x[:, None, :] - mean * MODES  # [N,3,2]
    share = torch.softmax(WEIGHTS.log() - offset.square().sum(-1) / (2 * variance), dim=1)
    return std * (share[..., None] * offset).sum(1) / variance


def measure(x):
    """Total variation of the mode weights, typical (median) spread and rms spread, over the true one."""
    nearest = (x[:, None] - MODES).norm(dim=-1).argmin(1)
    share = torch.bincount(nearest, minlength=3) / len(x)
    offset = torch.cat([x[nearest == k] - x[nearest == k].median(0).values for k in nearest.unique()])
    variation = 0.5 * (share - WEIGHTS).abs().sum().item()
    typical = offset.abs().median().item() / 0.67449 / SPREAD
    return variation, typical, offset.square().mean().sqrt().item() / SPREAD


def start(n):
    return torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def sample(kind, steps, order, n=20000):
    sde = SDE(kind)
    grid = karras_schedule(sde, steps)
    z = start(n) * sde.prior_std
    return integrate(lambda x, i: mixture_noise(x, grid.mean[i], grid.std[i]), z, grid, order)


def test_ten_steps_of_order_one_keep_weights_and_typical_spread():
    variation, typical, _ = measure(sample("subvp", 10, 1))
    assert variation < 0.06
    assert 0.95 < typical < 1.05


@pytest.mark.parametrize("kind", ["subvp", "vp", "ve"])
@pytest.mark.parametrize("order", [1, 2])
def test_many_steps_converge_to_the_target(kind, order):
    variation, typical, rms = measure(sample(kind, 150, order, n=8000))
    assert variation < 0.02
    assert typical == pytest.approx(1.0, abs=0.04)
    assert rms == pytest.approx(1.0, abs=0.04)


def test_order_two_has_better_weights_at_few_steps():
    assert measure(sample("subvp", 6, 2))[0] < measure(sample("subvp", 6, 1))[0]


@pytest.mark.parametrize(("steps", "order", "low", "high"), [(8, 1, 0.6, 0.7), (10, 2, 1.05, 1.2)])
def test_spread_on_one_gaussian_is_what_the_documentation_says(steps, order, low, high):
    grid = karras_schedule(SDE("subvp"), steps)

    def noise(x, i):
        return grid.std[i] * x / ((grid.mean[i] * SPREAD) ** 2 + grid.std[i] ** 2)

    # The flow is linear here: the end point of x=1 is the spread of the samples.
    assert low < integrate(noise, torch.ones(1, dtype=torch.float64), grid, order).item() / SPREAD < high


def test_grid_runs_from_noise_to_data():
    grid = karras_schedule(SDE("subvp"), 8)
    assert grid.steps == 8
    assert grid.t[0] == pytest.approx(1.0) and grid.t[-1] == pytest.approx(1e-3)
    assert all(a > b for a, b in zip(grid.t, grid.t[1:], strict=False))
    with pytest.raises(ValueError, match="at least one"):
        karras_schedule(SDE("vp"), 0)


@pytest.fixture
def inputs():
    return torch.randn(2, 1024), torch.tensor([0, 2]), torch.randn(2, 3), torch.randn(2, 4, 51)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("kind", ["subvp", "ve"])
def test_the_unrolled_graph_equals_calling_the_denoiser_at_every_step(inputs, order, kind):
    decoder = DiffusionDecoder(hidden=64, time_dim=32, sde=kind).eval().double()
    embedding, modality, box, noise = (x if x.dtype == torch.int64 else x.double() for x in inputs)
    with torch.no_grad():
        joints = Sampler(decoder, steps=6, order=order)(embedding, modality, box, noise)
        condition = decoder.condition(embedding, modality, box)
        grid = karras_schedule(decoder.sde, 6)
        for h in range(4):
            state = integrate(
                lambda x, i: decoder(x, torch.full((2,), grid.t[i], dtype=torch.float64), condition),
                noise[:, h] * decoder.sde.prior_std,
                grid,
                order,
                limit=1.5 * 5.0,
            )
            plain = (state / decoder.data_scale).view(2, 17, 3)
            plain[:, PELVIS] = 0
            assert torch.allclose(joints[:, h], from_view(plain, view_of(box)), rtol=1e-9, atol=1e-9)


def test_the_root_is_zero_and_each_hypothesis_depends_on_its_own_noise_only(inputs):
    sampler = Sampler(DiffusionDecoder(hidden=64, time_dim=32), steps=4)
    embedding, modality, box, noise = inputs
    with torch.no_grad():
        joints = sampler(embedding, modality, box, noise)
        changed = noise.clone()
        changed[:, 1] += 1
        again = sampler(embedding, modality, box, changed)
    assert joints.shape == (2, 4, 17, 3)
    assert joints[:, :, PELVIS].abs().max() == 0
    assert torch.allclose(joints[:, [0, 2, 3]], again[:, [0, 2, 3]], atol=1e-5)
    assert not torch.allclose(joints[:, 1], again[:, 1], atol=1e-3)
    with pytest.raises(ValueError, match="order"):
        Sampler(DiffusionDecoder(hidden=64, time_dim=32), order=3)
