"""TensorRT's runtime in software, on the GPU of `tests.software_gpu`: what the project uses of it.

An engine is a description of a network's tensors. The network adds up the mean of each of its inputs, row by row.
"""

import ctypes
import json
import types
from enum import Enum, IntEnum

import numpy as np

FAILED = "the software GPU was told to fail"


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


def tensorrt(gpu):
    """The module, on this GPU."""
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
                self.log.log(ILogger.Severity.ERROR, made.get("refuses", FAILED))
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
