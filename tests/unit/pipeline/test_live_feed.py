"""The inlet of a live source: changes between pictures, a ring that fits, a shape that the camera's file is of."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from calibration.camera import Camera
from calibration.store import save
from calibration.venue import Calibration
from pipeline import config
from pipeline.config import Config
from pipeline.errors import SourceError
from pipeline.feed import Decoded
from pipeline.live_feed import LiveInlet
from pipeline.messages import End, Frame, SourceChange
from pipeline.ring import Ring
from pipeline.sources.live import LiveSource
from pipeline.sources.opened import Opened
from tests.media import film, number_of


class Scripted:
    """Containers opened one after the other, as if a camera had come back as another one."""

    def __init__(self, *paths: Path) -> None:
        self.paths = iter(paths)

    def __call__(self, left: object) -> Opened:
        path = next(self.paths, None)
        if path is None:
            raise SourceError("camera: gone; look for it", "unauthorized")
        opened = Opened(str(path), Config().source, 1, lambda _: None)
        opened.live = True
        return opened


def inlet_of(settings: Config, folder: Path, monkeypatch: pytest.MonkeyPatch, *paths: Path) -> LiveInlet:
    script = Scripted(*paths)
    monkeypatch.setattr(LiveSource, "_open", lambda self, left: script(left))
    inlet = LiveInlet(settings, "rtsp://camera/live", folder / "ring.main")
    inlet._source._newest = False  # every picture counts here
    return inlet


def heard(inlet: LiveInlet, seconds: float = 2.0) -> Iterator[Decoded | SourceChange | End]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield from inlet.receive(0.02)


@pytest.fixture
def small(tmp_path) -> Path:
    return film(tmp_path / "small.mp4", 6, options={"bf": "0", "crf": "10"})


@pytest.fixture
def large(tmp_path) -> Path:
    return film(tmp_path / "large.mp4", 6, size=(320, 192), first=10, options={"bf": "0", "crf": "10"})


def test_larger_pictures_get_a_larger_ring_and_the_reader_follows(tmp_path, monkeypatch, small, large) -> None:
    inlet = inlet_of(Config(), tmp_path, monkeypatch, small, large, small)
    ring: Ring | None = None
    seen: list[tuple[int, int, int]] = []
    frames: list[Frame] = []
    for message in heard(inlet):
        if not isinstance(message, Decoded):
            continue
        [frame] = inlet.computation.step([message])
        frames.append(frame)
        ring = ring or Ring.attach(tmp_path / "ring.main")
        with ring.reading(frame) as picture:
            seen.append((frame.seq, picture.width, number_of(np.array(picture.planes[0]))))
        if len(seen) == 18:
            break
    assert [number for _, _, number in seen] == [*range(6), *range(10, 16), *range(6)]
    assert [seq for seq, _, _ in seen] == list(range(18))
    assert [width for width, _ in itertools.groupby(width for _, width, _ in seen)] == [160, 320, 160]
    assert all(a.t_media_ns < b.t_media_ns for a, b in itertools.pairwise(frames))
    inlet.close()


def test_changes_stand_between_the_pictures_with_the_number_of_the_next(tmp_path, monkeypatch, small) -> None:
    inlet = inlet_of(Config(), tmp_path, monkeypatch, small, small)
    told: list[object] = []
    for message in heard(inlet):
        if isinstance(message, Decoded):
            list(inlet.computation.step([message]))
            told.append(message.seq)
        elif isinstance(message, SourceChange):
            told.append((message.state, message.cause, message.seq))
        if told[-1:] == [11]:
            break
    assert told == [
        ("connecting", None, 0),
        ("live", None, 0),
        *range(6),
        ("lost", "broken_off", 6),
        ("live", None, 6),
        *range(6, 12),
    ]
    source = inlet.computation.source
    assert (source.state, source.reconnects, source.failures) == ("live", 1, {"broken_off": 1})
    inlet.close()


def test_pictures_that_gave_way_leave_a_gap_in_the_numbers(tmp_path, monkeypatch, small) -> None:
    inlet = inlet_of(Config(), tmp_path, monkeypatch, small)
    inlet._source._newest = True
    inlet.receive(0.0)  # connects
    time.sleep(0.5)  # nobody asks
    numbers = [m.seq for m in itertools.islice(heard(inlet), 4) if isinstance(m, Decoded)]
    assert numbers[-1] == 5
    assert 6 - len(numbers) == inlet.dropped["superseded"] > 0
    inlet.close()


def test_a_restarted_capture_goes_on_counting(tmp_path, monkeypatch, small) -> None:
    for first in (0, 6):
        inlet = inlet_of(Config(), tmp_path, monkeypatch, small)
        taken = [m for m in itertools.islice(heard(inlet), 8) if isinstance(m, Decoded)]
        frames = list(inlet.computation.step(taken))
        assert [frame.seq for frame in frames] == list(range(first, first + 6))
        assert frames[0].t_media_ns >= (0 if first == 0 else 200_000_000)
        inlet.close()


def calibrated(folder: Path, width: int, height: int) -> Config:
    save(folder / "camera.toml", Calibration(Camera(width, height, 300.0, ((width - 1) / 2, (height - 1) / 2))))
    return config.from_mapping({"camera": {"file": str(folder / "camera.toml")}}, "test")


def test_a_shape_that_was_not_calibrated_ends_it_at_the_start(tmp_path, monkeypatch, small) -> None:
    inlet = inlet_of(calibrated(tmp_path, 100, 100), tmp_path, monkeypatch, small)
    with pytest.raises(SourceError, match="160x96, the camera was calibrated with 100x100") as raised:
        list(heard(inlet))
    assert raised.value.cause == "shape"
    inlet.close()


def test_another_shape_later_is_let_go_of(tmp_path, monkeypatch, small) -> None:
    tall = film(tmp_path / "tall.mp4", 6, size=(160, 160), options={"bf": "0"})
    inlet = inlet_of(calibrated(tmp_path, 160, 96), tmp_path, monkeypatch, small, tall)
    messages = list(itertools.islice(heard(inlet), 10))
    assert sum(isinstance(message, Decoded) for message in messages) == 6
    causes = [message.cause for message in messages if isinstance(message, SourceChange)]
    assert causes == [None, None, "broken_off", "shape"]
    assert inlet.computation.source.state == "lost"
    inlet.close()


def test_it_ends_where_there_is_an_end(tmp_path, small) -> None:
    """A file that a web server gives looks live until it is opened."""
    with av.open(str(small)) as container:
        assert container.streams.video[0].frames == 6
    source = LiveSource(str(small), Config(), newest=False)
    pictures = 0
    while not source.over:
        pictures += sum(not hasattr(happened, "state") for happened in source.poll(0.05))
    assert pictures == 6
    assert source.health.state == "ended"
