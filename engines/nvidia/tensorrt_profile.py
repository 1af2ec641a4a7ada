"""One batch size of a TensorRT engine, opened: execution context, scratch memory, and two slots.

A slot holds one call's inputs and outputs, on the host and on the GPU, and the graph of its work. Inputs arrive on a
stream of their own, so those of one call are copied while the GPU computes the other.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.contracts import Tensor
from engines.errors import BackendError
from engines.nvidia import cuda, tensorrt_build
from engines.nvidia.cuda_driver import Graph

Array = NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]]
SLOTS: Final = 2


@dataclass(slots=True)
class Slot:
    """One call's buffers, by tensor: host arrays, and addresses on the GPU. `rows` are under way, 0 when it is free."""

    host: dict[str, Array]
    device: dict[str, int]
    arrived: Any
    done: Any
    graph: Graph | None = None
    rows: int = 0


@dataclass(slots=True)
class Loaded:
    """What all profiles of an engine share; `label` is for people.

    Nobody else keeps engine, runtime or streams, not even in a local variable, which the traceback of an error would
    keep alive: they have to go while the context is there.
    """

    trt: Any
    context: cuda.Context
    label: str
    runtime: Any = None
    engine: Any = None
    compute: Any = None
    inward: Any = None
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()

    def free(self) -> None:
        """Let go of it all. The context must be current."""
        self.engine = None
        self.runtime = self.compute = self.inward = None

    def refused(self, what: str) -> BackendError:
        """The error for something that TensorRT declined to do, with what it said."""
        said = tensorrt_build.logger(self.trt).said() or "no reason given"
        return BackendError(f"{self.label} {what} ({said}); build the engine again, or free memory of the GPU")


class Profile:
    """A profile of an engine with its buffers. The GPU's context must be current in every call."""

    def __init__(self, loaded: Loaded, place: int, shapes: Shapes, graphs: bool) -> None:
        """Profile `place`, whose inputs have these shapes. Raises BackendError, with everything freed."""
        self.plain = "" if graphs else "as was asked"
        """Why its work is no CUDA graph; empty when it is one."""
        self.slots: list[Slot] = []
        self._loaded, self._memory = loaded, cuda.Memory(loaded.context)
        self._execution: Any = None
        try:
            self._open(place, shapes)
        except BaseException:
            self.free()
            raise

    def start(self, slot: Slot, inputs: Mapping[str, Array], rows: int) -> None:
        """Begin a call in a free slot; `slot.done` happens when its host arrays hold the outputs."""
        loaded = self._loaded
        driver = loaded.context.driver
        for tensor in loaded.inputs:
            part = slot.host[tensor.name][:rows]
            np.copyto(part, inputs[tensor.name], casting="no")
            driver.memcpy_htod_async(slot.device[tensor.name], part, loaded.inward)
        slot.arrived.record(loaded.inward)
        loaded.compute.wait_for_event(slot.arrived)
        if slot.graph is None:
            self._enqueue(slot)
        else:
            slot.graph.launch(loaded.compute.handle)
        for tensor in loaded.outputs:
            driver.memcpy_dtoh_async(slot.host[tensor.name][:rows], slot.device[tensor.name], loaded.compute)
        slot.done.record(loaded.compute)
        slot.rows = rows

    def free(self) -> None:
        """Give everything back, the graphs first, when the GPU no longer works with it."""
        with contextlib.suppress(self._loaded.context.driver.Error):
            self._loaded.context.driver.Context.synchronize()
        for slot in self.slots:
            if slot.graph is not None:
                slot.graph.free()
        self.slots.clear()
        self._execution = None
        self._memory.free()

    def _open(self, place: int, shapes: Shapes) -> None:
        loaded = self._loaded
        self._execution = loaded.engine.create_execution_context(self._strategy())
        if self._execution is None:
            raise loaded.refused("cannot open the engine")
        ready = self._execution.set_optimization_profile_async(place, loaded.compute.handle)
        loaded.compute.synchronize()
        if not (ready and all(self._execution.set_input_shape(name, shape) for name, shape in shapes.items())):
            raise loaded.refused(f"cannot use profile {place}")
        size = self._execution.update_device_memory_size_for_shapes()
        self._execution.set_device_memory(self._memory.device(size), size)
        self.slots.extend(self._slot() for _ in range(SLOTS))
        # Copies on our streams do not wait for the zeros, which are written on the default one.
        loaded.context.driver.Context.synchronize()
        for slot in self.slots:
            # Before it can be recorded, the work has to have run once for these shapes and addresses.
            self._enqueue(slot)
            loaded.compute.synchronize()
            slot.graph = self._recorded(slot)

    def _strategy(self) -> Any:
        """How a context is made: its scratch memory comes from us, its kernels are ready before the first call."""
        trt = self._loaded.trt
        ours = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if not hasattr(trt, "DynamicShapesKernelSpecializationStrategy"):
            return ours
        # TensorRT for RTX compiles them on this machine, and would do so beside the first calls.
        config = self._loaded.engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(ours)
        config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
        return config

    def _slot(self) -> Slot:
        host: dict[str, Array] = {}
        device: dict[str, int] = {}
        for tensor in (*self._loaded.inputs, *self._loaded.outputs):
            shape = tuple(self._execution.get_tensor_shape(tensor.name))
            host[tensor.name] = self._memory.host(shape, tensor.dtype)
            device[tensor.name] = self._memory.device(host[tensor.name].nbytes)
        context = self._loaded.context
        return Slot(host, device, cuda.event(context), cuda.event(context))

    def _recorded(self, slot: Slot) -> Graph | None:
        """The slot's work as a graph; None, with the reason in `plain`, where it cannot be recorded."""
        stream = self._loaded.compute.handle
        if self.plain:
            return None
        # Only TensorRT for RTX can be asked.
        if hasattr(self._execution, "is_stream_capturable") and not self._execution.is_stream_capturable(stream):
            self.plain = "the library cannot record this network"
            return None
        try:
            return Graph(stream, lambda: self._enqueue(slot))
        except BackendError as error:
            self.plain = str(error)
            return None

    def _enqueue(self, slot: Slot) -> None:
        for name, address in slot.device.items():
            self._execution.set_tensor_address(name, address)
        if not self._execution.execute_async_v3(self._loaded.compute.handle):
            raise self._loaded.refused("cannot run the engine")
