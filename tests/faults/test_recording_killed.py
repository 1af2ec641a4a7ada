"""A recording survives the death of any process of the run, and a full disk costs the recording, not the poses."""

import os
import resource
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import av
import pytest

from pipeline.messages import Health, PoseFrame
from pipeline.recordings.contents import contents_of
from pipeline.recordings.reader import Recording
from pipeline.recordings.video import pictures_of, write_video
from pipeline.subscribe import Subscription
from pipeline.topology import STAGES
from tests import rtsp
from tests.media import film
from tests.posecast import SAMPLE, left_behind, posecast, refused, require_weights, running, stage_pids, wait_for_stages

pytestmark = pytest.mark.slow

RATE_HZ = 25
PROCESSES = len(STAGES) + 1


@pytest.fixture(autouse=True)
def weights() -> None:
    require_weights()


@pytest.fixture
def endpoint() -> str:
    return f"tcp://127.0.0.1:{rtsp.free_port()}"


class Heard:
    """Frames of provisional poses that a subscriber heard, and what it heard of the recorder."""

    def __init__(self, endpoint: str) -> None:
        self.subscription = Subscription(endpoint, ("pose/", "health/record"))
        self.frames: set[int] = set()
        self.health: list[Health] = []

    def until(self, enough: Callable[[], bool], patience_s: float = 60) -> None:
        deadline = time.monotonic() + patience_s
        while not enough():
            assert time.monotonic() < deadline, f"{len(self.frames)} frames, {self.health[-1:]}"
            message = self.subscription.receive(50)
            if isinstance(message, PoseFrame) and message.revision == "provisional":
                self.frames.add(message.seq)
            elif isinstance(message, Health):
                self.health.append(message)

    def more(self, count: int) -> None:
        goal = len(self.frames) + count
        self.until(lambda: len(self.frames) >= goal)


def frames_in(files: Iterable[Path]) -> set[int]:
    """Frames whose provisional poses lie in the files."""
    return {
        message.seq
        for file in files
        for _, message in Recording(file).public()
        if isinstance(message, PoseFrame) and message.revision == "provisional"
    }


def test_any_process_may_be_killed(tmp_path, endpoint) -> None:
    """The recorder loses a second at most; the death of another costs it nothing; that of all leaves whole files."""
    folder = tmp_path / "recorded"
    pictures = film(tmp_path / "film.mp4", 40 * RATE_HZ, options={"preset": "ultrafast"})
    with running("run", pictures, "--paced", "--endpoint", endpoint, "--record", folder) as run:
        heard = Heard(endpoint)
        heard.more(2 * RATE_HZ)
        for victim in ("record", "encode", "publish"):
            pids = wait_for_stages(run, processes=PROCESSES)
            os.kill(pids[victim], signal.SIGKILL)
            if victim == "record":
                (killed,) = folder.iterdir()
                read = frames_in([killed])
                assert not Recording(killed).whole
                assert len(heard.frames - read) <= RATE_HZ, "all but the last second can be read while the run goes on"
            heard.until(lambda pid=pids[victim], name=victim: stage_pids(run).get(name, pid) != pid)
            heard.more(2 * RATE_HZ)
        every = list(wait_for_stages(run, processes=PROCESSES).values())
        os.kill(run.pid, signal.SIGKILL)
        run.wait(5)
        heard.subscription.close()
    deadline = time.monotonic() + 8
    while left_behind(every) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_behind(every) == []
    files = sorted(folder.iterdir())
    assert len(files) == 2
    assert Recording(files[1]).about.sources == {"main": str(pictures)}
    missing = heard.frames - frames_in(files)
    assert len(missing) <= RATE_HZ
    recording = Recording(files[1])
    list(recording.messages())
    assert recording.whole, "who is told that the run is gone finishes its file"


def test_a_full_disk_stops_the_recording_and_the_poses_go_on(tmp_path, endpoint) -> None:
    folder = tmp_path / "recorded"
    pictures = film(tmp_path / "film.mp4", 10 * RATE_HZ, options={"preset": "ultrafast"})
    with running("run", pictures, "--paced", "--endpoint", endpoint, "--record", folder) as run:
        heard = Heard(endpoint)
        heard.more(RATE_HZ)
        (path,) = folder.iterdir()
        full = path.stat().st_size + 5_000
        resource.prlimit(stage_pids(run)["record"], resource.RLIMIT_FSIZE, (full, full))
        heard.until(lambda: any(beat.state == "failed" for beat in heard.health))
        before = len(heard.frames)
        heard.until(lambda: heard.subscription.ended)
        assert len(heard.frames) > before + RATE_HZ
        assert max(heard.frames) == 10 * RATE_HZ - 1
        assert run.wait(10) == 2
        (line,) = (run.stderr.read() if run.stderr else "").splitlines()
        heard.subscription.close()
    assert line.startswith("posecast: record is given up, the poses go on:")
    assert "recording stopped (File too large)" in line
    assert str(folder) in line
    assert "recording stopped" in heard.health[-1].error
    (path,) = folder.iterdir()
    assert path.stat().st_size <= full
    assert len(frames_in([path])) > RATE_HZ / 2


def test_video_of_a_camera_is_recorded_as_it_comes(tmp_path, endpoint) -> None:
    """Over RTSP, with a capture and a recorder that are killed: each file gives its frames and its video."""
    rtsp.require_gstreamer()
    packets, port, folder = rtsp.packets_of(SAMPLE, tmp_path / "packets"), rtsp.free_port(), tmp_path / "recorded"
    address = f"rtsp://user:secret@127.0.0.1:{port}/live"
    recorded = ("--record", folder, "--record-video")
    with rtsp.serving(packets, port), running("run", address, "--endpoint", endpoint, *recorded) as run:
        heard = Heard(endpoint)
        heard.more(25)
        for victim in ("capture", "record"):
            pid = wait_for_stages(run, processes=PROCESSES)[victim]
            os.kill(pid, signal.SIGKILL)
            heard.until(lambda pid=pid, name=victim: stage_pids(run).get(name, pid) != pid)
            heard.more(40)
        run.send_signal(signal.SIGINT)
        assert run.wait(10) == 0
        heard.subscription.close()
    files = sorted(folder.iterdir())
    assert len(files) == 2
    for path in files:
        data = path.read_bytes()
        assert b"secret" not in data
        contents = contents_of(path)
        assert contents.streams["main"].packets > 40
        recording = Recording(path)
        shown = [seq for seq, _ in pictures_of(recording, "main")]
        assert len(shown) > 25
        assert shown == sorted(set(shown))
        count = write_video(recording, "main", path.with_suffix(".mkv"))
        with av.open(str(path.with_suffix(".mkv"))) as container:
            assert len(list(container.decode(video=0))) == count
    assert contents_of(files[1]).recording.whole


def test_a_run_is_recorded_and_replayed(tmp_path, endpoint) -> None:
    result = posecast("run", SAMPLE, "--paced", "--endpoint", endpoint, "--record", tmp_path / "recorded")
    assert (result.returncode, result.stderr) == (0, "")
    (path,) = (tmp_path / "recorded").iterdir()
    told = posecast("recording", "info", path)
    assert "end of the run" in told.stdout
    assert ", 0 lost" in told.stdout
    done = posecast("replay", path, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "dive-1.html").is_file()


def test_a_folder_that_cannot_be_recorded_into_starts_nothing(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    refused(tmp_path, "run", SAMPLE, "--record", tmp_path / "file", names=str(tmp_path / "file"))


def test_replay_without_a_folder_is_refused(tmp_path) -> None:
    refused(tmp_path, "replay", SAMPLE, names="--out")
