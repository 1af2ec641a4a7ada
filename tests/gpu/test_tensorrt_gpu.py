"""Every network on a real GPU, in every precision, against ONNX Runtime on the CPU."""

import gc
import threading

import numpy as np
import pytest

from engines import store
from engines.contracts import DIFFUSION_DECODER, MLP_DECODER, SHIPPED, STN, TEMPORAL_WINDOW, encoder
from engines.errors import BackendError
from engines.nvidia import cuda, tensorrt_backend, variants
from engines.session import CheckedSession
from tests import dive_inputs, quantised

MISSING = tensorrt_backend.why_missing()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(MISSING is not None, reason=f"not run on a GPU: {MISSING}")]

ENCODER = encoder("w18_small_v2")
IN_INT8 = (STN, ENCODER, TEMPORAL_WINDOW)
CASES = [(contract, precision) for contract in SHIPPED for precision in ("fp32", "fp16")]
CASES += [(contract, "int8") for contract in IN_INT8]
BATCHES = (1, 4)
LIMITS = {
    "fp32": {"joints mm": 0.2, "keypoints px": 0.02, "box px": 0.02},
    "fp16": {"joints mm": 1.0, "keypoints px": 0.1, "box px": 0.1},
    "int8": {"joints mm": 5.0, "keypoints px": 0.5, "box px": 0.5},
}
SHARES = {"fp32": 0.002, "fp16": 0.02, "int8": 0.1}
"""Largest difference of every other output, as a share of its largest value."""
SLACK = 32 << 20
"""Bytes of the GPU that the driver may keep for itself after everything was freed."""


@pytest.fixture(scope="module")
def graph_of():
    made = {}

    def graph(contract, precision):
        if (contract, precision) not in made:
            model = store.find(contract.network).read_bytes()
            if precision == "fp16":
                model = variants.fp16(model)
            if precision == "int8":
                model = variants.symmetric(quantised.quantised(contract, "nncf"))
            made[contract, precision] = model
        return made[contract, precision]

    return graph


@pytest.fixture(scope="module")
def engine_of(graph_of):
    made = {}

    def engine(contract, precision):
        if (contract, precision) not in made:
            model = graph_of(contract, precision)
            made[contract, precision] = tensorrt_backend.build(model, contract, BATCHES, 2, str)
        return made[contract, precision]

    return engine


def reference(contract, precision, graph_of, inputs):
    """What is right: the shipped network; for int8 the same quantised graph, whose own error is not the GPU's."""
    if precision == "int8":
        return dive_inputs.runtime(graph_of(contract, precision))(inputs)
    return dive_inputs.shipped(contract.network)(inputs)


@pytest.mark.parametrize(("contract", "precision"), CASES, ids=lambda case: getattr(case, "network", case))
def test_it_computes_what_onnx_runtime_computes(contract, precision, engine_of, graph_of):
    runner = tensorrt_backend.loaded(engine_of(contract, precision), contract, 0, precision)
    try:
        session = CheckedSession(contract, runner, "an engine")
        for batch in (1, 3, 9):
            inputs = dive_inputs.example(contract, batch)
            want = reference(contract, precision, graph_of, inputs)
            found = dive_inputs.differences(contract, want, session.run(inputs))
            for quantity, value in found.items():
                assert value < LIMITS[precision].get(quantity, SHARES[precision]), (batch, found)
    finally:
        runner.close()


@pytest.mark.parametrize(("contract", "precision"), CASES, ids=lambda case: getattr(case, "network", case))
def test_graphs_give_what_the_plain_enqueue_gives(contract, precision, engine_of):
    outputs = []
    for graphs in (True, False):
        runner = tensorrt_backend.loaded(engine_of(contract, precision), contract, 0, precision, graphs)
        try:
            outputs.append([runner.infer(dive_inputs.example(contract, batch)) for batch in (1, 4, 2, 1, 4)])
            assert runner.device.endswith("CUDA graphs" if graphs else "plain enqueue: as was asked")
        finally:
            runner.close()
    for recorded, plain in zip(*outputs, strict=True):
        for name, array in plain.items():
            np.testing.assert_array_equal(recorded[name], array)


def test_calls_under_way_do_not_mix(engine_of):
    frames = dive_inputs.example(ENCODER, 6)["crop"]
    runner = tensorrt_backend.loaded(engine_of(ENCODER, "fp16"), ENCODER, 0, "fp16")
    try:
        alone = [runner.infer({"crop": frame[None]})["heatmaps"] for frame in frames]
        for _ in range(20):
            tickets = [runner.submit({"crop": frames[:1]})]
            for place in range(1, len(frames)):
                tickets.append(runner.submit({"crop": frames[place : place + 1]}))
                np.testing.assert_array_equal(runner.collect(tickets[place - 1])["heatmaps"], alone[place - 1])
            np.testing.assert_array_equal(runner.collect(tickets[-1])["heatmaps"], alone[-1])
    finally:
        runner.close()


def test_the_memory_comes_back(engine_of):
    # One context stays open, so that only what the runners took is measured.
    context = cuda.Context(0)
    try:
        engine = engine_of(ENCODER, "fp16")
        taken = []
        for round_ in range(4):
            runner = tensorrt_backend.loaded(engine, ENCODER, 0, "fp16")
            runner.infer(dive_inputs.example(ENCODER, 4))
            inside = context.free_bytes()
            if round_ % 2:
                runner.close()
            del runner
            gc.collect()
            taken.append((inside, context.free_bytes()))
        after = [free for _, free in taken]
        assert all(free > inside for inside, free in taken)
        # The first round loads kernels that the driver keeps.
        assert after[-1] >= after[0] - SLACK
        assert abs(after[-1] - after[1]) < SLACK
    finally:
        context.release()


def test_a_full_gpu_is_told_in_one_line_and_leaves_nothing(engine_of):
    context = cuda.Context(0)
    engine = engine_of(ENCODER, "fp16")
    tensorrt_backend.loaded(engine, ENCODER, 0, "fp16").close()
    before = context.free_bytes()
    hogs = []
    try:
        with context.current():
            size = 1 << 34
            while size >= 1 << 18:
                try:
                    hogs.append(context.driver.mem_alloc(size))
                except context.driver.MemoryError:
                    size //= 2
        with pytest.raises(BackendError, match="memory") as caught:
            tensorrt_backend.loaded(engine, ENCODER, 0, "fp16").infer(dive_inputs.example(ENCODER, 4))
        assert "\n" not in str(caught.value)
    finally:
        with context.current():
            for hog in hogs:
                hog.free()
    gc.collect()
    assert abs(context.free_bytes() - before) < SLACK
    context.release()


def test_another_thread_may_call_and_close(engine_of):
    inputs = dive_inputs.example(MLP_DECODER, 1)
    runner = tensorrt_backend.loaded(engine_of(MLP_DECODER, "fp32"), MLP_DECODER, 0, "fp32")
    here, there = runner.infer(inputs), []

    def work():
        there.append(runner.infer(inputs))
        runner.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    np.testing.assert_array_equal(there[0]["joints"], here["joints"])


def test_another_number_of_hypotheses_is_refused(engine_of):
    runner = tensorrt_backend.loaded(engine_of(DIFFUSION_DECODER, "fp16"), DIFFUSION_DECODER, 0, "fp16")
    try:
        with pytest.raises(BackendError, match="the engine is built for noise"):
            runner.infer(dive_inputs.example(DIFFUSION_DECODER, 1, hypotheses=3))
    finally:
        runner.close()


def test_a_ring_is_locked_where_it_lies():
    context = cuda.Context(0)
    ring = np.zeros(16 << 20, np.uint8)
    try:
        with cuda.page_locked(context, ring) as locked:
            assert locked.why_not is None
        with cuda.page_locked(context, ring) as again:
            assert again.why_not is None
    finally:
        context.release()
