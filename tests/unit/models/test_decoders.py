"""The decoders: counts, conditioning, condition dropout, and learning with the diffusion one."""

import pytest
import torch
from torch import nn

from models.decoders import Condition, DiffusionDecoder, MLPDecoder
from models.layers import GroupNormVector
from models.sampler import Sampler

torch.set_num_threads(1)


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_trunk_of_the_full_denoiser_costs_what_the_paper_counts():
    with torch.device("meta"):
        decoder = DiffusionDecoder()
    trunk = sum(linear.weight.numel() for linear in [*decoder.state, decoder.out])
    assert trunk / 1e6 == pytest.approx(4.3, abs=0.05)
    everything = count(decoder) - count(decoder.condition)
    assert everything / 1e6 == pytest.approx(12.5, abs=0.1)


def test_group_norm_equals_the_library_on_plain_vectors():
    ours, library = GroupNormVector(32, 128), nn.GroupNorm(32, 128)
    nn.init.normal_(ours.weight), nn.init.normal_(ours.bias)
    library.load_state_dict(ours.state_dict())
    x = torch.randn(5, 128) * 3 + 1
    assert torch.allclose(ours(x), library(x), atol=1e-5)
    assert torch.allclose(ours(x.view(5, 1, 128))[:, 0], ours(x), atol=1e-6)
    with pytest.raises(ValueError, match="groups"):
        GroupNormVector(32, 100)


def test_condition_dropout_zeroes_whole_samples_in_training_only():
    condition = Condition(64, project=True, dropout=0.3)
    embedding, modality, box = (
        torch.randn(4000, 1024),
        torch.zeros(4000, dtype=torch.int64),
        torch.randn(4000, 3),
    )
    zeroed = (condition(embedding, modality, box) == 0).all(dim=1).float().mean().item()
    assert zeroed == pytest.approx(0.3, abs=0.04)
    assert not (condition.eval()(embedding, modality, box) == 0).all(dim=1).any()


@pytest.mark.parametrize("out_dim", [2, 3])
def test_mlp_decoder_uses_every_input_and_keeps_the_root(out_dim):
    decoder = MLPDecoder(out_dim=out_dim, hidden=128).eval()
    embedding, modality, box = torch.randn(2, 1024), torch.tensor([0, 1]), torch.randn(2, 3)
    with torch.no_grad():
        pose = decoder(embedding, modality, box)
        assert pose.shape == (2, 17, out_dim)
        assert (pose[:, 0].abs().max() == 0) == (out_dim == 3)
        assert not torch.equal(pose, decoder(embedding + 1, modality, box))
        assert not torch.equal(pose, decoder(embedding, modality + 1, box))
        assert not torch.equal(pose, decoder(embedding, modality, box + 1))
    with pytest.raises(ValueError, match="out_dim"):
        MLPDecoder(out_dim=4)


def test_a_full_mlp_decoder_has_three_blocks_of_1024():
    with torch.device("meta"):
        decoder = MLPDecoder()
    assert sum(block.fc1.weight.numel() + block.fc2.weight.numel() for block in decoder.blocks) == 6 * 1024**2


def test_diffusion_decoder_learns_two_conditioned_poses():
    torch.manual_seed(0)
    decoder = DiffusionDecoder(hidden=128, time_dim=64, dropout=0.0, condition_dropout=0.0)
    embeddings, poses = torch.randn(2, 1024), torch.randn(2, 17, 3) * 0.4
    poses[:, 0] = 0
    optimiser = torch.optim.Adam(decoder.parameters(), lr=2e-3)
    modality, box = torch.zeros(64, dtype=torch.int64), torch.zeros(64, 3)
    for _ in range(250):
        which = torch.randint(2, (64,))
        loss = decoder.loss(poses[which], embeddings[which], modality, box)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        joints = Sampler(decoder, steps=8)(embeddings, modality[:2], box[:2], torch.randn(2, 16, 51))
    own = (joints - poses[:, None]).norm(dim=-1).mean()
    other = (joints - poses[[1, 0], None]).norm(dim=-1).mean()
    assert own < 0.4
    assert other > 2 * own


def test_the_data_scale_travels_with_the_weights():
    source = DiffusionDecoder(hidden=64, time_dim=32, data_scale=7.0)
    model = DiffusionDecoder(hidden=64, time_dim=32)
    model.load_state_dict(source.state_dict())
    assert model.data_scale.item() == 7.0


@pytest.mark.parametrize("kind", ["subvp", "vp", "ve"])
def test_before_training_the_preconditioned_denoiser_is_near_the_linear_estimate(kind):
    decoder = DiffusionDecoder(hidden=64, time_dim=32, sde=kind).eval()
    nn.init.zeros_(decoder.out.weight), nn.init.zeros_(decoder.out.bias)
    t = torch.linspace(0.01, 1.0, 400).repeat(5)
    x0, z = torch.randn(2000, 51) * 1.5, torch.randn(2000, 51)  # spread 0.3 m at data scale 5
    m, s = decoder.sde.mean(t)[:, None], decoder.sde.std(t)[:, None]
    with torch.no_grad():
        noise = decoder(m * x0 + s * z, t, torch.zeros(2000, 64))
    expected = ((m * 1.5) ** 2 / ((m * 1.5) ** 2 + s**2)).mean()  # error of the best linear estimator
    assert (noise - z).square().mean().item() == pytest.approx(expected.item(), rel=0.03)
