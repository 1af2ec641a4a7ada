"""Learning curves are read from the logs of runs; what is no log is one clear line."""

import pytest
import torch
from torch import nn

from training import checkpoint
from training.errors import TrainingError
from training.evaluate import learning
from training.evaluate.result import MaterialMissing, Request

LINES = "step,elapsed_s,samples_per_s,val_height,val_photos_pck20_torso\n40,120,0,128,31.5\n90,300,0,192,44.25\n"


@pytest.fixture
def runs(tmp_path):
    """A folder with one run of the recipe `backbone`."""
    run = tmp_path / "first"
    run.mkdir()
    modules = nn.ModuleDict({"a": nn.Linear(2, 2)})
    header = {"recipe": "backbone", "samples": 4321, "step": 90}
    checkpoint.save(run / checkpoint.LAST, modules, modules, torch.optim.AdamW(modules.parameters()), header)
    (run / learning.LOG).write_text(LINES)
    return tmp_path


def request(tmp_path, runs):
    return Request(tmp_path, tmp_path, tmp_path, runs=runs)


def test_the_curve_of_a_run(runs, tmp_path) -> None:
    result = learning.learning(request(tmp_path, runs))
    assert result.figure("Run first", "2 min", "photographs, PCK@0.2 torso %") == 31.5
    assert result.figure("Run first", "5 min", "height px") == 192
    (plot,) = result.plots
    assert plot.x == (2.0, 5.0) and plot.series == {"photographs, PCK@0.2 torso %": (31.5, 44.25)}
    assert "4,321 samples" in result.data


def test_a_broken_log_an_empty_folder_and_no_folder_are_one_line_each(runs, tmp_path) -> None:
    (runs / "first" / learning.LOG).write_text(LINES.replace("44.25", "much"))
    with pytest.raises(TrainingError, match=r"validation.csv: not a validation log"):
        learning.learning(request(tmp_path, runs))
    with pytest.raises(MaterialMissing, match="no run"):
        learning.learning(request(tmp_path, tmp_path / "nowhere"))
    with pytest.raises(TrainingError, match="--runs"):
        learning.learning(request(tmp_path, None))
