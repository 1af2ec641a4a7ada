"""Every recipe trains two steps, is resumed for a third, and refuses what does not belong to it."""

import csv

import pytest
import torch

from training import checkpoint
from training.errors import TrainingError
from training.loop import Options, Trainer
from training.recipes import build
from training.settings import Data, read_toml, typed

TINY = {
    "lift": {"batch": 4, "dives": 1, "stills": 20, "validation": 6},
    "temporal": {
        "pretrain_batch": 2,
        "lengths": [[1.0, 9, 8]],
        "fuse": 0.25,
        "denoise": 0.25,
        "dives": 1,
        "validation": 2,
        "decoder": "",
        "pretrain": 0.4,
    },
    "backbone": {"sizes": [[0.5, 64, 48, 2], [1.0, 96, 72, 2]], "workers": 0, "validation": 3},
    "track": {"batch": 4, "workers": 0, "validation": 8},
}


@pytest.mark.parametrize("name", list(TINY))
def test_two_steps_then_a_third_after_a_resume(name, data, tmp_path):
    recipe = build(name, TINY[name], data, seed=1)
    trainer = Trainer(recipe, Options(out=tmp_path, steps=2, ema=0.5, warmup_steps=1))
    before = {k: v.clone() for k, v in recipe.modules.state_dict().items()}
    figures = trainer.run()
    assert figures and all(value == value for key, value in figures.items() if key != "absent_recognised")
    after = recipe.modules.state_dict()
    assert any(not torch.equal(before[k], after[k]) for k in before if before[k].dtype.is_floating_point)
    again = Trainer(build(name, TINY[name], data, seed=1), Options(out=tmp_path, steps=3, ema=0.5, resume=True))
    assert again.step == 2 and again.seen == trainer.seen
    for key, value in again.modules.state_dict().items():
        assert torch.equal(value.cpu(), after[key].cpu()), key
    again.run()
    header = checkpoint.read_header(tmp_path / checkpoint.LAST)
    assert (header["recipe"], header["step"]) == (name, 3) and len(header["joint_names"]) == 17
    with (tmp_path / "log.csv").open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == [1, 2, 3]


def test_frozen_encoders_stay_as_they_are_in_backbone(data, tmp_path):
    recipe = build("backbone", TINY["backbone"], data, seed=1)
    before = recipe.modules["pose2d_encoder"].body.out.weight.clone()
    Trainer(recipe, Options(out=tmp_path, steps=2, warmup_steps=1)).run()
    assert torch.equal(before, recipe.modules["pose2d_encoder"].body.out.weight)


def test_a_run_is_neither_overwritten_nor_mistaken(data, tmp_path):
    Trainer(build("track", TINY["track"], data, seed=1), Options(out=tmp_path, steps=1)).run()
    with pytest.raises(TrainingError, match="--resume"):
        Trainer(build("track", TINY["track"], data, seed=1), Options(out=tmp_path, steps=2))
    with pytest.raises(TrainingError, match=r"other network|data_scale"):
        Trainer(build("lift", TINY["lift"], data, seed=1), Options(out=tmp_path, steps=2, resume=True))


def test_lift_weights_start_a_backbone(data, tmp_path):
    lifted = build("lift", TINY["lift"], data, seed=3)
    Trainer(lifted, Options(out=tmp_path / "lift", steps=1)).run()
    options = Options(out=tmp_path / "backbone", steps=1, init_from=str(tmp_path / "lift"))
    trainer = Trainer(build("backbone", TINY["backbone"], data, seed=1), options)
    ema = checkpoint.read(tmp_path / "lift" / checkpoint.LAST, "ema")
    assert torch.equal(trainer.modules["mlp_decoder"].out.weight, ema["mlp_decoder.out.weight"])
    assert "lift, 1 steps" in trainer.recipe.header["started_from"]


def test_unknown_keys_are_refused_with_the_nearest_name(data, tmp_path):
    with pytest.raises(TrainingError, match="did you mean batch"):
        build("lift", {"bach": 3}, data, seed=1)
    with pytest.raises(TrainingError, match="lift, temporal, backbone, track"):
        build("nothing", {}, data, seed=1)
    bad = tmp_path / "bad.toml"
    bad.write_text("[lop]\nlr = 1")
    with pytest.raises(TrainingError, match="unknown table"):
        read_toml(bad)


def test_missing_material_is_one_clear_line(tmp_path):
    with pytest.raises(TrainingError, match="posecast synth"):
        build("track", {}, Data(tmp_path, tmp_path), seed=1)
    with pytest.raises(TrainingError, match="no mocap files"):
        build("lift", {}, Data(tmp_path, tmp_path), seed=1)


@pytest.mark.parametrize("name", list(TINY))
def test_shipped_configurations_are_valid(name):
    import importlib
    from pathlib import Path

    tables = read_toml(Path(__file__).parents[3] / "configs" / "train" / f"{name}.toml")
    typed(Options, {**tables["loop"], "out": Path("x")}, name)
    typed(importlib.import_module(f"training.recipes.{name}").Settings, tables["recipe"], name)


def test_the_command_trains_and_reports(data, tmp_path):
    from typer.testing import CliRunner

    from training.cli import train

    config = tmp_path / "track.toml"
    config.write_text("[loop]\n[recipe]\nbatch = 2\nworkers = 0\nvalidation = 4\n")
    arguments = ["track", "--config", str(config), "--data", str(data.root), "--mocap", str(data.mocap)]
    arguments += ["--out", str(tmp_path / "run"), "--steps", "1"]
    done = CliRunner().invoke(train, arguments)
    assert done.exit_code == 0 and "iou_mean" in done.output
    again = CliRunner().invoke(train, arguments)
    assert again.exit_code == 2 and "--resume" in again.output
