"""A GPU in software where there is none: what the project uses of PyCUDA and of the driver.

Streams are queues that run only when somebody waits, so a missing wait shows as a wrong result. Everything alive is
counted, and any call can be made to fail.
"""

import ctypes
import sys
import types

import numpy as np
import pytest

from engines.nvidia import cuda, cuda_driver
from tests import software_tensorrt


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
            log.log(1, software_tensorrt.FAILED)
            return True
        return False

    def called(self):
        """Every call of the driver comes by here."""
        assert self.stack, "no context is current"
        self._count()

    def _count(self):
        self.calls += 1
        if self.calls == self.fails_at:
            raise self.driver.Error("a call failed\n" + software_tensorrt.FAILED)

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
    monkeypatch.setitem(sys.modules, "tensorrt", software_tensorrt.tensorrt(gpu))
    monkeypatch.setattr(cuda_driver, "_function", lambda function: getattr(_Calls(gpu), function))
    cuda._driver.cache_clear()
    return gpu


@pytest.fixture
def software_gpu(monkeypatch):
    yield install(monkeypatch)
    cuda._driver.cache_clear()


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
