"""A TensorRT engine that runs: batches to profiles, two calls under way, the GPU's memory freed on every way out."""

import contextlib
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.contracts import Tensor
from engines.errors import BackendError
from engines.nvidia import cuda, tensorrt_build
from engines.nvidia.tensorrt_profile import SLOTS, Loaded, Profile, Shapes, Slot

Array = NDArray[Any]


@dataclass(slots=True)
class Held:
    """What a runner has on the GPU. It does not know the runner, so that it can free everything after it."""

    loaded: Loaded
    profiles: dict[int, Profile] = field(default_factory=dict)
    under_way: dict[int, Slot] = field(default_factory=dict)

    def free(self) -> None:
        """Give everything back, however far the construction came."""
        context = self.loaded.context
        try:
            with context.current():
                self.under_way.clear()
                with contextlib.ExitStack() as each:
                    each.callback(self.loaded.free)
                    while self.profiles:
                        each.callback(self.profiles.popitem()[1].free)
        finally:
            context.release()


class TensorRtRunner:
    """An engine on the GPU, for one thread at a time. `close` frees the GPU's memory, and so does letting go of it."""

    def __init__(self, trt: Any, plan: bytes, network: str, context: cuda.Context, label: str, graphs: bool) -> None:
        """Takes over the context, also when it fails. Raises BackendError."""
        self._network, self._label, self._context, self._graphs = network, label, context, graphs
        self._tickets = count()
        self._plain = ""
        self._held = Held(Loaded(trt, context, f"{network}: {label}"))
        self._freed = weakref.finalize(self, self._held.free)
        try:
            with context.current():
                self._load(self._held.loaded, plan)
        except BaseException:
            self.close()
            raise

    def _load(self, loaded: Loaded, plan: bytes) -> None:
        loaded.runtime = tensorrt_build.made(loaded.trt, "Runtime")
        loaded.engine = loaded.runtime.deserialize_cuda_engine(plan)
        if loaded.engine is None:
            raise loaded.refused("cannot load the engine")
        loaded.compute, loaded.inward = cuda.stream(self._context), cuda.stream(self._context)
        places, profiles = range(loaded.engine.num_io_tensors), range(loaded.engine.num_optimization_profiles)
        tensors = [_tensor(loaded, place) for place in places]
        self.inputs = loaded.inputs = tuple(tensor for tensor, is_input in tensors if is_input)
        self.outputs = loaded.outputs = tuple(tensor for tensor, is_input in tensors if not is_input)
        self._shapes: list[dict[str, tuple[int, ...]]] = [
            {
                tensor.name: tuple(loaded.engine.get_tensor_profile_shape(tensor.name, place)[2])
                for tensor in self.inputs
            }
            for place in profiles
        ]
        self._batches = [next(iter(shapes.values()))[0] for shapes in self._shapes]
        self.batch = max(self._batches)

    @property
    def device(self) -> str:
        """Library, precision, GPU, and whether CUDA graphs are used; if not, why not."""
        return f"{self._label}, {f'plain enqueue: {self._plain}' if self._plain else 'CUDA graphs'}"

    def prepare(self, shapes: Shapes | None) -> None:
        """Open the profile for these shapes, None for the smallest. Raises BackendError when the engine has none."""
        rows = 1
        if shapes:
            self._check(shapes)
            rows = next(iter(shapes.values()))[0]
        self._profile(min(rows, max(self._batches)))

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, the caller's own arrays.

        A batch goes to the smallest profile that holds it; one beyond the largest goes in parts.
        """
        self._check({name: array.shape for name, array in inputs.items()})
        under_way: deque[int] = deque()
        parts = []
        try:
            for part in self._parts(inputs):
                if len(under_way) == SLOTS:
                    parts.append(self.collect(under_way.popleft()))
                under_way.append(self.submit(part))
        finally:
            parts.extend(self.collect(ticket) for ticket in under_way)
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def submit(self, inputs: Mapping[str, Array]) -> int:
        """Start a call of at most the largest batch; returns its ticket. Two of a profile may be under way."""
        rows = len(next(iter(inputs.values())))
        profile = self._profile(rows)
        slot = next((slot for slot in profile.slots if not slot.rows), None)
        if slot is None:
            raise BackendError(f"{self._network}: {SLOTS} calls are under way; collect one first")
        with self._context.current():
            profile.start(slot, inputs, rows)
        ticket = next(self._tickets)
        self._held.under_way[ticket] = slot
        return ticket

    def collect(self, ticket: int) -> dict[str, Array]:
        """Outputs of a started call, the caller's own arrays; waits for them."""
        slot = self._held.under_way.pop(ticket)
        with self._context.current():
            slot.done.synchronize()
        rows, slot.rows = slot.rows, 0
        return {tensor.name: slot.host[tensor.name][:rows].copy() for tensor in self.outputs}

    def close(self) -> None:
        """Free the GPU's memory; a second call does nothing."""
        self._freed()

    def _check(self, shapes: Shapes) -> None:
        """The axes beyond the batch have the one size that the engine was built for."""
        for name, built in self._shapes[0].items():
            if shapes[name][1:] != built[1:]:
                wanted = ", ".join(("B", *map(str, built[1:])))
                raise BackendError(
                    f"{self._network}: the engine is built for {name} ({wanted}), got {shapes[name]}; build it again"
                )

    def _parts(self, inputs: Mapping[str, Array]) -> Iterator[Mapping[str, Array]]:
        rows, most = len(next(iter(inputs.values()))), max(self._batches)
        for start in range(0, rows, most):
            yield {name: array[start : start + most] for name, array in inputs.items()}

    def _profile(self, rows: int) -> Profile:
        """The smallest profile that holds so many rows, opened."""
        if not self._freed.alive:
            raise BackendError(f"{self._network}: the engine is closed; open it again")
        batch = min((batch for batch in self._batches if batch >= rows), default=None)
        if batch is None:
            raise BackendError(f"{self._network}: the engine takes {max(self._batches)} at once, not {rows}; use infer")
        if batch not in self._held.profiles:
            place = self._batches.index(batch)
            with self._context.current():
                opened = Profile(self._held.loaded, place, self._shapes[place], self._graphs)
            self._held.profiles[batch] = opened
            self._plain = self._plain or opened.plain
        return self._held.profiles[batch]


def _tensor(loaded: Loaded, place: int) -> tuple[Tensor, bool]:
    """A tensor of the engine, and whether it is an input."""
    name = loaded.engine.get_tensor_name(place)
    sizes = loaded.engine.get_tensor_shape(name)
    shape = tuple(size if size >= 0 else f"axis_{at}" for at, size in enumerate(sizes))
    dtype = np.dtype(loaded.trt.nptype(loaded.engine.get_tensor_dtype(name))).name
    return Tensor(name, shape, dtype, ""), loaded.engine.get_tensor_mode(name) == loaded.trt.TensorIOMode.INPUT
