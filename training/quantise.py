"""Networks in whole numbers: int8 variants by post-training quantisation, and the inputs that engines are checked by.

A variant is an ONNX file with QuantizeLinear and DequantizeLinear pairs (weights symmetric for each channel,
activations symmetric) that every back-end runs. NNCF finds the scales on what the network meets live
(`training.typical`), from the training split. Of networks that wait for their weights those alone are in whole numbers
(`store.ONLY_WEIGHTS`).
"""

import hashlib
import io
import logging
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from engines import store
from engines.choice import Candidate
from engines.contracts import SHIPPED, Contract
from engines.examples import one_by_one
from engines.opening import Opening
from engines.settings import EngineSettings
from engines.trust import Verdict
from models.exportable import CONTRACTS
from training.errors import TrainingError
from training.export import half_stored, write, write_entry
from training.typical import Typical

Array = NDArray[Any]

CALIBRATED_ON: Final = 300
"""Inputs from which the scales are found."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a network is quantised: weights whose operators stay in floating point (a pattern of their names), whether it
    is a transformer, and from how many inputs the scales are found."""

    floating: str = ""
    transformer: bool = False
    inputs: int = CALIBRATED_ON


PLANS: Final = {
    "stn": Plan(floating=r"model\.(conv1\.|layer1|lateral|grid|vote|box|presence)"),
    "hrnet": Plan(floating=r"model\.(conv1|final_layer|embed)\."),
    "pose2d_encoder": Plan(),
    "mlp_decoder": Plan(floating=r"^out\."),
    "temporal_window": Plan(transformer=True, inputs=24),
    "temporal_live": Plan(transformer=True, inputs=48),
}
"""Networks that are worth it: the others are as fast in bf16 or lose more than they gain. With its first layers and its
head in whole numbers too, the STN would move its boxes by more than is allowed; of the decoder's joints the last layer
makes most of the error."""
EXAMPLES: Final = {"stn": 24, "hrnet": 24, "temporal_window": 6, "temporal_live": 12}
OTHER_EXAMPLES: Final = 64
"""How many inputs of each network go into the file that engines are checked by."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was written: size in bytes, and how far it is from single precision."""

    network: str
    size: int
    verdict: Verdict


def quantise_networks(name: str, data: Path, mocap: Path, weights: Path) -> list[Row]:
    """Write the int8 variant of a network, or of all that have one, beside it. Raises TrainingError."""
    kinds = [contract for contract in SHIPPED if _plan(contract.network)] if name == "all" else [_contract(name)]
    typical = Typical(data, mocap, weights)
    return [quantise_one(contract, typical, weights) for contract in kinds]


def write_examples(data: Path, mocap: Path, weights: Path) -> Path:
    """Write the inputs that engines are checked by, for every shipped network."""
    typical = Typical(data, mocap, weights)
    arrays = {}
    for contract in SHIPPED:
        kind = contract.network.partition("_")[0] if contract.network.startswith("hrnet_") else contract.network
        for name, values in typical.of(contract, EXAMPLES.get(kind, OTHER_EXAMPLES), seed=1).items():
            arrays[f"{kind}/{name}"] = values.astype(np.float16) if values.dtype == np.float32 else values
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    write(weights / store.EXAMPLES, file.getvalue())
    return weights / store.EXAMPLES


def quantise_one(contract: Contract, typical: Typical, weights: Path) -> Row:
    """Quantise, compare with single precision, write the file and its line in the manifest."""
    plan = _plan(contract.network)
    assert plan is not None
    path = store.usable(contract.network, weights)
    if contract.network in store.ONLY_WEIGHTS:
        proto = with_short_weights(onnx.load(path), plan)
    else:
        proto = quantised(onnx.load(path), typical.of(contract, plan.inputs), plan)
    data, name = half_stored(proto).SerializeToString(), store.whole_numbers(contract.network)
    write(weights / f"{name}.onnx", data)
    single = hashlib.sha256(path.read_bytes()).hexdigest()
    write_entry(weights, name, contract.network, data, f"{contract.network} {single[:12]} by NNCF")
    return Row(name, len(data), judged(contract, weights))


def judged(contract: Contract, weights: Path) -> Verdict:
    """How far the int8 variant, as OpenVINO runs it, is from single precision."""
    way = Candidate("openvino", "cpu", "int8")
    return Opening(contract, way, EngineSettings(weights=str(weights), threads=1), {"B": 1}, lambda _: None).checked()


def quantised(proto: onnx.ModelProto, inputs: dict[str, Array], plan: Plan) -> onnx.ModelProto:
    """The network with its products in whole numbers, scales found on `inputs`, stacked along the batch axis."""
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    logging.getLogger("nncf").setLevel(logging.ERROR)
    model = folded(proto)  # a copy: the library changes what it is given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own
        made = nncf.quantize(
            model,
            nncf.Dataset(list(one_by_one(inputs))),
            preset=nncf.QuantizationPreset.PERFORMANCE,
            subset_size=len(next(iter(inputs.values()))),
            model_type=nncf.ModelType.TRANSFORMER if plan.transformer else None,
            ignored_scope=_floating(model, plan),
            # Shifting the biases to cancel the mean error of each layer made the heat maps and the embedding worse, and
            # so did the mean of the largest values as the range: it cuts off white caps and water in the light.
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                disable_bias_correction=True,
                overflow_fix=nncf.OverflowFix.DISABLE,
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            ),
        )
    del made.metadata_props[:]
    return made


def with_short_weights(proto: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """The network with the weights of its products in whole numbers, all else in floating point."""
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    model = folded(proto)
    made = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM, ignored_scope=_floating(model, plan))
    del made.metadata_props[:]
    return made


def folded(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose weights, stored in half precision with a cast behind each, are stored in single precision."""
    out = onnx.ModelProto()
    out.CopyFrom(proto)
    stored = {tensor.name: tensor for tensor in out.graph.initializer}
    kept = []
    for node in out.graph.node:
        tensor = stored.get(node.input[0]) if node.op_type == "Cast" else None
        if tensor is not None and tensor.data_type == TensorProto.FLOAT16:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, node.output[0]))
        else:
            kept.append(node)
    del out.graph.node[:]
    out.graph.node.extend(kept)
    return out


def _floating(model: onnx.ModelProto, plan: Plan) -> Any:
    import nncf

    names = [node.name for node in model.graph.node if plan.floating and _reads(node, plan.floating)]
    return nncf.IgnoredScope(names=names, validate=False)


def _reads(node: onnx.NodeProto, pattern: str) -> bool:
    return any(re.search(pattern, name) for name in node.input)


def _plan(network: str) -> Plan | None:
    return PLANS.get("hrnet" if network.startswith("hrnet_") else network)


def _contract(name: str) -> Contract:
    if name not in CONTRACTS or _plan(name) is None:
        raise TrainingError(f"network {name!r} has no int8 variant; have {', '.join(PLANS)} (hrnet_w18_small_v2, ...)")
    return CONTRACTS[name]
