"""Every recipe trains two steps, is resumed for a third, and refuses what does not belong to it."""

import csv
from pathlib import Path

import pytest
import torch

from training import checkpoint
from training.errors import TrainingError
from training.loop import Options, Trainer
from training.recipes import build
from training.settings import Data, read_toml, typed

CONFIGS = Path(__file__).parents[3] / "configs" / "train"
TINY = {
    "align": {"batch": 4, "dives": 0, "stills": 20, "validation": 6},
    "decode": {"batch": 4, "dives": 0, "stills": 20, "validation": 6, "pictures": 2, "workers": 0},
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


def test_a_run_is_neither_overwritten_nor_mistaken(data, tmp_path):
    Trainer(build("track", TINY["track"], data, seed=1), Options(out=tmp_path, steps=1)).run()
    with pytest.raises(TrainingError, match="--resume"):
        Trainer(build("track", TINY["track"], data, seed=1), Options(out=tmp_path, steps=2))
    with pytest.raises(TrainingError, match=r"other network|data_scale"):
        Trainer(build("align", TINY["align"], data, seed=1), Options(out=tmp_path, steps=2, resume=True))


def test_unknown_keys_are_refused_with_the_nearest_name(data, tmp_path):
    with pytest.raises(TrainingError, match="did you mean batch"):
        build("align", {"bach": 3}, data, seed=1)
    with pytest.raises(TrainingError, match="backbone, align, decode, temporal, track"):
        build("nothing", {}, data, seed=1)
    bad = tmp_path / "bad.toml"
    bad.write_text("[lop]\nlr = 1")
    with pytest.raises(TrainingError, match="unknown table"):
        read_toml(bad)


def test_missing_material_is_one_clear_line(tmp_path):
    with pytest.raises(TrainingError, match="posecast synth"):
        build("track", {}, Data(tmp_path, tmp_path), seed=1)
    with pytest.raises(TrainingError, match="no mocap files"):
        build("align", {}, Data(tmp_path, tmp_path), seed=1)


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda file: file.stem)
def test_shipped_configurations_are_valid(file):
    import importlib

    name, tables = file.stem.split("_")[0], read_toml(file)
    name = "track_trl" if tables["recipe"].get("variant") == "trl" else name
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
