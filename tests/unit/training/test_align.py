"""`align`: both stages learn, what is frozen stays, temperatures keep their bounds, resume goes on exactly."""

import math

import pytest
import torch

from training import checkpoint, losses
from training.errors import TrainingError
from training.loop import Options, Trainer
from training.recipes import align, build

POSES = {"batch": 8, "dives": 0, "stills": 20, "validation": 8, "encoder": "mlp"}
PICTURES = {"stage": "pictures", "encoder": "mlp", "batch": 4, "workers": 0, "validation": 4, "working_px": (64, 48)}

pytestmark = pytest.mark.usefixtures("small_encoders")


def test_poses_start_at_the_logarithm_of_the_batch_and_eight_are_told_apart(data, overfit):
    torch.manual_seed(0)
    recipe = build("align", POSES, data, seed=1)
    first, last = overfit(recipe, recipe.batch(0, 0.0), 40)
    assert float(first["loss"]) == pytest.approx(math.log(8), rel=0.1)
    assert float(last["loss"]) < 0.2


def test_eight_pictures_are_told_apart_and_pose_encoders_do_not_move(data, overfit):
    torch.manual_seed(0)
    recipe = build("align", {**PICTURES, "batch": 8, "trunk_rate": 1.0, "heatmap_weight": 0.1}, data, seed=1)
    frozen = {k: v.clone() for k, v in recipe.modules.state_dict().items() if k.startswith("pose")}
    first, last = overfit(recipe, recipe.batch(0, 0.0), 25)
    assert float(last["pair"]) < 0.5 * float(first["pair"])
    assert float(last["triplet"]) < float(first["triplet"])
    assert all(torch.equal(v, recipe.modules.state_dict()[k]) for k, v in frozen.items())


def test_the_trunk_stays_as_it_is_unless_it_has_a_rate(data, tmp_path):
    for rate, moves in ((0.0, False), (0.5, True)):
        recipe = build("align", {**PICTURES, "trunk_rate": rate}, data, seed=1)
        before = {k: v.clone() for k, v in recipe.modules["hrnet"].state_dict().items()}
        Trainer(recipe, Options(out=tmp_path / str(rate), steps=2, warmup_steps=1)).run()
        after = recipe.modules["hrnet"].state_dict()
        trunk = [k for k in before if not k.startswith("embed.")]
        assert any(not torch.equal(before[k], after[k]) for k in trunk) is moves
        assert not torch.equal(before["embed.weight"], after["embed.weight"])


def test_the_triplet_loss_can_be_switched_off(data):
    recipe = build("align", {**PICTURES, "triplet_weight": 0.0}, data, seed=1)
    parts = recipe.losses(recipe.batch(0, 0.0), 0.0)
    assert parts["triplet"].item() == 0 and parts["loss"].item() == parts["pair"].item()


def test_anchors_take_turns_and_change_the_loss_alone(data):
    recipe = build("align", PICTURES, data, seed=1)
    assert [recipe.batch(step, 0.0).anchor for step in range(4)] == [0, 1, 2, 0]
    fixed = build("align", {**PICTURES, "rotate_anchor": False}, data, seed=1)
    assert [fixed.batch(step, 0.0).anchor for step in range(2)] == [0, 0]
    torch.manual_seed(0)
    x = torch.randn(3, 6, 16).unbind(0)
    values = set()
    for anchor in range(3):
        torch.manual_seed(0)
        pair, triplet = align.contrast(x, torch.tensor(5.0), anchor, True)
        values.add((float(pair), round(float(triplet), 5)))
    assert len({pair for pair, _ in values}) == 1 and len(values) == 3


def test_a_temperature_stays_in_its_bounds_and_comes_back_from_them():
    temperature = losses.Temperature(5.0, 10.0)
    optimiser = torch.optim.SGD(temperature.parameters(), lr=1.0)
    for target, bound in ((1e9, 10.0), (0.0, losses.SMALLEST_SCALE)):
        with torch.no_grad():
            temperature.log_scale.fill_(50.0 if target else -50.0)
        assert temperature().item() == pytest.approx(bound, rel=1e-5)
        assert temperature.log_scale.item() == pytest.approx(math.log(bound), rel=1e-5)
    with torch.no_grad():
        temperature.log_scale.fill_(50.0)
    temperature().backward()  # a wish for a smaller scale
    optimiser.step()
    assert temperature().item() < 9.0


def test_every_stage_has_its_own_temperature():
    assert {stage: losses.Temperature(*t)().item() for stage, t in align.TEMPERATURES.items()} == pytest.approx(
        {"poses": 14.0, "pictures": 5.0, "joint": 5.0}
    )
    assert [largest for _, largest in align.TEMPERATURES.values()] == [100.0, 10.0, 5.0]


def test_poses_and_backbone_both_start_pictures(data, tmp_path):
    Trainer(build("align", POSES, data, seed=3), Options(out=tmp_path / "poses", steps=1)).run()
    tiny = {"sizes": [[1.0, 64, 48, 2]], "workers": 0, "validation": 3}
    Trainer(build("backbone", tiny, data, seed=3), Options(out=tmp_path / "backbone", steps=1)).run()
    both = f"{tmp_path / 'poses'},{tmp_path / 'backbone'}"
    trainer = Trainer(build("align", PICTURES, data, seed=1), Options(out=tmp_path / "both", steps=1, init_from=both))
    poses, backbone = (checkpoint.read(tmp_path / name / checkpoint.LAST, "ema") for name in ("poses", "backbone"))
    own = trainer.modules.state_dict()
    name = "pose3d_encoder.body.out.weight"
    assert torch.equal(own[name], poses[name])
    assert torch.equal(own["hrnet.conv1.weight"], backbone["hrnet.conv1.weight"])
    assert trainer.modules["temperature"]["pictures"]().item() == pytest.approx(5.0)
    assert "align, 1 steps" in trainer.recipe.header["started_from"]


def test_likeness_of_known_embeddings():
    x = torch.eye(4)
    assert align.likeness("a", x, x) == {"a_matched": 1.0, "a_mismatched": 0.0, "a_found_percent": 100.0}
    turned = align.likeness("a", x, x.roll(1, 0))
    assert turned["a_matched"] == 0.0 and turned["a_found_percent"] == 0.0
    assert turned["a_mismatched"] == pytest.approx(1 / 3)


def test_a_stage_or_an_encoder_that_does_not_exist_is_one_clear_line(data):
    with pytest.raises(TrainingError, match="have poses, pictures"):
        build("align", {"stage": "picture"}, data, seed=1)
    with pytest.raises(TrainingError, match="have transformer, mlp"):
        build("align", {**POSES, "encoder": "gru"}, data, seed=1)
