"""Engines for NVIDIA GPUs, built: which TensorRT there is, what it builds for, and the building itself.

`tensorrt` builds for the GPU that is there. `tensorrt_rtx` (TensorRT for RTX) has the same interface, builds without a
GPU too and compiles the last step on the machine that runs the engine, but knows fewer GPUs: no Hopper among them.
"""

import contextlib
import importlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

from engines.contracts import Contract
from engines.errors import BackendError
from engines.nvidia import cuda, variants

NO_GPU: Final = "none"
"""In the place of a GPU's facts: built where there was none."""
LIBRARIES: Final = ("tensorrt", "tensorrt_rtx")
BATCHES: Final = (1, 2, 4, 8, 16, 32)
_log: Final = logging.getLogger(__name__)


def why_missing() -> str | None:
    """Why no TensorRT can be used here; None when one can be imported."""
    reasons = []
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except (ImportError, OSError) as error:
            reasons.append(cuda.one_line(error))
        else:
            return None
    return f"TensorRT cannot be imported ({'; '.join(reasons)}); {cuda.EXTRA}"


def library(capability: str = NO_GPU) -> Any:
    """The TensorRT for a GPU of that compute capability: `tensorrt` first with a GPU, `tensorrt_rtx` without one.

    Raises BackendError when none can be imported, or none knows the GPU.
    """
    missing = why_missing()
    if missing is not None:
        raise BackendError(missing)
    for name in LIBRARIES if capability != NO_GPU else reversed(LIBRARIES):
        with contextlib.suppress(ImportError, OSError):
            found = importlib.import_module(name)
            if capability == NO_GPU or capability in (targets(found) or (capability,)):
                return found
    raise BackendError(
        f"TensorRT for RTX does not know GPUs of compute capability {capability}; pip install tensorrt beside it"
    )


def targets(trt: Any) -> tuple[str, ...]:
    """Compute capabilities that a library which lists them can build for; empty when it lists none."""
    members = getattr(getattr(trt, "ComputeCapability", None), "__members__", {})
    numbers = [name.removeprefix("SM") for name in members if name.startswith("SM")]
    return tuple(f"{number[:-1]}.{number[-1]}" for number in numbers)


def facts(device: int) -> dict[str, str]:
    """What an engine depends on: library with version, GPU, compute capability and driver ("none" without a GPU).

    Raises BackendError when there is no TensorRT, or no GPU of that number.
    """
    found = cuda.gpu(device) if cuda.why_missing() is None else cuda.Gpu(NO_GPU, NO_GPU, NO_GPU)
    trt = library(found.capability)
    return {
        "library": f"{trt.__name__} {trt.__version__}",
        "gpu": found.name,
        "compute_capability": found.capability,
        "driver": found.driver,
    }


def build(
    model: bytes,
    contract: Contract,
    batches: tuple[int, ...] = BATCHES,
    hypotheses: int = 5,
    say: Callable[[str], None] = _log.info,
    device: int = 0,
) -> bytes:
    """The engine of an ONNX network: a profile for each batch size, every other free axis at one size.

    `say` is told each phase; what it raises ends the building and is raised here. Without a GPU the engine is for all
    GPUs that the library builds for by default. Raises BackendError naming the node that TensorRT cannot take.
    """
    profiles = _sizes(contract, batches, hypotheses)
    known = facts(device)
    trt = library(known["compute_capability"])
    with contextlib.ExitStack() as held:
        if known["gpu"] != NO_GPU:
            context = cuda.Context(device)
            held.callback(context.release)
            held.enter_context(context.current())
        engine = _built(trt, variants.picture_cast_first(model), contract, profiles, say)
    if isinstance(engine, BaseException):
        raise engine
    return engine


def _sizes(contract: Contract, batches: Sequence[int], hypotheses: int) -> list[dict[str, tuple[int, ...]]]:
    """Per profile the shapes of the inputs."""
    if not batches or min(batches) < 1 or hypotheses < 1:
        raise BackendError(f"{contract.network}: batches {batches} and hypotheses {hypotheses} must be 1 or more")
    bound = [{"B": batch, "H": hypotheses} for batch in sorted(set(batches))]
    return [
        {
            tensor.name: tuple(axes[dim] if isinstance(dim, str) else dim for dim in tensor.shape)
            for tensor in contract.inputs
        }
        for axes in bound
    ]


def _built(
    trt: Any, model: bytes, contract: Contract, profiles: list[dict[str, tuple[int, ...]]], say: Callable[[str], None]
) -> bytes | BaseException:
    """The engine, or what is to be raised: an error raised here would keep the library's objects alive, and later let
    go of them in an order that it does not survive."""
    log = logger(trt)
    builder = made(trt, "Builder")
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    config = _config(trt, builder)
    progress = _progress(trt, contract.network, say)
    config.progress_monitor = progress
    built = None
    if parser.parse(model):
        _add_profiles(builder, config, profiles)
        built = builder.build_serialized_network(network, config)
        said = f"{trt.__version__} cannot build it ({log.said() or 'no reason given'})"
    else:
        said = _not_taken(parser)
    raised: BaseException | None
    raised, progress.raised = progress.raised, None
    engine = None if built is None else bytes(built)
    del built, parser, network, config, builder
    if raised is not None:
        return raised
    return BackendError(f"{contract.network}: {trt.__name__} {said}") if engine is None else engine


def _add_profiles(builder: Any, config: Any, profiles: list[dict[str, tuple[int, ...]]]) -> None:
    for shapes in profiles:
        profile = builder.create_optimization_profile()
        for name, shape in shapes.items():
            profile.set_shape(name, shape, shape, shape)
        config.add_optimization_profile(profile)


def _config(trt: Any, builder: Any) -> Any:
    config = builder.create_builder_config()
    # What is in single precision in the graph is there because it has to be.
    config.clear_flag(trt.BuilderFlag.TF32)
    if hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):
        # Else the library may allocate while it runs, which no CUDA graph can record.
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    if targets(trt) and cuda.why_missing() is None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.CURRENT, 0)
    return config


def _not_taken(parser: Any) -> str:
    errors = [parser.get_error(place) for place in range(parser.num_errors)]
    named = next((error for error in errors if error.node_operator()), None)
    if named is None:
        return f"cannot read it ({cuda.one_line(errors[0].desc()) if errors else 'no reason given'}); export it again"
    return f"cannot take node {named.node_name()} ({named.node_operator()}): {cuda.one_line(named.desc())}"


def _progress(trt: Any, network: str, say: Callable[[str], None]) -> Any:
    """TensorRT's progress, told phase by phase, long ones every tenth."""

    class Progress(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.raised: BaseException | None = None
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._steps[phase] = steps
            self._tell(f"{network}: {phase.lower()}")

        def phase_finish(self, phase: str) -> None:
            self._steps.pop(phase, None)

        def step_complete(self, phase: str, step: int) -> bool:
            steps = self._steps.get(phase, 0)
            if steps > 10 and 10 * (step + 1) // steps > 10 * step // steps:
                self._tell(f"{network}: {phase.lower()}, {100 * (step + 1) // steps} %")
            return self.raised is None

        def _tell(self, line: str) -> None:
            # An exception must not run through the library; it ends the building at the next step instead.
            if self.raised is None:
                try:
                    say(line)
                except BaseException as error:
                    self.raised = error

    return Progress()


def made(trt: Any, kind: str) -> Any:
    """The library's Builder or Runtime, with the errors before it forgotten. Raises BackendError."""
    log = logger(trt)
    log.forget()
    try:
        return getattr(trt, kind)(log)
    except (TypeError, RuntimeError) as error:
        said = log.said() or cuda.one_line(error)
        raise BackendError(
            f"{trt.__name__} {trt.__version__} does not start ({said}); update the NVIDIA driver"
        ) from error


@cache
def logger(trt: Any) -> Any:
    """The library's one logger; it remembers the last errors, which is how TensorRT says what went wrong."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._errors: deque[str] = deque(maxlen=8)

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                self._errors.append(message)
            if severity <= trt.ILogger.Severity.WARNING:
                _log.debug("%s: %s", trt.__name__, message)

        def forget(self) -> None:
            self._errors.clear()

        def said(self) -> str:
            return cuda.one_line(self._errors[0]) if self._errors else ""

    return Logger()
