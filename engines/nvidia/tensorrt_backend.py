"""TensorRT on NVIDIA GPUs: `why_missing`, `facts` (what an engine depends on), `build` and `loaded`."""

from engines.contracts import Contract
from engines.errors import BackendError
from engines.nvidia import cuda, tensorrt_build
from engines.nvidia.tensorrt_build import build, facts
from engines.nvidia.tensorrt_runner import TensorRtRunner

__all__ = ["TensorRtRunner", "build", "facts", "loaded", "why_missing"]


def why_missing() -> str | None:
    """Why TensorRT cannot run here (library, PyCUDA, driver, GPU), in one line with what to do; None when it can."""
    missing = tensorrt_build.why_missing() or cuda.why_missing()
    if missing is not None:
        return missing
    try:
        facts(0)
    except BackendError as error:
        return str(error)
    return None


def loaded(
    engine: bytes, contract: Contract, device: int = 0, precision: str = "fp32", graphs: bool = True
) -> TensorRtRunner:
    """An engine that `build` made, on GPU `device`; `precision` is what its graph was made in, for people.

    Without `graphs` every operator is enqueued anew at each call, to compare with. Raises BackendError when the engine
    cannot be loaded, when there is no GPU, or not enough memory on it. Damaged bytes may crash TensorRT; the cache lets
    none through.
    """
    missing = tensorrt_build.why_missing() or cuda.why_missing()
    if missing is not None:
        raise BackendError(missing)
    known = facts(device)
    trt = tensorrt_build.library(known["compute_capability"])
    title = "TensorRT" if trt.__name__ == "tensorrt" else "TensorRT for RTX"
    label = f"{title} {trt.__version__}, {precision}, {known['gpu']}"
    return TensorRtRunner(trt, engine, contract.network, cuda.Context(device), label, graphs)
