"""Every network, exported to ONNX with random weights, fulfils its contract and gives torch's numbers."""

import inspect
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from engines.contracts import SHIPPED
from engines.heatmaps import decode_heatmaps
from models.decoders import DiffusionDecoder, MLPDecoder
from models.exportable import CONTRACTS, dynamic_shapes, example_inputs, exportable
from models.hrnet import VARIANTS, Variant, build
from models.pose_encoder import PoseEncoder2D, PoseEncoder3D
from models.sampler import Sampler
from models.stn import STN
from models.temporal import MPM

torch.set_num_threads(1)

# Fewer layers than shipped where a layer repeats: the graph has the same nodes and exports in a fraction of the time.
NETWORKS = {
    "stn": STN,
    "hrnet_w18_small_v2": lambda: build("w18_small_v2"),
    "pose2d_encoder": lambda: PoseEncoder2D(layers=1),
    "pose3d_encoder": lambda: PoseEncoder3D(layers=1),
    "mlp_decoder": lambda: MLPDecoder(blocks=1),
    "diffusion_decoder": lambda: Sampler(DiffusionDecoder(hidden=256), steps=3, order=2),
    "temporal_frame": lambda: MPM(layers=1),
    "temporal_window": lambda: MPM(layers=1),
    "temporal_live": lambda: MPM(layers=2),
}


@pytest.fixture(autouse=True)
def one_module_a_stage(monkeypatch):
    """HRNet with one module a stage: every kind of node of the family in a third of the time."""
    monkeypatch.setitem(VARIANTS, "w18_small_v2", Variant(width=18, stem_blocks=1, modules=(1, 1, 1), blocks=1))


def randomised(network):
    """Random weights everywhere, as zero or equal ones would hide a wrong graph, and fitting BN statistics."""
    torch.manual_seed(3)
    model = NETWORKS[network]()
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
    wrapped = exportable(network, model)
    with torch.no_grad():
        wrapped.train()(**example_inputs(CONTRACTS[network], {"B": 4, "H": 2}))
    return wrapped.eval()


@pytest.mark.parametrize("network", NETWORKS)
def test_export_fulfils_the_contract_and_equals_torch(network, tmp_path):
    contract, model = CONTRACTS[network], randomised(network)
    path = tmp_path / f"{network}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        torch.onnx.export(
            model,
            (),
            path,
            kwargs=example_inputs(contract, {"B": 2, "H": 3}),
            dynamo=True,
            opset_version=20,
            input_names=[tensor.name for tensor in contract.inputs],
            output_names=[tensor.name for tensor in contract.outputs],
            dynamic_shapes=dynamic_shapes(contract),
            verbose=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for side, declared in ((session.get_inputs(), contract.inputs), (session.get_outputs(), contract.outputs)):
        assert [(t.name, len(t.shape)) for t in side] == [(t.name, len(t.shape)) for t in declared]
    inputs = example_inputs(contract, {"B": 3, "H": 4}, seed=1)  # other lengths than at export
    with torch.no_grad():
        expected = model(**inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    outputs = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    for tensor, ours, theirs in zip(contract.outputs, expected, outputs, strict=True):
        assert theirs.dtype == np.dtype(tensor.dtype)
        sizes = {"B": 3, "H": 4}
        assert theirs.shape == tuple(sizes[d] if isinstance(d, str) else d for d in tensor.shape)
        assert np.abs(ours.numpy() - theirs).max() < 1e-4
        assert np.ptp(theirs) > 0


def test_every_contract_has_a_network_here_and_its_forward_takes_its_names():
    assert set(CONTRACTS) == {*NETWORKS, "hrnet_w32", "hrnet_w48"}
    assert {contract.network for contract in SHIPPED} <= set(CONTRACTS)
    for network in NETWORKS:
        names = list(inspect.signature(randomised(network).forward).parameters)
        assert names == [tensor.name for tensor in CONTRACTS[network].inputs]
    with pytest.raises(ValueError, match="hrnet_w32"):
        exportable("hrnet", nn.Identity())


def test_heat_maps_and_presence_are_probabilities_and_pictures_are_normalised_inside():
    encoder = randomised("hrnet_w18_small_v2")
    crop = example_inputs(CONTRACTS["hrnet_w18_small_v2"], {"B": 1})["crop"]
    with torch.no_grad():
        heatmaps, _ = encoder(crop)
        _, presence = randomised("stn")(torch.zeros(1, 128, 128, 3, dtype=torch.uint8))
    assert heatmaps.sum(dim=(2, 3)).numpy() == pytest.approx(np.ones((1, 17)), abs=1e-5)
    assert 0 < presence.item() < 1
    normalised = encoder.normalise(torch.tensor([[[[124, 116, 104]]]], dtype=torch.uint8))
    assert normalised.flatten().numpy() == pytest.approx(np.zeros(3), abs=0.02)


def test_an_encoder_trained_on_smaller_pictures_finds_the_same_places():
    """A network that marks the brightest cell, run at three quarters, marks it at its place in the full-size map."""

    class Brightest(nn.Module):
        working_px = (192, 144)

        def forward(self, picture):
            assert picture.shape[2:] == (192, 144)
            cells = functional.avg_pool2d(picture.mean(1, keepdim=True), 4)
            return 50 * cells.expand(-1, 17, -1, -1), picture.mean((2, 3))

    crops = torch.zeros((3, 256, 192, 3), dtype=torch.uint8)
    places = [(40, 60), (128, 96), (201, 33)]
    for crop, (y, x) in zip(crops, places, strict=True):
        crop[y - 6 : y + 7, x - 6 : x + 7] = 255
    maps, _ = exportable("hrnet_w18_small_v2", Brightest())(crops)
    assert maps.shape == (3, 17, 64, 48)
    points, _ = decode_heatmaps(maps.numpy())
    assert np.abs(points[:, 0] - np.array([(x, y) for y, x in places])).max() < 1.5
