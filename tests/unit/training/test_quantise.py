"""int8 variants: what is in whole numbers, what is not, and that a variant never outlives its network."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from engines import store
from engines.contracts import SHIPPED, TEMPORAL_FRAME, Contract, Tensor
from training import export
from training.errors import TrainingError
from training.quantise import PLANS, Plan, folded, quantise_networks, quantised, with_short_weights

PICTURE = Contract(
    "tiny",
    (Tensor("picture", ("B", 3, 16, 16), "float32", ""),),
    (Tensor("out", ("B", 8, 16, 16), "float32", ""),),
)


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 8, 3, padding=1)

    def forward(self, picture):
        return self.second(torch.relu(self.first(picture)))


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(3)
    return export.half_stored(export.to_onnx(Tiny().eval(), PICTURE))


@pytest.fixture(scope="module")
def pictures():
    return {"picture": np.random.default_rng(0).standard_normal((24, 3, 16, 16), dtype=np.float32)}


def test_folding_undoes_half_storage(tiny, pictures):
    plain = folded(tiny)
    assert not [node for node in plain.graph.node if node.op_type == "Cast"]
    assert [node for node in tiny.graph.node if node.op_type == "Cast"]
    one, other = (export.runtime(proto)(pictures)[0] for proto in (tiny, plain))
    np.testing.assert_array_equal(one, other)


def test_products_are_in_whole_numbers_and_nearly_right(tiny, pictures):
    made = quantised(tiny, pictures, Plan())
    onnx.checker.check_model(made)
    weights = [tensor for tensor in made.graph.initializer if len(tensor.dims) == 4]
    assert {tensor.data_type for tensor in weights} == {onnx.TensorProto.INT8}
    exact = export.runtime(tiny)(pictures)[0]
    for run_it in (export.runtime(made), export.openvino_runtime(made)):
        error = np.abs(run_it(pictures)[0] - exact)
        assert 0 < error.mean() < 0.02 * exact.std()


def test_what_is_to_stay_in_floating_point_does(tiny, pictures):
    made = quantised(tiny, pictures, Plan(floating=r"second\."))
    kinds = [tensor.data_type for tensor in made.graph.initializer if len(tensor.dims) == 4]
    assert sorted(kinds) == sorted([onnx.TensorProto.INT8, onnx.TensorProto.FLOAT])


def test_a_network_that_changes_loses_its_variant(tmp_path, monkeypatch):
    class Frame(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Linear(17, 309)

        def fuse_frame(self, keypoints, missing, decoded, nothing, ones, use, box):
            return self.gain(missing + keypoints[..., 0] + decoded[..., 0]) + box[:, :1] * use[:, None]

    def exported(seed):
        torch.manual_seed(seed)
        model = Frame().eval()
        monkeypatch.setattr(export, "load_model", lambda network, run: (model, {}))
        export.export_networks(TEMPORAL_FRAME.network, tmp_path / "none", tmp_path, untrained=True)

    name = store.whole_numbers(TEMPORAL_FRAME.network)
    exported(1)
    (tmp_path / f"{name}.onnx").write_bytes(b"int8")
    export.write_entry(tmp_path, name, TEMPORAL_FRAME.network, b"int8", "")
    exported(1)
    assert store.has(name, tmp_path) and name in store.manifest(tmp_path)
    exported(2)
    assert not store.has(name, tmp_path) and name not in store.manifest(tmp_path)


def test_a_network_that_has_none_is_refused(tmp_path):
    with pytest.raises(TrainingError, match=r"'temporal_frame' has no int8 variant; have stn"):
        quantise_networks("temporal_frame", tmp_path, tmp_path, tmp_path)


def test_weights_alone_in_whole_numbers_leave_what_flows_as_it_was():
    contract = Contract(
        "tiny", (Tensor("features", ("B", 64), "float32", ""),), (Tensor("out", ("B", 8), "float32", ""),)
    )

    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(64, 256), nn.Linear(256, 8)

        def forward(self, features):
            return self.last(torch.relu(self.first(features)))

    torch.manual_seed(3)
    features = {"features": np.random.default_rng(0).standard_normal((5, 64), dtype=np.float32)}
    tiny = export.half_stored(export.to_onnx(Wide().eval(), contract))
    made = with_short_weights(tiny, Plan(floating=r"^last\."))
    onnx.checker.check_model(made)
    assert {node.op_type for node in made.graph.node} >= {"DequantizeLinear"}
    assert "QuantizeLinear" not in {node.op_type for node in made.graph.node}
    kinds = {tuple(tensor.dims): tensor.data_type for tensor in made.graph.initializer if len(tensor.dims) == 2}
    assert sorted(kinds.values()) == sorted([onnx.TensorProto.INT8, onnx.TensorProto.FLOAT])
    exact = export.runtime(tiny)(features)[0]
    for run_it in (export.runtime(made), export.openvino_runtime(made)):
        error = np.abs(run_it(features)[0] - exact)
        assert 0 < error.mean() < 0.01 * exact.std()


def test_every_planned_variant_is_shipped_and_in_the_manifest():
    listed = store.manifest()
    for contract in SHIPPED:
        kind = "hrnet" if contract.network.startswith("hrnet_") else contract.network
        assert (kind in PLANS) == store.has(store.whole_numbers(contract.network))
        assert (kind in PLANS) == (store.whole_numbers(contract.network) in listed)
