"""What an NVIDIA card gives in one large matrix product, measured through TensorRT and PyCUDA alone."""

import importlib
from statistics import median
from typing import Any

import numpy as np

from engines.errors import BackendError

SIDE = 8192
TRIES = 20
_TENSORRT = ("tensorrt", "tensorrt_rtx")


def the_gpu() -> str:
    """Name of the first card. Raises BackendError when there is none that can be used."""
    driver = _driver()
    try:
        driver.init()
        if not driver.Device.count():
            raise BackendError("no NVIDIA GPU is here; run this on a machine that has one")
        return str(driver.Device(0).name())
    except driver.Error as error:
        raise BackendError(f"no NVIDIA GPU can be used ({error}); check it with nvidia-smi") from error


def peak_tflops(side: int = SIDE) -> float:
    """Median over some products of two square half-precision matrices, in TFLOP/s, without copies."""
    driver, trt = _driver(), _tensorrt()
    driver.init()
    context = driver.Device(0).retain_primary_context()
    context.push()
    try:
        return 2 * side**3 / _product_s(driver, trt, side) / 1e12
    finally:
        context.pop()


def _product_s(driver: Any, trt: Any, side: int) -> float:
    """Seconds of one product."""
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    # References to builder, network and engine have to live as long as what was made from them.
    network = builder.create_network(_strongly_typed(trt))
    one, other = (network.add_input(name, trt.float16, (side, side)) for name in ("one", "other"))
    none = trt.MatrixOperation.NONE
    product = network.add_matrix_multiply(one, none, other, none).get_output(0)
    product.name = "product"
    network.mark_output(product)
    plan = builder.build_serialized_network(network, builder.create_builder_config())
    if plan is None:
        raise BackendError("TensorRT cannot build a matrix product for this GPU; its version may not know the card")
    runtime = trt.Runtime(log)
    engine = runtime.deserialize_cuda_engine(plan)
    execution = engine.create_execution_context()
    noise = np.random.default_rng(0).standard_normal((side, side), np.float32).astype(np.float16)
    buffers = [driver.mem_alloc(2 * side * side) for _ in range(3)]
    for name, buffer in zip(("one", "other", "product"), buffers, strict=True):
        # Equal numbers would be multiplied faster: less of the card switches.
        driver.memcpy_htod(buffer, noise)
        execution.set_tensor_address(name, int(buffer))
    return _median_s(driver, execution)


def _median_s(driver: Any, execution: Any) -> float:
    """Median seconds of a run, by the card's own clock, after a warm-up."""
    stream = driver.Stream()
    times_ms = []
    for number in range(TRIES + 5):
        begin, end = driver.Event(), driver.Event()
        begin.record(stream)
        if not execution.execute_async_v3(stream.handle):
            raise BackendError("TensorRT could not run a matrix product on this GPU")
        end.record(stream)
        end.synchronize()
        if number >= 5:
            times_ms.append(begin.time_till(end))
    return median(times_ms) / 1e3


def _strongly_typed(trt: Any) -> int:
    """The flag by which tensors keep the types they were given; later versions know nothing else."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _driver() -> Any:
    try:
        return importlib.import_module("pycuda.driver")
    except ImportError as error:
        raise BackendError(f"no NVIDIA GPU can be used here (PyCUDA: {error}); pip install 'posecast[gpu]'") from error


def _tensorrt() -> Any:
    for name in _TENSORRT:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise BackendError("TensorRT cannot be imported; pip install 'posecast[gpu]'")
