"""The HRNet family: sizes, official key names, working input sizes."""

import pytest
import torch
from torch import nn

from models.hrnet import VARIANTS, HRNet, build

torch.set_num_threads(1)

# Parameters of backbone and 17-joint head (millions) and multiply-adds at 256x192 (thousand millions).
SIZES = {"w18_small_v2": (3.62, 1.50, 1.60), "w32": (28.5, 7.1, 7.7), "w48": (63.6, 14.6, 15.7)}


def count_gmac(model: nn.Module) -> float:
    macs = 0

    def add(module, _inputs, output):
        nonlocal macs
        macs += output.numel() * module.weight[0].numel()

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    model.eval()(torch.empty(1, 3, 256, 192, device="meta"))
    return macs / 1e9


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_and_multiply_adds_are_the_published_ones(variant):
    with torch.device("meta"):
        model = build(variant)
    millions, low, high = SIZES[variant]
    embed = sum(p.numel() for p in model.embed.parameters())
    assert (sum(p.numel() for p in model.parameters()) - embed) / 1e6 == pytest.approx(millions, abs=0.05)
    assert low < count_gmac(model) < high
    assert model.embed.in_features == 15 * VARIANTS[variant].width
    assert model.embed.out_features == 1024


def test_keys_and_shapes_are_those_of_the_official_checkpoints():
    with torch.device("meta"):
        state = build("w32").state_dict()
    official = {
        "conv1.weight": (64, 3, 3, 3),
        "bn2.running_var": (64,),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.3.conv3.weight": (256, 64, 1, 1),
        "transition1.0.0.weight": (32, 256, 3, 3),
        "transition1.1.0.0.weight": (64, 256, 3, 3),
        "transition2.2.0.0.weight": (128, 64, 3, 3),
        "transition3.3.0.1.bias": (256,),
        "stage2.0.branches.1.3.conv2.weight": (64, 64, 3, 3),
        "stage3.3.fuse_layers.2.0.0.0.weight": (32, 32, 3, 3),
        "stage3.3.fuse_layers.2.0.1.0.weight": (128, 32, 3, 3),
        "stage4.1.fuse_layers.3.2.0.1.running_mean": (256,),
        "stage4.2.fuse_layers.0.3.0.weight": (32, 256, 1, 1),
        "final_layer.weight": (17, 32, 1, 1),
        "final_layer.bias": (17,),
    }
    assert {key: tuple(state[key].shape) for key in official} == official
    # The last module of the pose network gives the stride-4 branch alone.
    assert not any(key.startswith("stage4.2.fuse_layers.1") for key in state)
    assert len(state) - len([key for key in state if key.startswith("embed.")]) == 1754


@pytest.mark.parametrize("size", [(256, 192), (192, 144), (128, 96)])
def test_every_training_size_gives_maps_at_stride_four(size):
    model = build("w18_small_v2").eval()
    with torch.no_grad():
        heatmaps, embedding = model(torch.randn(2, 3, *size))
    assert heatmaps.shape == (2, 17, size[0] // 4, size[1] // 4)
    assert embedding.shape == (2, 1024)
    assert torch.isfinite(heatmaps).all()


def test_the_embedding_sees_every_branch_and_its_gradient_reaches_the_stem():
    model = build("w18_small_v2").eval()
    _, embedding = model(torch.randn(1, 3, 64, 64))
    embedding.square().sum().backward()
    assert model.conv1.weight.grad.abs().sum() > 0
    assert (model.embed.weight.grad.abs().sum(dim=0) > 0).sum() > 200  # of 270 pooled channels
    for branch in model.stage4[-1].branches:
        assert branch[-1].conv2.weight.grad.abs().sum() > 0


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="w18_small_v2"):
        HRNet("w64")
