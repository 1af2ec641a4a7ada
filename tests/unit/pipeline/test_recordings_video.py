"""Video in a recording: packets as they came, each picture with the number that the run gave it."""

from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
import zmq

from pipeline import config
from pipeline.edge import EdgeHost
from pipeline.edge_bus import EdgeInbox, EdgeOutbox
from pipeline.edges.poses import Poses
from pipeline.errors import ConfigError, OutputError
from pipeline.live import run_live
from pipeline.messages import Frame, encode
from pipeline.packets import Packet, Tap, Taped, decode_taped
from pipeline.recordings import edge as record
from pipeline.recordings.contents import contents_of
from pipeline.recordings.reader import Recording
from pipeline.recordings.replay import replay_recording
from pipeline.recordings.video import pictures_of, write_video
from pipeline.ring import Ring, slot_bytes_for
from pipeline.sources import open_source
from pipeline.stages.capture import Capture
from pipeline.streams import Stream
from pipeline.topology import Edge
from tests.media import HEIGHT, WIDTH, film, number_of
from tests.unit.pipeline.test_edges_record import pose
from tests.unit.pipeline.test_recordings import host, quiet

FRAMES = 40
LIVE = {"preset": "ultrafast", "bf": "0", "g": "10"}


class Sink:
    """Keeps what an edge would be sent."""

    def __init__(self) -> None:
        self.taped: list[Taped] = []

    def send(self, payload: bytes) -> None:
        self.taped.append(decode_taped(payload))


def taped(path: Path, folder: Path, first: int = 0, skip: tuple[int, ...] = ()) -> list[Taped]:
    """What capture says of a film whose frames it numbers from `first`, leaving out some as if they had been late."""
    sink = Sink()
    settings = config.Config()
    source = open_source(str(path), settings, Tap("main", [sink]))
    ring = Ring.create(folder / "ring", 4, slot_bytes_for(WIDTH, HEIGHT))
    capture = Capture(settings, ring, source.info)
    for seq, picture in enumerate(source.pictures(), first):
        if seq - first not in skip:
            sink.send(encode(capture.step(picture, seq, 0)))
    source.close()
    ring.close()
    return sink.taped


def recorded(folder: Path, messages: list[Taped], **settings: float) -> list[Path]:
    edge = record.build(host(folder, **settings))
    for number, message in enumerate(messages):
        edge.tape(message, number)
        edge.idle()
    edge.close()
    return sorted(folder.iterdir())


def numbers(recording: Recording) -> dict[int, int]:
    """Number of each frame and the number that its picture shows."""
    return {seq: number_of(np.asarray(picture.planes[0])) for seq, picture in pictures_of(recording, "main")}


@pytest.mark.parametrize("options", [LIVE, {"preset": "medium", "bf": "3", "g": "12"}], ids=["camera", "B-frames"])
def test_every_picture_comes_back_with_its_number(tmp_path, options) -> None:
    messages = taped(film(tmp_path / "a.mp4", FRAMES, options=options), tmp_path, skip=(5, 6, 17))
    (path,) = recorded(tmp_path / "r", messages)
    recording = Recording(path)
    expected = [seq for seq in range(FRAMES) if seq not in (5, 6, 17)]
    assert numbers(recording) == {seq: seq for seq in expected}
    frames = dict(pictures_of(recording, "main"))
    assert frames[20].t_media_ns == pytest.approx(20 / 25 * 1e9, abs=1e6)
    of = contents_of(path).streams["main"]
    assert of.packets == FRAMES


@pytest.mark.parametrize("codec, pix_fmt, rate_hz", [("mjpeg", "yuvj420p", 25), ("mpeg4", "yuv420p", 25)])
def test_other_codecs(tmp_path, codec, pix_fmt, rate_hz) -> None:
    pictures = film(tmp_path / "a.mkv", FRAMES, codec=codec, pix_fmt=pix_fmt, rate_hz=rate_hz)
    (path,) = recorded(tmp_path / "r", taped(pictures, tmp_path))
    assert numbers(Recording(path)) == {seq: seq for seq in range(FRAMES)}
    assert write_video(Recording(path), "main", tmp_path / "out.mkv") == FRAMES


def test_a_new_connection_has_its_own_clock_and_decoder(tmp_path) -> None:
    """The second begins at time 0 again and has another codec; two frames of the first come late, two are missing."""
    first = taped(film(tmp_path / "a.mp4", 20, options=LIVE), tmp_path, skip=(3, 4))
    again = taped(film(tmp_path / "b.mkv", 20, codec="mjpeg", pix_fmt="yuvj420p", first=20), tmp_path, first=20)
    frames = [message for message in first if isinstance(message, Frame)]
    late = frames[-2:]
    messages = [message for message in first if message not in late] + again[:1] + late + again[1:]
    (path,) = recorded(tmp_path / "r", messages)
    assert numbers(Recording(path)) == {seq: seq for seq in range(40) if seq not in (3, 4)}


def test_each_file_can_be_decoded_from_its_beginning(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("pipeline.recordings.writer.FLUSH_S", 0.0)
    messages = taped(film(tmp_path / "a.mp4", FRAMES, options=LIVE), tmp_path)
    files = recorded(tmp_path / "r", messages, file_mb=0.02)
    assert len(files) >= 3
    seen: set[int] = set()
    for path in files:
        found = numbers(Recording(path))
        assert all(seq == shown for seq, shown in found.items())
        seen |= found.keys()
    assert seen == set(range(FRAMES))


def test_what_was_lost_costs_pictures_up_to_the_next_key_at_most(tmp_path) -> None:
    messages = taped(film(tmp_path / "a.mp4", FRAMES, options=LIVE), tmp_path)
    edge = record.build(host(tmp_path / "r"))
    packets = 0
    for number, message in enumerate(messages):
        packets += isinstance(message, Packet)
        if not (isinstance(message, Packet) and packets == 1):  # the first key packet is lost
            edge.tape(message, number)
    edge.close()
    (path,) = (tmp_path / "r").iterdir()
    assert numbers(Recording(path)) == {seq: seq for seq in range(10, FRAMES)}


def test_each_camera_counts_for_itself(tmp_path) -> None:
    messages = taped(film(tmp_path / "a.mp4", 12, options=LIVE), tmp_path)
    settings = config.from_mapping({"record": {"folder": str(tmp_path / "r")}}, "test")
    edge = record.build(EdgeHost(settings, (Stream("main", "a"), Stream("other", "b"))))
    for number, message in enumerate(messages):
        edge.tape(message, number)
        if number != 7:
            edge.tape(msgspec.structs.replace(message, stream="other"), number)
    edge.close()
    (path,) = (tmp_path / "r").iterdir()
    contents = contents_of(path)
    assert contents.recording.lost == 1
    assert contents.streams["main"].packets == 12
    assert numbers(contents.recording) == {seq: seq for seq in range(12)}


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_the_video_comes_out_as_it_went_in(tmp_path, suffix) -> None:
    original = film(tmp_path / "a.mp4", FRAMES, options=LIVE)
    (path,) = recorded(tmp_path / "r", taped(original, tmp_path))
    out = tmp_path / f"out{suffix}"
    assert write_video(Recording(path), "main", out) == FRAMES
    with av.open(str(original)) as before, av.open(str(out)) as after:
        frames = [list(container.decode(video=0)) for container in (before, after)]
    assert len(frames[1]) == FRAMES
    for one, other in zip(*frames, strict=True):
        assert np.array_equal(one.to_ndarray(), other.to_ndarray())
        assert float(one.time) == pytest.approx(float(other.time), abs=1e-3)


def test_an_overlay_needs_the_video(tmp_path) -> None:
    messages = taped(film(tmp_path / "a.mp4", FRAMES, options=LIVE), tmp_path)
    for name, with_video in (("with", True), ("without", False)):
        edge = record.build(host(tmp_path / name))
        for number, message in enumerate(messages if with_video else []):
            edge.tape(message, number)
        for seq in range(FRAMES):
            edge.take(pose(seq, "refined"), seq)
        edge.close()
        (path,) = (tmp_path / name).iterdir()
        replay_recording(path, tmp_path / f"out-{name}", True, False, quiet())
        assert (tmp_path / f"out-{name}" / "overlay.mp4").is_file() == with_video
        assert len(Poses.read(tmp_path / f"out-{name}" / "poses.npz")) == FRAMES
    with av.open(str(tmp_path / "out-with" / "overlay.mp4")) as container:
        assert len(list(container.decode(video=0))) == FRAMES


def test_without_video_there_is_none_to_take_out(tmp_path) -> None:
    edge = record.build(host(tmp_path / "r"))
    edge.take(pose(0), 0)
    edge.close()
    (path,) = (tmp_path / "r").iterdir()
    with pytest.raises(OutputError, match="no video of main"):
        write_video(Recording(path), "main", tmp_path / "out.mkv")
    assert not list(tmp_path.glob("out*"))


def test_packets_reach_the_edge_in_order_from_two_threads(tmp_path) -> None:
    row = Edge("record", "x", False, True, 10, 8)
    context = zmq.Context()
    box = EdgeOutbox(context, tmp_path, row, "packets")
    inbox = EdgeInbox(context, tmp_path, row)
    messages = taped(film(tmp_path / "a.mp4", 12, options=LIVE), tmp_path)
    for message in messages:
        box.send(encode(message))
    found: list[tuple[int, Taped]] = []
    while len(found) < len(messages):
        inbox.wait(2)
        some = inbox.packets()
        assert some
        found += some
    assert [message for _, message in found] == messages
    box.close()
    box.send(b"after the end nothing happens")
    inbox.close()
    context.destroy(linger=0)


@pytest.mark.parametrize(
    "settings, says",
    [({"video": True}, "say --record DIR"), ({"video": True, "folder": "{}"}, "is a folder of images")],
)
def test_video_that_cannot_be_recorded_is_refused(tmp_path, settings, says) -> None:
    (tmp_path / "images").mkdir()
    settings = {name: str(tmp_path / "r") if value == "{}" else value for name, value in settings.items()}
    chosen = config.from_mapping({"record": settings, "publish": {"endpoint": "ipc:///tmp/never"}}, "test")
    with pytest.raises(ConfigError, match=says):
        run_live(chosen, [str(tmp_path / "images")], 0, quiet(), quiet())
