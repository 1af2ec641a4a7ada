"""A camera that crashes, ends or never was there neither stops nor delays the others."""

import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.messages import Event, PoseFrame
from pipeline.subscribe import Subscription
from tests import rtsp
from tests.media import film
from tests.posecast import SAMPLE, left_behind, posecast, require_weights, running, stage_pids, wait_for_stages

pytestmark = pytest.mark.slow

PROCESSES = 2 * 2 + 4
LONGEST_GAP_S = 1.5
"""Between two poses of an undisturbed stream at 25 frames a second; a restart takes longer, even on an idle machine."""


@pytest.fixture(autouse=True)
def weights() -> None:
    require_weights()


@pytest.fixture
def endpoint() -> str:
    return f"tcp://127.0.0.1:{rtsp.free_port()}"


@pytest.fixture
def lasting(tmp_path) -> Callable[[float], Path]:
    """Makes a film of so many seconds at 25 frames a second."""
    return lambda s: film(tmp_path / f"film{s}.mp4", round(25 * s), options={"preset": "ultrafast"})


class Heard:
    """What a subscriber hears, by stream."""

    def __init__(self, endpoint: str) -> None:
        self.subscription = Subscription(endpoint, ("pose/", "event/"))
        self.frames: dict[str, list[int]] = defaultdict(list)
        self.at: dict[str, list[float]] = defaultdict(list)
        self.ended: list[str] = []

    def until(self, enough: Callable[[], bool], patience_s: float = 60) -> None:
        deadline = time.monotonic() + patience_s
        while not enough():
            assert time.monotonic() < deadline, f"{ {name: len(seqs) for name, seqs in self.frames.items()} }"
            message = self.subscription.receive(50)
            if isinstance(message, PoseFrame) and message.revision == "provisional":
                self.frames[message.stream].append(message.seq)
                self.at[message.stream].append(time.monotonic())
            if isinstance(message, Event) and message.kind == "stream_ended":
                self.ended.append(message.stream)

    def more(self, count: int, *streams: str) -> None:
        """So many new poses of each of the streams."""
        goal = {stream: len(self.frames[stream]) + count for stream in streams}
        self.until(lambda: all(len(self.frames[stream]) >= goal[stream] for stream in streams))

    def longest_gap_s(self, stream: str) -> float:
        return max(after - before for before, after in pairwise(self.at[stream]))


def test_a_killed_camera_neither_stops_nor_delays_the_other(endpoint, lasting) -> None:
    pictures = lasting(80)
    sources = (f"left={pictures}", f"right={pictures}")
    with running("run", *sources, "--paced", "--endpoint", endpoint) as run:
        heard = Heard(endpoint)
        heard.more(10, "left", "right")
        pids = wait_for_stages(run, processes=PROCESSES)
        assert set(pids) >= {"capture.left", "capture.right", "track.left", "track.right", "encode", "publish"}
        every = set(pids.values())
        for victim in ("track.right", "capture.right"):
            heard.at.clear()
            last = heard.frames["right"][-1]
            os.kill(pids[victim], signal.SIGKILL)
            heard.until(lambda last=last: heard.frames["right"][-1] > last + 25)
            heard.more(10, "right")
            now = wait_for_stages(run, processes=PROCESSES)
            assert {name for name in pids if now[name] != pids[name]} == {victim}, "nothing else was restarted"
            assert heard.longest_gap_s("left") < LONGEST_GAP_S
            pids = now
            every |= set(pids.values())
        os.kill(pids["encode"], signal.SIGKILL)
        heard.until(lambda encode=pids["encode"]: stage_pids(run).get("encode", encode) != encode)
        time.sleep(0.5)
        heard.more(20, "left", "right")
        every |= set(wait_for_stages(run, processes=PROCESSES).values())
        for seqs in heard.frames.values():
            assert seqs == sorted(set(seqs)), "no frame twice, none after a later one"
        run.send_signal(signal.SIGINT)
        assert run.wait(10) == 0
        complaints = run.stderr.read() if run.stderr else ""
        assert "track.right was restarted 1 times" in complaints
        heard.subscription.close()
    assert left_behind(sorted(every)) == []


def test_a_camera_that_keeps_dying_is_given_up_and_the_other_runs_to_its_end(endpoint, lasting) -> None:
    pictures = lasting(30)
    sources = (f"left={pictures}", f"right={pictures}")
    with running("run", *sources, "--paced", "--endpoint", endpoint) as run:
        heard = Heard(endpoint)
        heard.more(5, "left", "right")
        seen: set[int] = set()

        def given_up() -> bool:
            victim = stage_pids(run).get("track.right")
            if victim is not None and victim not in seen:
                seen.add(victim)
                os.kill(victim, signal.SIGKILL)
            return "right" in heard.ended

        heard.until(given_up)
        assert heard.ended == ["right"]
        assert "capture.right" not in stage_pids(run)
        heard.more(5, "left")
        heard.until(lambda: "left" in heard.ended)
        assert heard.frames["left"][-1] > 700
        assert heard.longest_gap_s("left") < LONGEST_GAP_S
        assert run.wait(10) == 3
        lines = (run.stderr.read() if run.stderr else "").splitlines()
        assert len([line for line in lines if "right is given up: track.right" in line]) == 1
        assert "more than 5 times" in " ".join(lines)
        assert heard.subscription.ended
        heard.subscription.close()
    assert left_behind(sorted(seen)) == []


def test_a_source_that_is_not_there_does_not_keep_the_other_from_running(endpoint, lasting) -> None:
    """A camera would be waited for; what is to be played at its own speed has to be there."""
    gone = f"http://user:secret@127.0.0.1:{rtsp.free_port()}/film"
    with running("run", f"here={lasting(3)}", f"gone={gone}", "--paced", "--endpoint", endpoint) as run:
        heard = Heard(endpoint)
        heard.until(lambda: heard.subscription.ended)
        assert sorted(heard.ended) == ["gone", "here"]
        assert heard.frames["here"][-1] == 74
        assert not heard.frames["gone"]
        assert run.wait(10) == 2
        complaints = run.stderr.read() if run.stderr else ""
        assert complaints.count("\n") == 1
        assert "gone is given up: http://" in complaints
        assert "secret" not in complaints
        heard.subscription.close()


@pytest.mark.parametrize("victim", ["decode", "publish"])
def test_a_shared_stage_that_dies_after_one_stream_ended_still_ends(endpoint, lasting, victim) -> None:
    sources = (f"short={lasting(1)}", f"long={lasting(10)}")
    with running("run", *sources, "--paced", "--endpoint", endpoint) as run:
        heard = Heard(endpoint)
        heard.until(lambda: heard.ended == ["short"])
        os.kill(stage_pids(run)[victim], signal.SIGKILL)
        heard.until(lambda: "long" in heard.ended)
        assert run.wait(15) == 0
        assert heard.frames["long"][-1] > 230
        heard.subscription.close()
    assert left_behind([]) == []


def test_two_cameras_over_rtsp_one_goes_away_and_comes_back(endpoint, tmp_path) -> None:
    rtsp.require_gstreamer()
    packets = rtsp.packets_of(SAMPLE, tmp_path / "packets")
    ports = [rtsp.free_port(), rtsp.free_port()]
    addresses = [f"rtsp://127.0.0.1:{port}/live" for port in ports]
    with rtsp.serving(packets, ports[0]), running("run", *addresses, "--endpoint", endpoint) as run:
        with rtsp.serving(packets, ports[1]):
            heard = Heard(endpoint)
            heard.more(20, "cam1", "cam2")
        heard.at.clear()
        heard.more(30, "cam1")
        with rtsp.serving(packets, ports[1]):
            heard.more(10, "cam2")
        assert heard.longest_gap_s("cam1") < 2.0
        run.send_signal(signal.SIGTERM)
        assert run.wait(10) == 0
        heard.subscription.close()
    assert left_behind([]) == []


@pytest.mark.parametrize("name", ["my cam", "", "a" * 33])
def test_a_bad_name_starts_nothing(name) -> None:
    result = posecast("run", f"{name}={SAMPLE}", "rtsp://user:secret@127.0.0.1/live")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "stream name" in result.stderr


def test_two_streams_of_one_name_start_nothing() -> None:
    result = posecast("run", f"cam={SAMPLE}", f"cam={SAMPLE}")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "'cam' is there already" in result.stderr
