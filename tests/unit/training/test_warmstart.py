"""An exported network comes back as the network it was, with batch statistics to go on training."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from engines.contracts import POSE2D_ENCODER
from models.exportable import CONTRACTS, example_inputs, exportable, resized
from models.hrnet import HRNet
from models.pose_encoder import MLPPoseEncoder2D, PoseEncoder2D
from training import export, warmstart
from training.datasets import normalise_picture
from training.errors import TrainingError


def _written(model, network: str, path: Path) -> Path:
    """The network exported with random biases too: export drops those that are zero."""
    torch.manual_seed(2)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    contract = CONTRACTS[network]
    proto = export.half_stored(export.to_onnx(exportable(network, model.eval()), contract))
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.mark.parametrize("kind", [PoseEncoder2D, MLPPoseEncoder2D])
def test_an_encoder_comes_back_through_its_transposed_weights(tmp_path, kind):
    model, fresh = kind().eval(), kind().eval()
    file = _written(model, "pose2d_encoder", tmp_path / "network.onnx")
    inputs = example_inputs(POSE2D_ENCODER, {"B": 3})
    with torch.no_grad():
        expected, before = model(**inputs), fresh(**inputs)
        count = warmstart.initialise(file, fresh)
        after = fresh(**inputs)
    assert count == len(fresh.state_dict())
    scale = float(expected.abs().max())
    assert float((before - expected).abs().max()) > 0.1 * scale  # the start matters
    assert float((after - expected).abs().max()) < 0.02 * scale


def test_a_folded_network_gives_the_exported_heat_maps_and_has_statistics_again():
    file = Path(__file__).parents[3] / "weights" / "hrnet_w18_small_v2.onnx"
    crops = torch.from_numpy(np.random.default_rng(1).integers(0, 255, (3, 256, 192, 3), dtype=np.uint8))
    network = HRNet("w18_small_v2")
    network.working_px = (192, 144)  # as its card says
    warmstart.initialise(file, network, resized(normalise_picture(crops), *network.working_px))
    with torch.no_grad():
        maps, embedding = exportable("hrnet_w18_small_v2", network)(crops)
    want = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"crop": crops.numpy()})
    assert np.abs(maps.numpy() - want[0]).max() < 1e-4
    assert np.abs(embedding.numpy() - want[1]).max() < 1e-3 * np.abs(want[1]).max()
    assert float((network.bn1.running_var - 1).abs().max()) > 0.01


def test_a_strange_file_is_one_clear_line(tmp_path):
    file = _written(PoseEncoder2D(), "pose2d_encoder", tmp_path / "network.onnx")
    with pytest.raises(TrainingError, match="shares no tensor"):
        warmstart.initialise(file, torch.nn.Linear(3, 3))
    with pytest.raises(TrainingError, match="no ONNX network"):
        warmstart.initialise(tmp_path / "none.onnx", torch.nn.Linear(3, 3))
