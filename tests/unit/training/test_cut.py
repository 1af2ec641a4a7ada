"""A part of a network, written anew from the whole's file, computes what the whole computes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from engines.contracts import LIVE_READ, LIVE_WINDOW, TEMPORAL_LIVE, TEMPORAL_WINDOW, WINDOW
from engines.session import open_session
from engines.settings import EngineSettings
from models.exportable import example_inputs
from tests.posecast import require_weights
from training import cut
from training.errors import TrainingError

SHIPPED = Path(__file__).resolve().parents[3] / "weights"


@pytest.fixture
def folder(tmp_path):
    require_weights()
    for name in ("temporal_window.onnx", "manifest.json"):
        shutil.copy(SHIPPED / name, tmp_path)
    return tmp_path


def test_the_live_network_gives_what_the_window_gives_of_its_newest_frames(folder) -> None:
    row = cut.export_cut("temporal_live", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["temporal_live"]["created_from"] == row.trained == manifest["temporal_window"]["created_from"]
    assert "`temporal_window`, version" in (folder / "temporal_live.md").read_text()
    settings = EngineSettings(weights=str(folder), precision="fp32")
    whole, part = (open_session(contract, settings, 1) for contract in (TEMPORAL_WINDOW, TEMPORAL_LIVE))
    inputs = {name: value.numpy() for name, value in example_inputs(TEMPORAL_WINDOW, {"B": 1}).items()}
    inputs["seen"][:, : WINDOW - LIVE_WINDOW] = 0
    # An unseen frame takes the view of the nearest seen one, which the part may not have.
    inputs["seen"][:, -LIVE_READ] = 1
    joints = whole.run(inputs)["joints"][:, -LIVE_READ:]
    inputs |= {name: np.ascontiguousarray(inputs[name][:, -LIVE_WINDOW:]) for name in ("features", "seen")}
    assert np.abs(part.run(inputs)["joints"] - joints).max() < 1e-3 * np.abs(joints).max()


def test_only_parts_without_a_run_are_cut(tmp_path) -> None:
    assert cut.is_cut("temporal_live", tmp_path)
    assert not cut.is_cut("temporal_window", tmp_path)


def test_nothing_is_cut_from_another_network(tmp_path) -> None:
    require_weights()
    shutil.copy(SHIPPED / "pose2d_encoder.onnx", tmp_path / "temporal_window.onnx")
    with pytest.raises(TrainingError, match="temporal_window"):
        cut.export_cut("temporal_live", tmp_path)
    assert not (tmp_path / "temporal_live.onnx").exists()
