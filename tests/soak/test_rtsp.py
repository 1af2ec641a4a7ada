"""A camera for a minute: poses at the source's rate, all along."""

import itertools
import signal
import time

import pytest

from pipeline.messages import PoseFrame
from pipeline.subscribe import Subscription
from tests import rtsp
from tests.conftest import SHARED
from tests.posecast import SAMPLE, left_behind, require_weights, running

SECONDS = 60
CLIP = SHARED / "clips" / "sports2d_demo.mp4"
"""A walker filmed with a real camera; the sample dive where it is missing."""


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_minute_of_rtsp(tmp_path) -> None:
    require_weights()
    rtsp.require_gstreamer()
    packets = rtsp.packets_of(CLIP if CLIP.is_file() else SAMPLE, tmp_path / "packets")
    port = rtsp.free_port()
    endpoint = f"tcp://127.0.0.1:{rtsp.free_port()}"
    arrivals: list[float] = []
    frames: set[int] = set()
    with (
        rtsp.serving(packets, port),
        running("run", f"rtsp://127.0.0.1:{port}/live", "--endpoint", endpoint, "--seconds", SECONDS + 15) as run,
        Subscription(endpoint, ("pose/",)) as subscription,
    ):
        deadline = time.monotonic() + SECONDS + 30
        while time.monotonic() < deadline and (not arrivals or arrivals[-1] - arrivals[0] < SECONDS):
            message = subscription.receive(100)
            if isinstance(message, PoseFrame) and message.revision == "provisional":
                arrivals.append(time.monotonic())
                frames.add(message.seq)
        assert run.poll() is None
    assert arrivals[-1] - arrivals[0] >= SECONDS
    assert max(after - before for before, after in itertools.pairwise(arrivals)) < 2.0
    rate_hz = len(frames) / (arrivals[-1] - arrivals[0])
    assert rate_hz > 15, f"{rate_hz:.1f} poses a second of a camera with 30"


def test_a_camera_that_is_not_there_is_waited_for_and_said() -> None:
    address = f"rtsp://user:secret@127.0.0.1:{rtsp.free_port()}/live"
    with running("run", address, "--endpoint", f"tcp://127.0.0.1:{rtsp.free_port()}") as run:
        line = ""
        while "main: connecting: " not in line:
            line = run.stdout.readline() if run.stdout else ""
            assert line, "the run ended"
        assert "connection refused" in line
        began = time.monotonic()
        run.send_signal(signal.SIGTERM)
        assert run.wait(10) == 0
        assert time.monotonic() - began < 5.5
        rest = (run.stdout.read() if run.stdout else "") + (run.stderr.read() if run.stderr else "")
        assert "secret" not in line + rest
    assert left_behind([]) == []
