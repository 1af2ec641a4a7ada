"""A GPU in software where there is none: what the project uses of PyCUDA, of the driver and of TensorRT's runtime.

Streams are queues that run only when somebody waits, so a missing wait shows as a wrong result. Everything alive is
counted, and any call can be made to fail. The network adds up the mean of each of its inputs, row by row.
"""

import ctypes
import json
import sys
import types
from enum import Enum, IntEnum

import numpy as np
import pytest

from engines.nvidia import cuda, cuda_driver

ENQUEUE_FAILED = "the software GPU was told to fail"


class Software:
    """The GPU: what is alive on it, and which of its calls fails."""

    def __init__(self):
        self.alive = {}
        self.stack = []
        self.primary = 0
        self.calls = 0
        self.fails_at = None
        self.memory = 1 << 24
        self.streams = {}
        self.default = []
        self.driver_stack = []
        self.graphs = {}
        self.launches = self.enqueues = 0
        self.capturable = True

    def refuses(self, log):
        """Calls of TensorRT say what is wrong to its logger and return nothing."""
        try:
            self.called()
        except self.driver.Error:
            log.log(1, ENQUEUE_FAILED)
            return True
        return False

    def called(self):
        """Every call of the driver comes by here."""
        assert self.stack, "no context is current"
        self._count()

    def _count(self):
        self.calls += 1
        if self.calls == self.fails_at:
            raise self.driver.Error("a call failed\n" + ENQUEUE_FAILED)

    def run_default(self):
        """The default stream's work, which no other stream waits for; as late as can be."""
        while self.default:
            self.default.pop(0)()

    def used(self):
        return sum(size for kind, size in self.alive.values() if kind == "device")

    def idle(self):
        """Whether nothing is left of anything."""
        return not self.alive and not self.stack and not self.driver_stack and not self.primary and not self.graphs


def install(monkeypatch, capability=(8, 9), name="Software 1"):
    """The software GPU in the place of PyCUDA, TensorRT and the driver for one test."""
    gpu = Software()
    gpu.driver = _driver(gpu, capability, name)
    monkeypatch.setitem(sys.modules, "pycuda", types.ModuleType("pycuda"))
    monkeypatch.setitem(sys.modules, "pycuda.driver", gpu.driver)
    monkeypatch.setitem(sys.modules, "tensorrt", _tensorrt(gpu))
    monkeypatch.setattr(cuda_driver, "_function", lambda function: getattr(_Calls(gpu), function))
    cuda._driver.cache_clear()
    return gpu


@pytest.fixture
def software_gpu(monkeypatch):
    yield install(monkeypatch)
    cuda._driver.cache_clear()


def plan_of(contract, batches, hypotheses=5, **changes):
    """An engine for it: the names and shapes of a contract."""
    sizes = {"B": -1, "H": -1}
    tensors = {
        kind: {t.name: [[sizes.get(dim, dim) for dim in t.shape], t.dtype] for t in getattr(contract, kind)}
        for kind in ("inputs", "outputs")
    }
    profiles = [
        {t.name: [{"B": batch, "H": hypotheses}.get(dim, dim) for dim in t.shape] for t in contract.inputs}
        for batch in batches
    ]
    return json.dumps({**tensors, "profiles": profiles, **changes}).encode()


def expected(contract, inputs, hypotheses=5):
    total = sum(array.reshape(len(array), -1).astype(np.float64).mean(axis=1) for array in inputs.values())
    made = {}
    for place, tensor in enumerate(contract.outputs):
        shape = [{"B": len(total), "H": hypotheses}.get(dim, dim) for dim in tensor.shape]
        column = (total * (place + 1)).astype(np.float32)
        made[tensor.name] = np.broadcast_to(column.reshape(-1, *[1] * (len(shape) - 1)), shape)
    return made


class _Stream:
    def __init__(self, gpu):
        gpu.called()
        self.gpu, self.queue, self.handle, self.recording = gpu, [], 1000 + len(gpu.streams), None
        gpu.streams[self.handle] = self

    def push(self, work):
        (self.queue if self.recording is None else self.recording).append(work)

    def synchronize(self):
        self.gpu.called()
        self.run()
        self.gpu.run_default()

    def run(self, until=None):
        while self.queue:
            work = self.queue.pop(0)
            work()
            if work is until:
                return

    def wait_for_event(self, event):
        self.gpu.called()
        stream, mark = event.at
        self.push(lambda: stream.run(mark) if mark in stream.queue else None)


class _Event:
    def __init__(self, gpu):
        gpu.called()
        self.gpu, self.at = gpu, None

    def record(self, stream):
        self.gpu.called()

        def mark():
            pass

        self.at = (stream, mark)
        stream.push(mark)

    def synchronize(self):
        self.gpu.called()
        stream, mark = self.at
        if mark in stream.queue:
            stream.run(mark)


class _Allocation:
    def __init__(self, gpu, size):
        gpu.called()
        if gpu.used() + size > gpu.memory:
            raise gpu.driver.MemoryError("cuMemAlloc failed: out of memory")
        self.gpu, self.bytes = gpu, ctypes.create_string_buffer(b"\x7f" * size, size)
        gpu.alive[id(self)] = ("device", size)

    def __int__(self):
        return ctypes.addressof(self.bytes)

    def free(self):
        assert self.gpu.stack
        del self.gpu.alive[id(self)]


class _Pages(bytearray):
    """Page-locked memory, as the base of an array."""

    def free(self):
        assert self.gpu.stack
        del self.gpu.alive[id(self)]


def _driver(gpu, capability, name):
    driver = types.ModuleType("pycuda.driver")

    class Error(Exception):
        pass

    class MemoryError(Error):
        pass

    class Context:
        def push(self):
            gpu.stack.append(self)

        def detach(self):
            gpu.primary -= 1
            # As PyCUDA does: pushed to be let go of, and left there.
            gpu.driver_stack.append(self)

        @staticmethod
        def pop():
            gpu.stack.pop()

        @staticmethod
        def synchronize():
            gpu.called()
            gpu.run_default()
            for stream in gpu.streams.values():
                stream.run()

    class Device:
        def __init__(self, number):
            self.number = number

        @staticmethod
        def count():
            return 1

        def name(self):
            return name

        def compute_capability(self):
            return capability

        def retain_primary_context(self):
            gpu._count()
            gpu.primary += 1
            return Context()

    def pagelocked_empty(shape, dtype):
        gpu.called()
        pages = _Pages(int(np.prod(shape)) * dtype.itemsize)
        pages.gpu = gpu
        gpu.alive[id(pages)] = ("host", len(pages))
        return np.ndarray(shape, dtype, buffer=pages)

    def memset_d8(target, value, size):
        gpu.called()
        gpu.default.append(lambda: ctypes.memset(int(target), value, size))

    def htod(target, source, stream):
        gpu.called()
        assert source.flags.c_contiguous
        stream.push(lambda: ctypes.memmove(int(target), source.ctypes.data, source.nbytes))

    def dtoh(target, source, stream):
        gpu.called()
        assert target.flags.c_contiguous
        stream.push(lambda: ctypes.memmove(target.ctypes.data, int(source), target.nbytes))

    driver.Error, driver.MemoryError, driver.Context, driver.Device = Error, MemoryError, Context, Device
    driver.init, driver.get_driver_version = lambda: None, lambda: 13000
    driver.event_flags = types.SimpleNamespace(DISABLE_TIMING=2, BLOCKING_SYNC=1)
    driver.Stream, driver.Event = (lambda flags: _Stream(gpu)), (lambda flags: _Event(gpu))
    driver.mem_alloc, driver.mem_get_info = (lambda size: _Allocation(gpu, size)), lambda: (gpu.memory - gpu.used(), 0)
    driver.pagelocked_empty, driver.memset_d8 = pagelocked_empty, memset_d8
    driver.memcpy_htod_async, driver.memcpy_dtoh_async = htod, dtoh
    return driver


class _Calls:
    """The driver's calls that the project makes itself."""

    def __init__(self, gpu):
        self.gpu = gpu

    def _code(self, work=lambda: None):
        try:
            self.gpu.called()
        except self.gpu.driver.Error:
            return 999
        work()
        return 0

    def cuStreamBeginCapture_v2(self, stream, mode):
        return self._code(lambda: setattr(self.gpu.streams[stream], "recording", []))

    def cuStreamEndCapture(self, stream, out):
        recorded, self.gpu.streams[stream].recording = self.gpu.streams[stream].recording, None
        return self._code(lambda: self._add(out, recorded))

    def cuGraphInstantiateWithFlags(self, out, graph, flags):
        return self._code(lambda: self._add(out, self.gpu.graphs[graph.value]))

    def _add(self, out, work):
        out._obj.value = len(self.gpu.graphs) + 7
        while out._obj.value in self.gpu.graphs:
            out._obj.value += 1
        self.gpu.graphs[out._obj.value] = work

    def cuGraphLaunch(self, graph, stream):
        def launch():
            self.gpu.launches += 1
            for work in self.gpu.graphs[graph.value]:
                self.gpu.streams[stream].push(work)

        return self._code(launch)

    def cuGraphDestroy(self, graph):
        del self.gpu.graphs[graph.value]
        return 0

    cuGraphExecDestroy = cuGraphDestroy

    def cuMemHostRegister_v2(self, place, size, flags):
        return self._code(lambda: self.gpu.alive.update({place: ("locked", size)}))

    def cuMemHostUnregister(self, place):
        del self.gpu.alive[place]
        return 0

    def cuCtxGetCurrent(self, out):
        out._obj.value = len(self.gpu.driver_stack)
        return 0

    def cuCtxPopCurrent_v2(self, out):
        self.gpu.driver_stack.pop()
        return 0

    def cuGetErrorString(self, code, out):
        out._obj.value = b"told to fail"
        return 0


def _tensorrt(gpu):
    trt = types.ModuleType("tensorrt")

    class ILogger:
        class Severity(IntEnum):
            INTERNAL_ERROR, ERROR, WARNING = 0, 1, 2

    class TensorIOMode(Enum):
        INPUT, OUTPUT = 1, 2

    class Strategy(Enum):
        STATIC, USER_MANAGED = 0, 2

    class Runtime:
        def __init__(self, log):
            self.log = log

        def deserialize_cuda_engine(self, plan):
            made = json.loads(bytes(plan))
            if "refuses" in made or gpu.refuses(self.log):
                self.log.log(ILogger.Severity.ERROR, made.get("refuses", ENQUEUE_FAILED))
                return None
            return _Engine(gpu, made, trt, self.log)

    trt.__version__ = "10.9.0"
    trt.ILogger, trt.TensorIOMode, trt.ExecutionContextAllocationStrategy = ILogger, TensorIOMode, Strategy
    trt.Runtime, trt.nptype = Runtime, np.dtype
    return trt


class _Engine:
    def __init__(self, gpu, plan, trt, log):
        self.gpu, self.plan, self.trt, self.log = gpu, plan, trt, log
        self.tensors = plan["inputs"] | plan["outputs"]
        self.num_io_tensors, self.num_optimization_profiles = len(self.tensors), len(plan["profiles"])
        gpu.alive[id(self)] = ("engine", 0)

    def __del__(self):
        assert self.gpu.stack, "the engine outlived its context"
        del self.gpu.alive[id(self)]

    def get_tensor_name(self, place):
        return list(self.tensors)[place]

    def get_tensor_mode(self, name):
        return self.trt.TensorIOMode.INPUT if name in self.plan["inputs"] else self.trt.TensorIOMode.OUTPUT

    def get_tensor_shape(self, name):
        return tuple(self.tensors[name][0])

    def get_tensor_dtype(self, name):
        return self.tensors[name][1]

    def get_tensor_profile_shape(self, name, place):
        return [tuple(self.plan["profiles"][place][name])] * 3

    def create_execution_context(self, strategy):
        if self.gpu.refuses(self.log):
            return None
        assert strategy == self.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        return _Execution(self)


class _Execution:
    def __init__(self, engine):
        self.engine, self.gpu = engine, engine.gpu
        self.profile, self.shapes, self.addresses, self.scratch = None, {}, {}, 0
        self.gpu.alive[id(self)] = ("execution", 0)

    def __del__(self):
        assert self.gpu.stack, "the execution context outlived its context"
        del self.gpu.alive[id(self)]

    def set_optimization_profile_async(self, place, stream):
        self.profile = place
        return not self.gpu.refuses(self.engine.log)

    def set_input_shape(self, name, shape):
        self.shapes[name] = shape
        return tuple(self.engine.plan["profiles"][self.profile][name]) == tuple(shape)

    def get_tensor_shape(self, name):
        profile = self.engine.plan["profiles"][self.profile]
        if name in profile:
            return tuple(profile[name])
        noise = profile.get("noise", [next(iter(profile.values()))[0], 0])
        free = iter(noise[:2])
        return tuple(next(free) if dim < 0 else dim for dim in self.engine.tensors[name][0])

    def update_device_memory_size_for_shapes(self):
        assert len(self.shapes) == len(self.engine.plan["inputs"])
        return 256 * next(iter(self.shapes.values()))[0]

    def set_device_memory(self, address, size):
        self.scratch = size

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return True

    def is_stream_capturable(self, stream):
        return self.gpu.capturable

    def execute_async_v3(self, stream):
        if self.gpu.refuses(self.engine.log):
            return False
        assert self.scratch
        addresses = dict(self.addresses)
        self.gpu.streams[stream].push(lambda: self._compute(addresses))
        return True

    def _compute(self, addresses):
        self.gpu.enqueues += 1
        plan, total = self.engine.plan, 0.0
        for name in plan["inputs"]:
            array = self._array(name, addresses[name])
            total = total + array.reshape(len(array), -1).astype(np.float64).mean(axis=1)
        for place, name in enumerate(plan["outputs"]):
            array = self._array(name, addresses[name])
            array[:] = (total * (place + 1)).reshape(-1, *[1] * (array.ndim - 1))

    def _array(self, name, address):
        shape, dtype = self.get_tensor_shape(name), np.dtype(self.engine.tensors[name][1])
        memory = (ctypes.c_char * (int(np.prod(shape)) * dtype.itemsize)).from_address(address)
        return np.frombuffer(memory, dtype).reshape(shape)
