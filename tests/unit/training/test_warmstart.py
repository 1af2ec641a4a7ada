"""An exported network comes back as the network it was, with batch statistics to go on training."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from engines.contracts import POSE2D_ENCODER
from models.exportable import example_inputs
from models.hrnet import HRNet
from models.pose_encoder import PoseEncoder2D
from training import export, warmstart
from training.datasets import normalise_picture
from training.errors import TrainingError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("weights")
    for name in ("pose2d_encoder", "mlp_decoder"):
        export.export_one(name, None, out)
    return out


def test_a_transformer_comes_back_through_its_transposed_weights(folder):
    torch.manual_seed(5)
    fresh = PoseEncoder2D().eval()
    inputs = example_inputs(POSE2D_ENCODER, {"B": 3})
    expected = export.load_model("pose2d_encoder", None)[0](**inputs)
    with torch.no_grad():
        before = fresh(**inputs)
        count = warmstart.initialise(folder / "pose2d_encoder.onnx", fresh)
        after = fresh(**inputs)
    assert count == len(fresh.state_dict())
    scale = float(expected.abs().max())
    assert float((before - expected).abs().max()) > 0.1 * scale  # the start matters
    assert float((after - expected).abs().max()) < 0.02 * scale


def test_a_folded_network_gives_the_exported_heat_maps_and_has_statistics_again():
    file = Path(__file__).parents[3] / "weights" / "hrnet_w18_small_v2.onnx"
    crops = torch.from_numpy(np.random.default_rng(1).integers(0, 255, (3, 256, 192, 3), dtype=np.uint8))
    picture = normalise_picture(crops)
    network = HRNet("w18_small_v2")
    warmstart.initialise(file, network, picture)
    network.eval()
    with torch.no_grad():
        logits, embedding = network(picture)
    maps = logits.flatten(2).softmax(-1).reshape(logits.shape)
    want = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"crop": crops.numpy()})
    assert np.abs(maps.numpy() - want[0]).max() < 1e-4
    assert np.abs(embedding.numpy() - want[1]).max() < 1e-3 * np.abs(want[1]).max()
    assert float((network.bn1.running_var - 1).abs().max()) > 0.01


def test_a_strange_file_is_one_clear_line(folder, tmp_path):
    with pytest.raises(TrainingError, match="shares no tensor"):
        warmstart.initialise(folder / "mlp_decoder.onnx", torch.nn.Linear(3, 3))
    with pytest.raises(TrainingError, match="no ONNX network"):
        warmstart.initialise(tmp_path / "none.onnx", torch.nn.Linear(3, 3))
