"""The whole pipeline on a camera that fails in every way: later stages see gaps, nobody sees the password."""

import itertools
import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
import zmq

from pipeline.messages import Event, Health, PoseFrame, Public, decode_public
from tests import rtsp
from tests.faults.proxy import Proxy
from tests.faults.scenarios import PASSWORD, USER
from tests.media import film
from tests.posecast import left_behind, require_weights, running, wait_for_stages

pytestmark = pytest.mark.slow

SECRETS = [form.encode() for form in (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), USER, quote(USER))]


class Heard:
    """Everything that is published, as it comes over the wire."""

    def __init__(self, endpoint: str) -> None:
        self.raw: list[bytes] = []
        self.messages: list[Public] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(endpoint,))
        self._thread.start()

    def _listen(self, endpoint: str) -> None:
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.linger = 0
            socket.subscribe("")
            socket.connect(endpoint)
            while not self._stop.is_set():
                if socket.poll(50):
                    parts = socket.recv_multipart()
                    self.raw.append(b" ".join(parts))
                    self.messages.append(decode_public(parts[1]))

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def kinds(self) -> list[str]:
        """Of the source's events; repetitions left out."""
        kinds = [m.kind for m in list(self.messages) if isinstance(m, Event) and m.kind.startswith("source_")]
        return [kind for kind, _ in itertools.groupby(kinds)]

    def poses(self) -> list[PoseFrame]:
        return [m for m in list(self.messages) if isinstance(m, PoseFrame) and m.revision == "provisional"]

    def health(self) -> list[Health]:
        return [m for m in list(self.messages) if isinstance(m, Health) and m.stage == "capture"]

    def until(self, enough: Callable[[], bool], patience_s: float = 40) -> None:
        deadline = time.monotonic() + patience_s
        while not enough():
            assert time.monotonic() < deadline, (self.kinds(), len(self.poses()))
            time.sleep(0.05)


@pytest.fixture(scope="module")
def camera(tmp_path_factory) -> Iterator[int]:
    """Port of a camera with a password that changes its resolution every two seconds."""
    require_weights()
    rtsp.require_gstreamer()
    folder = tmp_path_factory.mktemp("camera")
    options = {"bf": "0", "g": "10", "preset": "ultrafast"}
    small, large = (film(folder / f"{w}.mp4", 20, size=(w, 96), rate_hz=10, options=options) for w in (160, 320))
    packets = rtsp.packets_of(small, folder / "packets", large)
    port = rtsp.free_port()
    with rtsp.serving(packets, port, "--user", USER, "--password", PASSWORD):
        yield port


def found_in(folder: Path) -> list[str]:
    """Files of a run, but for the order, that hold a secret."""
    files = [file for file in folder.iterdir() if file.is_file() and file.name != "order"]
    assert {"capture.log", "ring.main"} <= {file.name for file in files}
    return [file.name for file in files if any(secret in file.read_bytes() for secret in SECRETS)]


def test_a_camera_that_fails_in_every_way(camera, tmp_path, monkeypatch) -> None:
    endpoint = f"tcp://127.0.0.1:{rtsp.free_port()}"
    with Proxy(camera, present=False) as proxy:
        monkeypatch.setenv("CAMERA_URL", f"rtsp://{USER}:{PASSWORD}@127.0.0.1:{proxy.port}/live")
        with running("run", "env:CAMERA_URL", "--endpoint", endpoint) as run:
            heard = Heard(endpoint)
            try:
                pids = wait_for_stages(run, patience_s=120)
                heard.until(lambda: "source_connecting" in heard.kinds() and bool(heard.health()))
                time.sleep(1.0)
                assert heard.health()[-1].state == "running"
                assert heard.health()[-1].source.cause == "refused"
                proxy.appear()
                heard.until(lambda: len({pose.width for pose in heard.poses()}) == 2)
                proxy.mode = "garbage"
                heard.until(lambda: "source_lost" in heard.kinds())
                proxy.mode = "pass"
                count = len(heard.poses())
                heard.until(lambda: len(heard.poses()) > count + 30)
                proxy.mode = "silent"
                heard.until(lambda: heard.kinds()[-1] == "source_lost")
                assert heard.kinds()[0] == "source_connecting"
                assert heard.health()[-1].source.state == "lost"
                assert wait_for_stages(run) == pids, "no stage was restarted"
                [folder] = Path("/dev/shm").glob(f"posecast-{run.pid}-*")
                assert stat.S_IMODE((folder / "order").stat().st_mode) == 0o600
                assert any(secret in (folder / "order").read_bytes() for secret in SECRETS), "it would be found"
                assert found_in(folder) == []
                titles = [
                    b"".join(map(os.fsencode, psutil.Process(pid).cmdline())) for pid in (run.pid, *pids.values())
                ]
                run.send_signal(signal.SIGTERM)
                assert run.wait(10) == 0
            finally:
                heard.close()
            said = ((run.stdout.read() if run.stdout else "") + (run.stderr.read() if run.stderr else "")).encode()
    assert b"connection refused" in said
    assert b"restarted" not in said
    for place in (said, *titles, *heard.raw):
        assert not any(secret in place for secret in SECRETS), place
    poses = heard.poses()
    assert all(a.seq < b.seq and a.t_media_ns < b.t_media_ns for a, b in itertools.pairwise(poses))
    assert left_behind(list(pids.values())) == []


def test_a_wrong_password_ends_the_run_in_one_line(camera) -> None:
    endpoint = f"tcp://127.0.0.1:{rtsp.free_port()}"
    with running("run", f"rtsp://admin:{PASSWORD}@127.0.0.1:{camera}/live", "--endpoint", endpoint) as run:
        assert run.wait(60) == 2
        line = run.stderr.read() if run.stderr else ""
    assert line.count("\n") == 1
    assert "refuses user and password" in line
    assert not any(secret.decode() in line for secret in SECRETS)


@pytest.mark.parametrize("state", ["absent", "mute"])
def test_it_can_be_stopped_while_nothing_comes(camera, state) -> None:
    endpoint = f"tcp://127.0.0.1:{rtsp.free_port()}"
    address = f"rtsp://{quote(USER)}:{quote(PASSWORD, safe='')}@127.0.0.1"
    with Proxy(camera, present=state != "absent") as proxy:
        proxy.mode = "silent" if state == "mute" else "pass"
        with running("run", f"{address}:{proxy.port}/live", "--endpoint", endpoint) as run:
            heard = Heard(endpoint)
            try:
                pids = wait_for_stages(run, patience_s=120)
                heard.until(lambda: "source_connecting" in heard.kinds())
                began = time.monotonic()
                run.send_signal(signal.SIGTERM)
                assert run.wait(10) == 0
                assert time.monotonic() - began < 4.0
            finally:
                heard.close()
    assert left_behind(list(pids.values())) == []
