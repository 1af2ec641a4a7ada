"""Quantised graphs of the shipped networks, calibrated with a few frames of the sample dive."""

import tempfile
import warnings
from functools import cache
from pathlib import Path

import onnx
import pytest

from engines import store
from engines.nvidia import variants
from tests import dive_inputs

MAKERS = ("nncf", "onnxruntime")
FRAMES = 6


@cache
def quantised(contract, maker):
    """The network as NNCF (signed and unsigned; the shipped file if there is one) or ONNX Runtime (zero points and
    quantised biases) quantises it."""
    if maker == "nncf" and store.has(store.whole_numbers(contract.network)):
        return store.find(store.whole_numbers(contract.network)).read_bytes()
    float_model = onnx.load_model_from_string(variants.unpacked(store.find(contract.network).read_bytes()))
    frames = dive_inputs.example(contract, 32)
    examples = [{name: values[at : at + 1] for name, values in frames.items()} for at in range(0, 32, 32 // FRAMES)]
    return (_by_nncf if maker == "nncf" else _by_onnxruntime)(float_model, examples)


def _by_nncf(model, examples):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nncf = pytest.importorskip("nncf", reason="NNCF is not installed; its quantised graphs are not tested here")
        made = nncf.quantize(
            model,
            nncf.Dataset(examples),
            preset=nncf.QuantizationPreset.PERFORMANCE,
            subset_size=len(examples),
            # It cannot quantise a product with a number that is a constant.
            ignored_scope=nncf.IgnoredScope(types=["Mul"]),
        )
    return made.SerializeToString()


def _by_onnxruntime(model, examples):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.rest = iter(examples)

        def get_next(self):
            return next(self.rest, None)

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, target = Path(folder) / "float.onnx", Path(folder) / "quantised.onnx"
        onnx.save(model, source)
        quantize_static(
            source,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add"],
        )
        return target.read_bytes()
