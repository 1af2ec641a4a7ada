"""The loop: the same losses whether interrupted or not, an orderly end on a signal, logs for people and TensorBoard."""

import csv
import signal
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from training import checkpoint
from training.loop import Options, Trainer, learning_rate


@dataclass(frozen=True)
class Settings:
    width: int = 8


class Noise:
    """A network with dropout that learns to rebuild random rows: everything a resume could get wrong."""

    name = "noise"

    def __init__(self, seed: int = 1, at_step=None) -> None:
        self.header = {}
        self.settings, self.seed, self.at_step = Settings(), seed, at_step or (lambda step: None)
        torch.manual_seed(0)
        layers = [nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 8)]
        self.modules = nn.ModuleDict({"net": nn.Sequential(*layers)})

    def parameter_groups(self):
        return [{"params": list(self.modules.parameters())}]

    def batch(self, step, progress):
        self.at_step(step)
        return torch.from_numpy(np.random.default_rng([self.seed, step]).normal(size=(16, 8)).astype(np.float32))

    def losses(self, batch, progress):
        self.modules.train()
        return {"loss": (self.modules["net"](batch + torch.randn_like(batch)) - batch).square().mean()}

    def samples(self, batch):
        return len(batch)

    def validate(self, modules):
        return {"height": 1.0}

    def shipped(self):
        return {}


def _weights(trainer):
    return {key: value.clone() for key, value in trainer.modules.state_dict().items()}


def test_an_interrupted_run_has_the_losses_of_an_unbroken_one(tmp_path):
    whole = Trainer(Noise(), Options(out=tmp_path / "whole", steps=8, warmup_steps=3))
    whole.run()

    def end_at_5(step):
        if step == 5:
            signal.raise_signal(signal.SIGTERM)

    options = Options(out=tmp_path / "parts", steps=8, warmup_steps=3)
    with pytest.raises(KeyboardInterrupt):
        Trainer(Noise(at_step=end_at_5), options).run()
    assert checkpoint.read_header(tmp_path / "parts" / checkpoint.LAST)["step"] == 6
    second = Trainer(Noise(), Options(out=tmp_path / "parts", steps=8, warmup_steps=3, resume=True))
    second.run()
    for key, value in _weights(whole).items():
        assert torch.equal(value, _weights(second)[key]), key


def test_another_seed_is_another_run(tmp_path):
    runs = [Trainer(Noise(seed=s), Options(out=tmp_path / str(s), steps=3, seed=s)) for s in (1, 2)]
    for run in runs:
        run.run()
    first, second = (_weights(run)["net.0.weight"] for run in runs)
    assert not torch.equal(first, second)


def test_sigterm_is_the_callers_again_after_the_run(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    Trainer(Noise(), Options(out=tmp_path, steps=2)).run()
    assert signal.getsignal(signal.SIGTERM) is before


def test_logs_hold_every_loss_and_tensorboard_reads_them(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    Trainer(Noise(), Options(out=tmp_path, steps=3)).run()
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    board = events.Scalars("loss")
    assert [int(row["step"]) for row in rows] == [event.step for event in board] == [1, 2, 3]
    assert float(rows[2]["loss"]) == pytest.approx(board[2].value, rel=1e-4)
    assert "val_height" in events.Tags()["scalars"]


def test_the_checkpoint_names_schedule_and_settings(tmp_path):
    Trainer(Noise(), Options(out=tmp_path, steps=2, lr=3e-4)).run()
    header = checkpoint.read_header(tmp_path / checkpoint.LAST)
    assert header["settings"] == {"width": 8}
    assert header["options"]["lr"] == "0.0003" and header["options"]["steps"] == "2"


def test_learning_rate_warms_up_and_falls_to_two_percent(tmp_path):
    options = Options(out=tmp_path, lr=1.0, warmup_steps=10)
    assert learning_rate(0, 0.0, options) == pytest.approx(0.1)
    assert learning_rate(500, 0.5, options) == pytest.approx(0.51)
    assert learning_rate(999, 1.0, options) == pytest.approx(0.02)
