"""Export: a tiny network in a contract's clothes is proven, halved, proven again and described."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from engines.contracts import FEATURE, STN, TEMPORAL_FRAME, J
from models.exportable import exportable
from training import checkpoint, export
from training.card import model_card
from training.errors import TrainingError


class TinyFrame(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(J * 2, FEATURE)

    def fuse_frame(self, keypoints, missing, decoded, decoded_missing, use_2d, use_3d, box):
        shown = keypoints * (use_2d[:, None] - missing).unsqueeze(-1)
        rest = decoded.sum((1, 2)) * use_3d + box.sum(1) + decoded_missing.sum(1)
        return torch.tanh(self.linear(shown.flatten(1)) + 0.1 * rest[:, None])


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    module = exportable("temporal_frame", TinyFrame())
    return module, export.to_onnx(module, TEMPORAL_FRAME)


def test_exported_graph_equals_torch_for_other_batches(tiny):
    module, proto = tiny
    assert proto.opset_import[0].version == export.OPSET
    assert export.compare(module, export.runtime(proto), TEMPORAL_FRAME, 1) < 1e-5
    assert export.compare(module, export.runtime(proto), TEMPORAL_FRAME, 2) < 1e-5


def test_half_storage_is_smaller_and_nearly_equal_on_both_engines(tiny):
    module, proto = tiny
    half = export.half_stored(proto)
    assert half.ByteSize() < 0.6 * proto.ByteSize()
    for run_it in (export.runtime(half), export.openvino_runtime(half)):
        assert 0 < export.compare(module, run_it, TEMPORAL_FRAME, 1) < 5e-3


def test_a_graph_that_differs_is_seen(tiny):
    _, proto = tiny
    torch.manual_seed(1)
    other = exportable("temporal_frame", TinyFrame())
    assert export.compare(other, export.runtime(proto), TEMPORAL_FRAME, 1) > export.BOUND_FP16


def test_written_files_load_by_the_engines_and_match_their_manifest(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(export, "build_model", lambda network, header: TinyFrame())
    row = export.export_networks("temporal_frame", tmp_path / "none", tmp_path, untrained=True)[0]
    from engines.session import open_session
    from engines.settings import EngineSettings

    session = open_session(TEMPORAL_FRAME, EngineSettings(weights=str(tmp_path), precision="fp32"), 1)
    shapes = {tensor.name: (1, *tensor.shape[1:]) for tensor in TEMPORAL_FRAME.inputs}
    out = session.run({name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    assert out["feature"].shape == (1, FEATURE)
    entry = json.loads((tmp_path / "manifest.json").read_text())["temporal_frame"]
    assert entry["bytes"] == row.size == (tmp_path / "temporal_frame.onnx").stat().st_size
    assert "random weights" in (tmp_path / "temporal_frame.md").read_text()


def test_the_version_rises_only_when_the_bytes_change(tmp_path):
    versions = [export.write_entry(tmp_path, "stn", "stn", data, "") for data in (b"a", b"a", b"b")]
    assert versions == [1, 1, 2]
    old = {"stn": {"sha256": "0", "bytes": 1}}  # from before there were versions
    (tmp_path / "manifest.json").write_text(json.dumps(old))
    assert export.write_entry(tmp_path, "stn", "stn", b"c", "") == 2


def test_nothing_is_written_when_torch_and_onnx_disagree(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "build_model", lambda network, header: TinyFrame())
    monkeypatch.setattr(export, "compare", lambda *_: 1.0)
    with pytest.raises(TrainingError, match="differs from torch"):
        export.export_networks("temporal_frame", tmp_path / "none", tmp_path, untrained=True)
    assert not list(tmp_path.glob("*.onnx"))


def test_a_network_without_a_run_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="train track first"):
        export.export_networks("stn", tmp_path, tmp_path, untrained=False)
    with pytest.raises(TrainingError, match="unknown"):
        export.export_networks("nothing", tmp_path, tmp_path, untrained=True)


def test_card_states_data_steps_and_figures():
    header = {
        "recipe": "track",
        "step": 1234,
        "samples": 56789,
        "elapsed_s": 600.0,
        "data": "scenes",
        "figures": {"iou": 0.5},
    }
    card = model_card(STN, header | {"settings": {"batch": 64}}, 1000, 1e-6, 1e-3, version=3)
    for text in ("1,234 steps", "56,789 samples", "0.17 hours", "scenes", "iou: 0.5", "Apache-2.0", "`theta`",
                 "version 3", "batch 64", "Nobody must be judged"):  # fmt: skip
        assert text in card


def test_a_checkpoint_that_is_none_is_one_clear_line(tmp_path):
    (tmp_path / "last.safetensors").write_bytes(b"nonsense")
    with pytest.raises(TrainingError, match="no readable checkpoint"):
        checkpoint.read_header(tmp_path / "last.safetensors")
