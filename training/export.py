"""Trained networks to ONNX, proven equal before a file is written.

Per network: the averaged weights of its run, in the clothes of its contract, exported by torch's dynamo
exporter (opset 20, free batch), compared with torch in ONNX Runtime; then big weights are stored as half
precision with a cast to single precision behind each (arithmetic stays single), and the result is compared
again in ONNX Runtime and in OpenVINO.
"""

import hashlib
import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from engines import store
from engines.contracts import SHIPPED, Contract
from engines.errors import EngineError
from engines.openvino_backend import process_core
from engines.store import MANIFEST, manifest
from models.decoders import DiffusionDecoder, MLPDecoder
from models.exportable import CONTRACTS, dynamic_shapes, example_inputs, exportable
from models.hrnet import HRNet
from models.sampler import Sampler
from models.stn import STN
from models.temporal import MPM
from training import checkpoint
from training.card import model_card
from training.errors import TrainingError
from training.recipes.align import pose_encoders

Array = NDArray[Any]

OPSET: Final = 20
BOUND: Final = 1e-4
"""Largest difference to torch, as a share of the output's largest value, of the single-precision graph."""
BOUND_FP16: Final = 2e-2
"""The same with weights rounded to half precision."""
BIG: Final = 1024
"""Weights of fewer numbers stay in single precision."""
POSE_RUNS: Final = ("decode", "align_pictures", "align")
"""Runs with encoders and decoders of poses, the better first. They only fit each other within one run."""
RUNS: Final = {
    "stn": (("track",), "stn"),
    "pose2d_encoder": (POSE_RUNS, "pose2d_encoder"),
    "pose3d_encoder": (POSE_RUNS, "pose3d_encoder"),
    "mlp_decoder": (POSE_RUNS[:1], "mlp_decoder"),
    "diffusion_decoder": (POSE_RUNS[:1], "diffusion_decoder"),
    "temporal_frame": (("temporal",), "pretraining.mpm"),
    "temporal_window": (("temporal",), "pretraining.mpm"),
    "temporal_live": (("temporal",), "pretraining.mpm"),
}
"""Runs that hold a network, the better first, and its name inside."""
HRNET_RUNS: Final = ("decode", "align_pictures", "backbone")
DIFFUSION_HIDDEN: Final = 512


@dataclass(frozen=True)
class Row:
    """What was written: size in bytes, errors relative to the output's scale, and how far it was trained."""

    network: str
    size: int
    error: float
    error_fp16: float
    trained: str


def export_networks(name: str, runs: Path, out: Path, untrained: bool) -> list[Row]:
    """Exports network `name`, or all shipped ones; those without a run are skipped unless `untrained`."""
    shipped = [contract.network for contract in SHIPPED]
    entries_of(out)  # one that cannot be gone on with is told before anything is written
    if name != "all" and name not in CONTRACTS:
        raise TrainingError(f"network {name!r} unknown; have {', '.join(CONTRACTS)}")
    rows = []
    for network in shipped if name == "all" else [name]:
        run = run_of(network, runs)
        if run is None and not untrained:
            if name == "all":
                continue
            raise TrainingError(f"{runs}: no run for {network}; train {' or '.join(_candidates(network)[0])} first")
        rows.append(export_one(network, run, out))
    if not rows:
        raise TrainingError(f"{runs}: no run to export; train one first")
    return rows


def _candidates(network: str) -> tuple[tuple[str, ...], str]:
    return RUNS.get(network, (HRNET_RUNS, "hrnet"))


def run_of(network: str, runs: Path) -> Path | None:
    """Checkpoint that holds `network`, if any; a `decode` without pictures, say, has no HRNet."""
    names, inside = _candidates(network)
    for path in (runs / name / checkpoint.LAST for name in names):
        if path.exists() and checkpoint.holds(path, inside):
            return path
    return None


def build_model(network: str, header: dict[str, Any]) -> nn.Module:
    """The torch network of a contract with the sizes that its run's header names."""
    if network.startswith("hrnet_"):
        model = HRNet(network.removeprefix("hrnet_"))
        height, width = header.get("working_px", model.working_px)
        model.working_px = (int(height), int(width))
        return model
    if network.startswith("temporal_"):
        return MPM(layers=int(header.get("layers", 4)))
    if network == "diffusion_decoder":
        hidden = int(header.get("diffusion_hidden", DIFFUSION_HIDDEN))
        return DiffusionDecoder(hidden=hidden, data_scale=float(header.get("data_scale", 5.0)))
    if network == "mlp_decoder":
        return MLPDecoder(hidden=int(header.get("mlp_hidden", 896)))
    if network == "stn":
        return STN()
    return pose_encoders(str(header.get("pose_encoder", "transformer")))[network]


def load_model(network: str, run: Path | None) -> tuple[nn.Module, dict[str, Any]]:
    """The network with the averaged weights of its run (random ones without), and the run's header."""
    if run is None:
        torch.manual_seed(0)
        return build_model(network, {}).eval(), {}
    header = checkpoint.read_header(run)
    if network.startswith("hrnet_") and header.get("variant") != network.removeprefix("hrnet_"):
        raise TrainingError(f"{run}: holds the variant {header.get('variant')}, not {network}; train it in another run")
    model = build_model(network, header)
    inside = _candidates(network)[1] + "."
    weights = checkpoint.read(run, "ema")
    try:
        model.load_state_dict({k.removeprefix(inside): v for k, v in weights.items() if k.startswith(inside)})
    except RuntimeError:
        raise TrainingError(f"{run}: holds another {network} than this version's; train it again") from None
    return model.eval(), header


def export_one(network: str, run: Path | None, out: Path) -> Row:
    """Exports one network of a run, or with random weights."""
    out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be is told before the work
    model, header = load_model(network, run)
    trained = f"{header['recipe']} {header['step']} steps" if header else "no (random)"
    return export_model(network, model, header, trained, out)


def export_model(network: str, model: nn.Module, header: dict[str, Any], trained: str, out: Path) -> Row:
    """Exports, proves and writes one network, its model card and its line of the manifest."""
    contract = CONTRACTS[network]
    if isinstance(model, DiffusionDecoder):
        factors = header.get("inflation")
        model = Sampler(model, inflation=None if factors is None else torch.tensor(factors))
    module = exportable(network, model)
    proto = to_onnx(module, contract)
    error = max(compare(module, runtime(proto), contract, seed) for seed in (1, 2))
    if not error < BOUND:
        raise TrainingError(
            f"{network}: ONNX differs from torch by {error:.2e} of its scale (bound {BOUND}); not written"
        )
    proto = half_stored(proto)
    backends = (runtime(proto), openvino_runtime(proto))
    error_fp16 = max(compare(module, run_it, contract, seed) for run_it in backends for seed in (1, 2))
    if not error_fp16 < BOUND_FP16:
        raise TrainingError(f"{network}: half-precision weights change it by {error_fp16:.2e} (bound {BOUND_FP16})")
    data = proto.SerializeToString()
    if not store.has(network, out) or (out / f"{network}.onnx").read_bytes() != data:
        _drop_variant(out, network)
    write(out / f"{network}.onnx", data)
    row = Row(network, len(data), error, error_fp16, trained)
    version = write_entry(out, network, network, data, trained)
    write(out / f"{network}.md", model_card(contract, header, row.size, error, error_fp16, version).encode())
    return row


def to_onnx(module: nn.Module, contract: Contract) -> onnx.ModelProto:
    """The graph of a contract's module, opset 20, free batch and hypotheses."""
    inputs = example_inputs(contract, {"B": 2, "H": 5})
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter warns of its own internals.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            kwargs=inputs,
            dynamo=True,
            opset_version=OPSET,
            input_names=[tensor.name for tensor in contract.inputs],
            output_names=[tensor.name for tensor in contract.outputs],
            dynamic_shapes=dynamic_shapes(contract),
            verbose=False,
        )
    if program is None:
        raise TrainingError(f"{contract.network}: torch gave no ONNX program")
    proto = program.model_proto
    for node in proto.graph.node:
        # Stack traces of this machine have no place in a shipped file.
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]
    del proto.graph.metadata_props[:]
    return proto


def half_stored(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose big single-precision weights are stored as half precision, each with a cast back behind
    it."""
    out = onnx.ModelProto()
    out.CopyFrom(proto)
    casts = []
    for tensor in out.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < BIG:
            continue
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max() > 6e4:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}__half"))
        casts.append(helper.make_node("Cast", [f"{name}__half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *out.graph.node]
    del out.graph.node[:]
    out.graph.node.extend(nodes)
    onnx.checker.check_model(out)
    return out


def runtime(proto: onnx.ModelProto) -> Any:
    """A function from named arrays to the list of outputs, by ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)


def openvino_runtime(proto: onnx.ModelProto) -> Any:
    """The same by OpenVINO in single precision."""
    core = process_core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(core.read_model(proto.SerializeToString()), "CPU", settings)

    def run_it(inputs: dict[str, Array]) -> list[Array]:
        outputs = compiled(inputs)
        return [np.asarray(outputs[port]) for port in compiled.outputs]

    return run_it


@torch.no_grad()
def compare(module: nn.Module, run_it: Any, contract: Contract, seed: int) -> float:
    """Largest difference between torch and `run_it` over all outputs, as a share of each output's largest
    value."""
    inputs = example_inputs(contract, {"B": 1 + seed % 3, "H": 2 + seed % 3}, seed)
    expected = module(**inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    got = run_it({name: value.numpy() for name, value in inputs.items()})
    worst = 0.0
    for want, have in zip(expected, got, strict=True):
        scale = max(float(want.abs().max()), 1e-6)
        worst = max(worst, float(np.abs(want.numpy() - have).max()) / scale)
    return worst


def write(path: Path, data: bytes) -> None:
    """Beside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(data)
    temporary.replace(path)


def write_entry(out: Path, name: str, network: str, data: bytes, trained: str) -> int:
    """Writes the manifest's line of the file `name` of a network and returns its version, which rises whenever its
    bytes change."""
    lines = entries_of(out)
    sha256 = hashlib.sha256(data).hexdigest()
    before = lines.get(name, {})
    version = int(before.get("version", bool(before))) + (before.get("sha256") != sha256)
    lines[name] = {
        "version": version,
        "sha256": sha256,
        "bytes": len(data),
        "contract": network,
        "created_from": trained,
    }
    _write_manifest(out, lines)
    return version


def _write_manifest(out: Path, lines: dict[str, dict[str, Any]]) -> None:
    write(out / MANIFEST, (json.dumps(dict(sorted(lines.items())), indent=2) + "\n").encode())


def _drop_variant(out: Path, network: str) -> None:
    """The int8 variant was made of the network that has just been replaced."""
    name = store.whole_numbers(network)
    lines = entries_of(out)
    if lines.pop(name, None) is not None:
        _write_manifest(out, lines)
    (out / f"{name}.onnx").unlink(missing_ok=True)


def entries_of(out: Path) -> dict[str, dict[str, Any]]:
    """What the folder's manifest holds, nothing where there is none."""
    if not (out / MANIFEST).exists():
        return {}
    try:
        manifest(out)
        return dict(json.loads((out / MANIFEST).read_text()))
    except EngineError as error:
        raise TrainingError(str(error)) from None
