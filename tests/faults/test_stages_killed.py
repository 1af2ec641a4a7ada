"""Any one process may die at any time: the run recovers, or ends and says why; nothing is left behind."""

import json
import os
import signal
import time

import av
import pytest

from pipeline.messages import PoseFrame
from pipeline.subscribe import Subscription
from pipeline.topology import STAGES
from tests import rtsp
from tests.posecast import SAMPLE, left_behind, posecast, require_weights, running, stage_pids, wait_for_stages

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def weights() -> None:
    require_weights()


@pytest.fixture
def endpoint() -> str:
    return f"tcp://127.0.0.1:{rtsp.free_port()}"


def poses(subscription: Subscription, count: int, seconds: float = 40) -> list[PoseFrame]:
    """The next `count` poses; fails when they do not come in time."""
    found: list[PoseFrame] = []
    deadline = time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} poses after {seconds} s"
        message = subscription.receive(100)
        if isinstance(message, PoseFrame):
            found.append(message)
    return found


def test_run_recovers_from_the_death_of_each_stage(tmp_path, endpoint) -> None:
    """A camera that never ends; each stage is killed in turn and poses of new frames come again."""
    rtsp.require_gstreamer()
    packets = rtsp.packets_of(SAMPLE, tmp_path / "packets")
    port = rtsp.free_port()
    with rtsp.serving(packets, port), running("run", f"rtsp://127.0.0.1:{port}/live", "--endpoint", endpoint) as run:
        with Subscription(endpoint, ("pose/",)) as subscription:
            last = poses(subscription, 20)[-1].seq
            every = set(wait_for_stages(run).values())
            for row in STAGES:
                victim = wait_for_stages(run)[row.name]
                os.kill(victim, signal.SIGKILL)
                time.sleep(0.3)
                newer = [pose for pose in poses(subscription, 20) if pose.seq > last]
                while len(newer) < 20:
                    newer += [pose for pose in poses(subscription, 5) if pose.seq > last]
                last = newer[-1].seq
                now = wait_for_stages(run)
                assert now[row.name] != victim
                every |= set(now.values())
        run.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert run.wait(10) == 0
        assert time.monotonic() - began < 5.5
        assert "was restarted 1 times" in (run.stderr.read() if run.stderr else "")
    assert left_behind(sorted(every)) == []


@pytest.mark.parametrize("victim", ["track", "smooth", "capture"])
def test_replay_ends_by_itself_after_a_death(tmp_path, victim) -> None:
    with av.open(str(SAMPLE)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    with running("replay", SAMPLE, "--out", tmp_path / "out", "--no-overlay", "--no-plot") as run:
        pids = wait_for_stages(run)
        time.sleep(0.7)
        os.kill(pids[victim], signal.SIGKILL)
        code = run.wait(100)
        pids |= {"run": run.pid}
    assert code == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert 0 < summary["frames_out"] <= summary["frames_in"] == frames
    assert left_behind(list(pids.values())) == []


def test_supervisor_killed_leaves_nothing(endpoint) -> None:
    with running("run", SAMPLE, "--paced", "--endpoint", endpoint) as run:
        with Subscription(endpoint, ("pose/",)) as subscription:
            poses(subscription, 3)
        pids = list(wait_for_stages(run).values())
        os.kill(run.pid, signal.SIGKILL)
        run.wait(5)
        deadline = time.monotonic() + 8
        while left_behind(pids) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert left_behind(pids) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after_s", [0.0, 0.4, 1.5, 4.0])
def test_stops_within_five_seconds_from_any_state(endpoint, number, after_s) -> None:
    with running("run", SAMPLE, "--paced", "--endpoint", endpoint) as run:
        pids = [run.pid]
        if after_s:
            time.sleep(after_s)
            pids += stage_pids(run).values()
        else:
            time.sleep(0.05)
        run.send_signal(number)
        began = time.monotonic()
        run.wait(10)
        assert time.monotonic() - began < 5.5
    assert left_behind(pids) == []


def test_a_stage_that_keeps_dying_stops_the_run_with_exit_code_3(endpoint) -> None:
    rtsp.require_gstreamer()
    with running("run", SAMPLE, "--paced", "--endpoint", endpoint) as run:
        seen: set[int] = set()
        deadline = time.monotonic() + 60
        while run.poll() is None and time.monotonic() < deadline:
            victim = stage_pids(run).get("decode")
            if victim is not None and victim not in seen:
                seen.add(victim)
                os.kill(victim, signal.SIGKILL)
            time.sleep(0.05)
        assert run.wait(5) == 3
        line = run.stderr.read().strip() if run.stderr else ""
        assert "decode" in line
        assert "more than 5 times" in line
        assert len(seen) == 6
    assert left_behind(sorted(seen)) == []


def test_silent_stage_is_restarted(endpoint, tmp_path) -> None:
    """A stage that hangs is as dead as one that crashed."""
    rtsp.require_gstreamer()
    packets = rtsp.packets_of(SAMPLE, tmp_path / "packets")
    port = rtsp.free_port()
    with (
        rtsp.serving(packets, port),
        running("run", f"rtsp://127.0.0.1:{port}/live", "--endpoint", endpoint) as run,
        Subscription(endpoint, ("pose/",)) as subscription,
    ):
        last = poses(subscription, 10)[-1].seq
        victim = wait_for_stages(run)["encode"]
        os.kill(victim, signal.SIGSTOP)
        found = []
        while len(found) < 5:
            found = [pose for pose in poses(subscription, 20, seconds=60) if pose.seq > last + 200]
        assert wait_for_stages(run)["encode"] != victim


def test_bad_configuration_starts_nothing(tmp_path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[smooth]\nrefind = 3\n")
    result = posecast("run", SAMPLE, "--config", path)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "did you mean 'refined'" in result.stderr
