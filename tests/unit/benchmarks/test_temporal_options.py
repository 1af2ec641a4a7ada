"""The options that are compared for live poses compute what they say: the shipped choice, and keys and values kept."""

import pytest
import torch

from benchmarks import temporal
from engines.contracts import FEATURE, LIVE_READ, LIVE_WINDOW, TOKEN, WINDOW
from models.layers import key_mask
from models.temporal import MPM

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def material():
    generator = torch.Generator().manual_seed(4)
    features = torch.randn(2, WINDOW, FEATURE, generator=generator)
    features[..., -2:] *= 0.1  # a view is a direction
    return features, torch.ones(2, WINDOW), torch.zeros(2, dtype=torch.int64)


def model(**options) -> MPM:
    torch.manual_seed(5)
    made = MPM(**options).eval()
    torch.nn.init.normal_(made.sequence_head.linear.weight)
    return made


@torch.no_grad()
def test_the_option_that_is_shipped_is_the_live_network(material) -> None:
    features, seen, lookahead = material
    option = next(option for option in temporal.OPTIONS if option.name == f"newest {LIVE_WINDOW}")
    mpm, cells = model(), [WINDOW - 1 - behind for behind in option.behind]
    newest_first = temporal.Pruned(mpm, option)(features[:, cells], seen[:, cells], lookahead)
    shipped = mpm.newest(features[:, -LIVE_WINDOW:], seen[:, -LIVE_WINDOW:], lookahead)
    assert newest_first.shape[1] == LIVE_READ
    assert torch.allclose(newest_first.flip(1), shipped, atol=1e-4)


@torch.no_grad()
def test_one_frame_beside_kept_keys_and_values_is_the_newest_of_a_causal_window(material) -> None:
    features, seen, lookahead = material
    mpm = model(causal=True)
    keys, values, x = [], [], features[..., :TOKEN] + mpm.temporal.position + mpm.lookahead.weight[0]
    for layer in mpm.temporal.layers:
        normed = layer.norm1(x)
        keys.append(layer.attention.key(normed).roll(1, 1))
        values.append(layer.attention.value(normed).roll(1, 1))
        x = layer(x, key_mask(seen) + mpm.later)
    kept = (torch.stack(keys, 1), torch.stack(values, 1))
    joints, new_keys, new_values = temporal.OneFrame(mpm)(features[:, -1:], seen, *kept)
    assert torch.allclose(joints, mpm.window(features, seen, lookahead)[:, -1:], atol=1e-4)
    assert torch.allclose(new_keys, kept[0][:, :, :1], atol=1e-4)
    assert torch.allclose(new_values, kept[1][:, :, :1], atol=1e-4)
