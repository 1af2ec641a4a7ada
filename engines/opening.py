"""One attempt to open a network in one way: from the cache, or built, checked and kept there."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from numpy.typing import NDArray

from engines import onnx_backend, openvino_backend, store, trust
from engines.cache import Built, Cache, Key, default_folder
from engines.checks import bound_shapes
from engines.choice import Candidate
from engines.contracts import Contract
from engines.errors import BackendError
from engines.nvidia import tensorrt_backend, variants
from engines.openvino_backend import OpenVinoRunner, Share
from engines.settings import EngineSettings
from engines.trust import Verdict

Array = NDArray[Any]
GPU_BATCHES: Final = (1, 2, 4, 8, 16, 32)
"""Sizes of batch that an engine for a GPU is tuned for."""
_NOT_CHECKED: Final = Verdict(())


class Runner(Protocol):
    """What a back-end gives: a network of the contract, ready for its inputs."""

    @property
    def device(self) -> str:
        """Back-end, precision and threads, for people."""

    @property
    def batch(self) -> int:
        """How many subjects are worth one call."""

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, none of them overwritten by a later call."""

    def close(self) -> None:
        """Give back what is held of a device."""


class Refused(Exception):
    """This way leads nowhere, another may: the back-end cannot, or the engine is too far from single precision."""


@dataclass(frozen=True, slots=True)
class Way:
    """What a back-end makes of a file: the facts an engine depends on, how it is built, and how it is loaded."""

    facts: Mapping[str, str]
    build: Callable[[], bytes]
    load: Callable[[bytes], Runner]


class Opening:
    """A network, a way to run it, and the sizes of the free axes to expect."""

    def __init__(
        self,
        contract: Contract,
        candidate: Candidate,
        settings: EngineSettings,
        axes: Mapping[str, int],
        say: Callable[[str], None],
    ) -> None:
        self._contract, self._candidate, self._settings, self._axes, self._say = (
            contract,
            candidate,
            settings,
            axes,
            say,
        )
        self._cache = Cache(Path(settings.cache).expanduser() if settings.cache else default_folder())

    def runner(self) -> Runner:
        """The network, ready. Raises Refused, WeightsError or ContractError."""
        try:
            way = self._way()
            if self._is_reference:
                return way.load(b"")
            built = self._cache.engine(self._key(way), lambda: self._made(way))
            verdict = Verdict.from_json(built.note)
            if verdict.ok:
                return way.load(built.engine)
        except BackendError as error:
            raise Refused(str(error)) from error
        raise Refused(verdict.why_not)

    def checked(self) -> Verdict:
        """Built anew and compared with single precision, past the cache. Raises as `runner` does."""
        return self._judged(self.unchecked())

    def unchecked(self) -> Runner:
        """Built anew, past the cache and unproven: to be measured, not relied upon. Raises as `runner` does."""
        try:
            way = self._way()
            return way.load(way.build())
        except BackendError as error:
            raise Refused(str(error)) from error

    @property
    def _is_reference(self) -> bool:
        return self._candidate.backend == "onnxruntime" and self._candidate.precision == "fp32"

    def _way(self) -> Way:
        ways = {"openvino": self._openvino, "onnxruntime": self._onnxruntime, "tensorrt": self._tensorrt}
        return ways[self._candidate.backend](self._path())

    def _path(self) -> Path:
        network = self._contract.network
        if self._candidate.precision == "int8":
            network = store.whole_numbers(network)
        return store.usable(network, self._settings.weights)

    def _key(self, way: Way) -> Key:
        """What the engine depends on."""
        chosen = self._candidate
        return Key(
            self._contract.network,
            {
                "file": hashlib.sha256(self._path().read_bytes()).hexdigest(),
                "contract": hashlib.sha256(repr(self._contract).encode()).hexdigest()[:16],
                "examples": store.digest_of_examples(self._settings.weights)[:16],
                "backend": chosen.backend,
                "device": chosen.device,
                "precision": chosen.precision,
                "checked": "yes" if self._settings.checked else "no",
                "axes": " ".join(f"{name}={size}" for name, size in sorted(self._axes.items())),
                **way.facts,
            },
        )

    def _onnxruntime(self, path: Path) -> Way:
        chosen = self._candidate

        def load(_: bytes) -> Runner:
            return onnx_backend.loaded(self._contract, path, chosen.precision, self._settings.threads)

        return Way(onnx_backend.facts(), lambda: b"", load)

    def _openvino(self, path: Path) -> Way:
        share = Share(self._candidate.precision, self._settings.threads, self._settings.calls)
        shapes = bound_shapes(self._contract, self._axes)

        def load(engine: bytes) -> Runner:
            runner = OpenVinoRunner(self._contract, path, share)
            runner.load(engine, shapes)
            return runner

        def build() -> bytes:
            return OpenVinoRunner(self._contract, path, share).built(shapes)

        return Way(openvino_backend.facts(self._contract.network, share), build, load)

    def _tensorrt(self, path: Path) -> Way:
        chosen = self._candidate
        device = int(chosen.device.partition(":")[2])

        def build() -> bytes:
            model = path.read_bytes()
            made = _of_precision(model, chosen.precision)
            return tensorrt_backend.build(made, self._contract, GPU_BATCHES, self._axes.get("H", 1), self._say)

        def load(engine: bytes) -> Runner:
            return tensorrt_backend.loaded(engine, self._contract, device, chosen.precision)

        return Way(tensorrt_backend.facts(device), build, load)

    def _made(self, way: Way) -> Built:
        """Built and checked; of an engine that may not be used only the verdict is kept."""
        chosen, start = self._candidate, time.monotonic()
        name = f"{self._contract.network} in {chosen.precision} for {chosen.device}"
        self._say(f"building {name}")
        engine = way.build()
        self._say(f"checking {name}, built in {time.monotonic() - start:.1f} s")
        verdict = self._judged(way.load(engine))
        self._say(f"{name} ready in {time.monotonic() - start:.1f} s" if verdict.ok else f"{name}: {verdict.why_not}")
        return Built(verdict.to_json(), engine if verdict.ok else b"")

    def _judged(self, runner: Runner) -> Verdict:
        chosen = self._candidate
        proven = chosen.precision == "fp32" and chosen.device == "cpu"  # on both back-ends, when it was exported
        if proven or not self._settings.checked:
            return _NOT_CHECKED
        try:
            return trust.judge(self._contract, runner.infer, chosen.precision, self._settings.weights)
        finally:
            runner.close()


def _of_precision(model: bytes, precision: str) -> bytes:
    """The graph in which TensorRT finds the precision: what is not in whole numbers is in half precision."""
    if precision == "int8":
        return variants.fp16(variants.symmetric(model))
    return variants.fp16(model) if precision == "fp16" else model
