"""Checkpoints of HRNet's authors and of mmpose: names, shapes, heads, refusals."""

from pathlib import Path

import pytest
import torch

from engines.skeleton import JOINT_NAMES
from models.hrnet import VARIANTS, build
from models.hrnet_official import COCO_JOINTS, GAIN, MPII_JOINTS, load_official, plain_names, variant_of

torch.set_num_threads(1)
NAMES = Path(__file__).parent / "hrnet_official.txt"
SMALL = "w18_small_v2"


def manifest(variant):
    """Names and shapes of a variant from the table: a line a layer, a column a variant, `-` where it has none."""
    head, *lines = NAMES.read_text().splitlines()
    column = head.split().index(variant)
    shapes = {}
    for line in lines:
        cells = line.split()
        if cells[column] == "-":
            continue
        sizes = tuple(int(n) for n in cells[column].split(","))
        if len(sizes) == 4:
            shapes[f"{cells[0]}.weight"] = sizes
        else:
            shapes |= {f"{cells[0]}.{name}": sizes for name in ("weight", "bias", "running_mean", "running_var")}
            shapes[f"{cells[0]}.num_batches_tracked"] = ()
    return shapes


def body(variant):
    with torch.device("meta"):
        state = build(variant).state_dict()
    return {key: value for key, value in state.items() if not key.startswith(("embed.", "final_layer."))}


def fabricated(variant, maps, prefix="", head=""):
    """A checkpoint by the table alone: every tensor of random numbers, `maps` heat maps."""
    generator = torch.Generator().manual_seed(5)
    width = VARIANTS[variant].width
    shapes = {prefix + key: shape for key, shape in manifest(variant).items()}
    shapes |= {f"{head or prefix}final_layer.weight": (maps, width, 1, 1), f"{head or prefix}final_layer.bias": (maps,)}
    return {
        key: torch.rand(shape, generator=generator) if shape else torch.tensor(7, dtype=torch.int64)
        for key, shape in shapes.items()
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_network_has_the_names_and_shapes_of_the_table(variant):
    assert {key: tuple(value.shape) for key, value in body(variant).items()} == manifest(variant)


def test_the_table_knows_hand_checked_layers():
    wide, wider = manifest("w32"), manifest("w48")
    assert wide["stage4.2.fuse_layers.0.3.0.weight"] == (32, 256, 1, 1)
    assert wider["stage3.3.fuse_layers.2.0.1.0.weight"] == (192, 48, 3, 3)
    assert "stage4.2.fuse_layers.1.0.0.0.weight" not in wide
    assert len(wide) == len(wider) == 1752


@pytest.mark.parametrize(
    ("variant", "prefix", "head"),
    [
        ("w32", "", ""),
        ("w48", "module.", ""),
        ("w32", "backbone.", "keypoint_head."),
        (SMALL, "backbone.", "head."),
        (SMALL, "module.backbone.", "module.keypoint_head."),
    ],
)
def test_every_tensor_is_taken_whatever_the_prefix(variant, prefix, head):
    state = fabricated(variant, 17, prefix, head)
    assert variant_of(state) == variant
    model = build(variant)
    report = load_official(model, state)
    loaded, plain = model.state_dict(), plain_names(state)
    for key in manifest(variant):
        assert torch.equal(loaded[key], plain[key]), key
    assert set(report.taken) == {*manifest(variant), "final_layer.weight", "final_layer.bias"}
    assert report.new == ("embed.weight", "embed.bias")
    assert report.unused == ()


def test_coco_heat_maps_go_to_their_joints_and_the_others_stay_new():
    model, state = build(SMALL), fabricated(SMALL, 17)
    before = model.final_layer.weight.detach().clone()
    report = load_official(model, state)
    assert set(report.joints_new) == {"pelvis", "spine", "thorax", "nose", "head"}
    for joint, name in enumerate(JOINT_NAMES):
        if name in report.joints_new:
            assert torch.equal(model.final_layer.weight[joint], before[joint])
        else:
            row = COCO_JOINTS.index(name)
            assert torch.equal(model.final_layer.weight[joint], GAIN * state["final_layer.weight"][row])
            assert torch.equal(model.final_layer.bias[joint], GAIN * state["final_layer.bias"][row])


def test_mpii_brings_trunk_and_head_too():
    model, state = build(SMALL), fabricated(SMALL, 16)
    report = load_official(model, state)
    assert report.joints_new == ("spine",)
    row = MPII_JOINTS.index("head_top")
    head = model.final_layer.weight[JOINT_NAMES.index("head")]
    assert torch.equal(head, GAIN * state["final_layer.weight"][row])


def test_a_head_of_our_own_joints_is_taken_as_it_is():
    model, state = build(SMALL), fabricated(SMALL, 17)
    report = load_official(model, state, JOINT_NAMES)
    assert report.joints == JOINT_NAMES
    assert torch.equal(model.final_layer.weight, state["final_layer.weight"])


def test_imagenet_files_bring_the_body_alone():
    state = fabricated(SMALL, 17)
    state |= {"final_layer.weight": torch.rand(2048, 1024, 1, 1), "final_layer.bias": torch.rand(2048)}
    state |= {"stage4.1.fuse_layers.1.0.0.0.weight": torch.rand(36, 18, 3, 3), "classifier.weight": torch.rand(10, 4)}
    report = load_official(build(SMALL), state)
    assert report.joints == ()
    assert set(report.unused) == {
        "final_layer.weight", "final_layer.bias", "stage4.1.fuse_layers.1.0.0.0.weight", "classifier.weight",
    }  # fmt: skip


def test_files_of_old_versions_lack_counters():
    state = {k: v for k, v in fabricated(SMALL, 17).items() if not k.endswith("num_batches_tracked")}
    report = load_official(build(SMALL), state)
    assert "bn1.num_batches_tracked" in report.new
    assert "bn1.running_mean" in report.taken


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stage4.2.branches.0.0.conv1.weight": torch.rand(18, 18, 3, 3)}, "deeper"),
        ({"stage2.0.branches.0.0.conv2.weight": torch.rand(18, 18, 1, 1)}, "choose the variant"),
        ({"conv1.weight": torch.full((64, 3, 3, 3), torch.nan)}, "not finite"),
        ({"bn1.weight": None}, "bn1.weight of HRNet w18_small_v2 missing"),
        ({"final_layer.weight": torch.rand(21, 18, 1, 1), "final_layer.bias": torch.rand(21)}, "21 heat maps"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_changes(change, words):
    state = {k: v for k, v in {**fabricated(SMALL, 17), **change}.items() if v is not None}
    model = build(SMALL)
    before = model.state_dict()["conv1.weight"].clone()
    with pytest.raises(ValueError, match=words):
        load_official(model, state)
    assert torch.equal(model.conv1.weight, before)


def test_other_networks_and_sizes_are_refused():
    with pytest.raises(ValueError, match="pose_hrnet"):
        variant_of({"fc.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="pose_hrnet"):
        load_official(build(SMALL), {"conv1.weight": torch.zeros(64, 3, 7, 7)})
    with pytest.raises(ValueError, match="width 64"):
        variant_of({"stage2.0.branches.0.0.conv1.weight": torch.zeros(64, 64, 3, 3)})
    with pytest.raises(ValueError, match="choose the variant"):
        load_official(build(SMALL), fabricated("w32", 17))
