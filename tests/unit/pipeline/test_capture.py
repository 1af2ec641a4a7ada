"""Capture: the message describes the picture that lies in the ring."""

from pathlib import Path

import numpy as np
import pytest

from pipeline import messages
from pipeline.config import Config
from pipeline.errors import OutputError
from pipeline.picture import Picture, cut
from pipeline.ring import Overrun, Ring, slot_bytes_for
from pipeline.sources import SourceInfo, open_source
from pipeline.stages.capture import Capture
from tests.media import HEIGHT, WIDTH, film, number_of


@pytest.fixture(params=[None, 90, 180], ids=["upright", "turned", "upside down"])
def video(tmp_path, request) -> Path:
    return film(tmp_path / "film.mp4", 9, rotation_ccw_deg=request.param, options={"crf": "10"})


def capture_of(tmp_path: Path, info: SourceInfo, slots: int = 4) -> tuple[Capture, Ring]:
    path = tmp_path / "ring"
    ring = Ring.reopen(path, slots, slot_bytes_for(info.width, info.height))
    return Capture(Config(stream="pool"), ring, info), Ring.attach(path)


def test_frames_through_the_wire_and_the_ring(tmp_path, video) -> None:
    source = open_source(str(video), Config())
    capture, reader = capture_of(tmp_path, source.info)
    for seq, picture in enumerate(source.pictures()):
        sent = capture.step(picture, seq, 1_000 + seq)
        frame = messages.decode(messages.encode(sent))
        assert frame == sent
        assert isinstance(frame, messages.Frame)
        assert (frame.stream, frame.seq, frame.t_capture_ns) == ("pool", seq, 1_000 + seq)
        assert (frame.t_media_ns, frame.rate_hz) == (40_000_000 * seq, 25.0)
        assert (frame.width, frame.height) == (source.info.width, source.info.height)
        assert frame.rotation_deg == source.info.rotation_deg
        with reader.reading(frame) as seen:
            assert number_of(seen.planes[0]) == seq
            assert all(np.array_equal(a, b) for a, b in zip(seen.planes, picture.planes, strict=True))
            assert (seen.width, seen.height) == (frame.width, frame.height)
            crop = cut(seen, np.eye(3), (frame.width, frame.height))
            assert np.array_equal(crop, cut(picture, np.eye(3), (frame.width, frame.height)))
    assert seq == 8


def test_a_slow_reader_learns_that_it_was_overtaken(tmp_path, video) -> None:
    source = open_source(str(video), Config())
    capture, reader = capture_of(tmp_path, source.info)
    frames = [capture.step(picture, seq, 0) for seq, picture in enumerate(source.pictures())]
    outcomes = []
    for frame in frames:
        try:
            with reader.reading(frame) as seen:
                outcomes.append(number_of(seen.planes[0]))
        except Overrun as overrun:
            outcomes.append(-overrun.behind)
    assert outcomes == [-2, -1, -1, -1, -1, 5, 6, 7, 8]


def test_a_restarted_capture_goes_on_counting(tmp_path, video) -> None:
    source = open_source(str(video), Config())
    capture, reader = capture_of(tmp_path, source.info)
    for seq, picture in zip(range(4), source.pictures(), strict=False):
        capture.step(picture, seq, 0)
    again = open_source(str(video), Config())
    capture, _ = capture_of(tmp_path, again.info)
    frames = [capture.step(picture, 4 + at, 0) for at, picture in enumerate(again.pictures(start=4))]
    assert [frame.seq for frame in frames] == [4, 5, 6, 7, 8]
    assert [frame.t_media_ns for frame in frames] == [40_000_000 * seq for seq in range(4, 9)]
    with reader.reading(frames[-1]) as seen:
        assert number_of(seen.planes[0]) == 8
    with pytest.raises(ValueError, match="must grow"):
        capture.step(picture, 8, 0)


def test_nv12_keeps_its_layout(tmp_path) -> None:
    rng = np.random.default_rng(5)
    planes = tuple(rng.integers(0, 256, shape, dtype=np.uint8) for shape in [(HEIGHT, WIDTH), (HEIGHT // 2, WIDTH)])
    info = SourceInfo("camera", WIDTH, HEIGHT, 30.0, 0, live=True, frames=None)
    capture, reader = capture_of(tmp_path, info)
    frame = capture.step(Picture(planes, "nv12", "bt601", full_range=True, t_media_ns=5), 3, 0)
    assert (frame.layout, frame.matrix, frame.full_range, frame.t_media_ns) == ("nv12", "bt601", True, 5)
    with reader.reading(frame) as seen:
        assert all(np.array_equal(a, b) for a, b in zip(seen.planes, planes, strict=True))


def test_a_picture_that_outgrew_the_ring_is_one_line(tmp_path) -> None:
    info = SourceInfo("camera", 64, 48, 30.0, 0, live=True, frames=None)
    capture, _ = capture_of(tmp_path, info)
    large = Picture((np.zeros((960, 640), np.uint8), *[np.zeros((480, 320), np.uint8)] * 2), "yuv420p")
    with pytest.raises(OutputError, match="640x960 does not fit; restart with this source"):
        capture.step(large, 0, 0)
