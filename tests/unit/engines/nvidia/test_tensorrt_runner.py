"""The runner on a GPU in software: batches, two calls under way, graphs, and nothing left on any way out.

What the real GPU computes is tested in tests/gpu.
"""

import gc
import mmap

import numpy as np
import pytest

from engines.contracts import DIFFUSION_DECODER, SHIPPED, STN, TEMPORAL_WINDOW
from engines.errors import BackendError
from engines.examples import noise
from engines.nvidia import cuda, tensorrt_backend
from engines.nvidia.cuda_driver import PageLocked
from engines.session import CheckedSession
from tests import software_gpu as software
from tests import software_tensorrt

software_gpu = software.software_gpu
HERE = {"library": "tensorrt 10.9.0", "gpu": "Software 1", "compute_capability": "8.9", "driver": "13.0"}


def engine_of(contract, batches=(1, 2, 4), **changes):
    return software_tensorrt.plan_of(contract, batches, **changes)


def loaded(contract, batches=(1, 2, 4), graphs=True):
    return tensorrt_backend.loaded(engine_of(contract, batches), contract, 0, "fp16", graphs)


@pytest.fixture
def runner_of(software_gpu):
    """Opens runners; in the end they are closed and nothing may be left."""
    opened = []

    def open_one(*args, **kwargs):
        opened.append(loaded(*args, **kwargs))
        return opened[-1]

    yield open_one
    while opened:
        opened.pop().close()
    assert software_gpu.idle()


def check(contract, runner, batch, seed=0):
    inputs = noise(contract, {"B": batch, "H": 5}, seed)
    outputs = runner.infer(inputs)
    for name, array in software_tensorrt.expected(contract, inputs).items():
        assert outputs[name].shape == array.shape
        np.testing.assert_allclose(outputs[name], array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("contract", SHIPPED, ids=lambda contract: contract.network)
def test_every_contract_runs_behind_a_session(contract, software_gpu, runner_of):
    runner = runner_of(contract, (1, 2))
    session = CheckedSession(contract, runner)
    assert session.device == "TensorRT 10.9.0, fp16, Software 1, CUDA graphs"
    inputs = noise(contract, {"B": 2, "H": 5})
    for name, array in software_tensorrt.expected(contract, inputs).items():
        np.testing.assert_allclose(session.run(inputs)[name], array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("graphs", [True, False])
def test_any_batch_goes_to_the_smallest_profile_that_holds_it(graphs, software_gpu, runner_of):
    runner = runner_of(STN, graphs=graphs)
    for batch in (1, 3, 2, 4, 1, 11, 5):
        check(STN, runner, batch, seed=batch)
    assert set(runner._held.profiles) == {1, 2, 4}
    assert bool(software_gpu.launches) == graphs
    runner.close()
    assert software_gpu.idle()


def test_prepare_opens_the_profile_and_nothing_else(software_gpu, runner_of):
    runner = runner_of(STN)
    runner.prepare({"picture": (3, 128, 128, 3)})
    assert set(runner._held.profiles) == {4}
    runner.prepare(None)
    assert set(runner._held.profiles) == {1, 4}
    calls = software_gpu.calls
    runner.prepare({"picture": (9, 128, 128, 3)})
    assert software_gpu.calls == calls


def test_two_calls_may_be_under_way_and_come_back_in_any_order(software_gpu, runner_of):
    runner = runner_of(TEMPORAL_WINDOW)
    calls = [noise(TEMPORAL_WINDOW, {"B": 1}, seed) for seed in range(5)]
    first, second = runner.submit(calls[0]), runner.submit(calls[1])
    with pytest.raises(BackendError, match="2 calls are under way; collect one first"):
        runner.submit(calls[2])
    late, early = runner.collect(second), runner.collect(first)
    third = runner.submit(calls[2])
    for outputs, inputs in ((early, calls[0]), (late, calls[1]), (runner.collect(third), calls[2])):
        np.testing.assert_allclose(
            outputs["joints"], software_tensorrt.expected(TEMPORAL_WINDOW, inputs)["joints"], rtol=1e-5, atol=1e-6
        )


def test_outputs_belong_to_the_caller(software_gpu, runner_of):
    runner = runner_of(STN)
    inputs = noise(STN, {"B": 1})
    kept = runner.infer(inputs)["theta"]
    before = kept.copy()
    runner.infer({"picture": np.zeros_like(inputs["picture"])})
    np.testing.assert_array_equal(kept, before)


def test_strided_and_read_only_inputs_are_taken(software_gpu, runner_of):
    runner = runner_of(STN)
    picture = noise(STN, {"B": 2})["picture"]
    plain = runner.infer({"picture": picture})["theta"]
    strided = np.repeat(picture, 2, axis=2)[:, :, ::2]
    strided.flags.writeable = False
    np.testing.assert_array_equal(runner.infer({"picture": strided})["theta"], plain)


def test_another_number_of_hypotheses_is_refused(software_gpu, runner_of):
    runner = runner_of(DIFFUSION_DECODER)
    says = r"diffusion_decoder: the engine is built for noise \(B, 5, 51\), got \(1, 7, 51\); build it again"
    with pytest.raises(BackendError, match=says):
        runner.infer(noise(DIFFUSION_DECODER, {"B": 1, "H": 7}))
    with pytest.raises(BackendError, match=says):
        runner.prepare({t.name: a.shape for t, a in _shaped(DIFFUSION_DECODER, 7)})


def _shaped(contract, hypotheses):
    inputs = noise(contract, {"B": 1, "H": hypotheses})
    return [(tensor, inputs[tensor.name]) for tensor in contract.inputs]


def test_whatever_fails_while_opening_nothing_is_left(software_gpu):
    """Every single call of the driver fails once, from the first until the engine has run."""
    failures = 0
    for call in range(1, 10_000):
        software_gpu.calls, software_gpu.fails_at = 0, call
        runner = None
        try:
            runner = loaded(STN)
            check(STN, runner, 3)
            check(STN, runner, 9)
        except BackendError as error:
            failures += 1
            assert "\n" not in str(error)
        software_gpu.fails_at = None
        if runner is not None:
            runner.close()
        assert software_gpu.idle(), (call, software_gpu.alive, software_gpu.graphs)
        if software_gpu.calls < call:
            break
    assert failures > 60


def test_a_call_that_failed_leaves_the_runner_of_use(software_gpu, runner_of):
    runner = runner_of(STN)
    check(STN, runner, 1)
    worked = software_gpu.calls
    check(STN, runner, 1)
    calls_of_one = software_gpu.calls - worked
    for call in range(1, calls_of_one + 1):
        software_gpu.fails_at = software_gpu.calls + call
        with pytest.raises(BackendError):
            check(STN, runner, 1, seed=1)
        for seed in (2, 3, 4):
            check(STN, runner, 1, seed=seed)


def test_letting_go_frees_everything(software_gpu):
    runner = loaded(STN)
    runner.submit(noise(STN, {"B": 1}))
    assert not software_gpu.idle()
    del runner
    gc.collect()
    assert software_gpu.idle()


def test_closed_is_closed(software_gpu, runner_of):
    runner = runner_of(STN)
    check(STN, runner, 1)
    runner.close()
    runner.close()
    assert software_gpu.idle()
    with pytest.raises(BackendError, match="stn: the engine is closed; open it again"):
        check(STN, runner, 1)


def test_two_networks_share_the_gpu_and_one_outlives_the_other(software_gpu, runner_of):
    one, other = runner_of(STN), runner_of(TEMPORAL_WINDOW)
    check(STN, one, 1)
    check(TEMPORAL_WINDOW, other, 1)
    one.close()
    check(TEMPORAL_WINDOW, other, 1)
    other.close()
    assert software_gpu.idle()


def test_a_full_gpu_says_so_and_smaller_batches_still_run(software_gpu, runner_of):
    runner = runner_of(STN, (1, 32))
    software_gpu.memory = software_gpu.used() + (1 << 20)
    with pytest.raises(
        BackendError, match=r"GPU 0 \(Software 1\): out of memory \(.*\); close other programs"
    ) as caught:
        check(STN, runner, 20)
    assert "\n" not in str(caught.value)
    used = software_gpu.used()
    check(STN, runner, 1)
    assert set(runner._held.profiles) == {1}
    assert software_gpu.used() > used


def test_work_that_cannot_be_recorded_is_enqueued_plainly_and_said(software_gpu, runner_of):
    software_gpu.capturable = False
    runner = runner_of(STN)
    check(STN, runner, 1)
    assert runner.device.endswith("plain enqueue: the library cannot record this network")
    assert not software_gpu.launches


def test_engines_that_do_not_fit_are_refused_in_one_line(software_gpu):
    cases = [
        (engine_of(STN, refuses="wrong driver\nfor it"), r"stn: TensorRT .* cannot load the engine \(wrong driver\)"),
    ]
    for engine, says in cases:
        with pytest.raises(BackendError, match=says) as caught:
            tensorrt_backend.loaded(engine, STN, 0, "fp16")
        assert "\n" not in str(caught.value)
        assert software_gpu.idle()


def test_a_gpu_that_is_not_there_is_refused(software_gpu):
    with pytest.raises(BackendError, match="GPU 3: there are 1, counted from 0"):
        tensorrt_backend.loaded(engine_of(STN), STN, 3, "fp16")
    assert tensorrt_backend.why_missing() is None
    assert tensorrt_backend.facts(0) == HERE


def test_a_buffer_is_locked_where_it_is_and_unlocked_again(software_gpu):
    context = cuda.Context(0)
    with mmap.mmap(-1, 8192) as ring:
        with cuda.page_locked(context, ring) as locked:
            assert locked.why_not is None
            assert [kind for kind, _ in software_gpu.alive.values()] == ["locked"]
        assert not software_gpu.alive
    context.release()
    assert software_gpu.idle()


def test_a_buffer_that_cannot_be_locked_stays_of_use(software_gpu):
    context = cuda.Context(0)
    software_gpu.fails_at = software_gpu.calls + 1
    with cuda.page_locked(context, bytes(4096)) as locked:
        assert locked.why_not == "the NVIDIA driver refused cuMemHostRegister_v2 (told to fail); update the driver"
    assert isinstance(locked, PageLocked)
    context.release()
    assert software_gpu.idle()
