"""Recordings: what was published is in them, whatever ended them; foreign readers need nothing of posecast."""

import io
import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import mcap.reader
import mcap.stream_reader
import msgpack
import msgspec
import numpy as np
import pytest
from rich.console import Console

from pipeline import config
from pipeline.edge import EdgeHost
from pipeline.edges.poses import Poses
from pipeline.errors import OutputError, PosecastError, SourceError
from pipeline.messages import Event, Health, Hello, PoseFrame, Public, encode
from pipeline.recordings import edge as record
from pipeline.recordings import writer
from pipeline.recordings.about import About
from pipeline.recordings.contents import contents_of
from pipeline.recordings.publishing import publish_again, publish_all
from pipeline.recordings.reader import Recording
from pipeline.recordings.replay import replay_recording
from pipeline.stages.publish import Publish
from pipeline.streams import Stream
from pipeline.subscribe import Subscription
from pipeline.topology import EDGES
from tests.conftest import ROOT
from tests.unit.pipeline.test_edges_record import pose

STREAMS = (Stream("main", "rtsp://***@192.0.2.1/live"),)
HELLO = msgspec.msgpack.decode(Publish(["main"], "9.9").hello("")[1], type=Hello)


def host(folder: Path, **record: float) -> EdgeHost:
    return EdgeHost(config.from_mapping({"record": {"folder": str(folder), **record}}, "test"), STREAMS)


def event(kind: str, seq: int = 0) -> Event:
    return Event(stream="main", seq=seq, t_media_ns=0, t_capture_ns=0, kind=kind)


def beat(stage: str = "track", **more: object) -> Health:
    return Health(stream="main", stage=stage, pid=1, t_unix_ns=0, state="running", **more)


def run_of(frames: int) -> list[Public]:
    """What a short run publishes."""
    poses = [pose(seq, revision) for seq in range(frames) for revision in ("provisional", "refined")]
    return [HELLO, event("stream_started"), *poses, beat(), event("stream_ended", frames)]


def recorded(folder: Path, messages: list[Public], *, close: bool = True, **settings: float) -> list[Path]:
    """Record them all; the files."""
    edge = record.build(host(folder, **settings))
    for number, message in enumerate(messages):
        edge.take(message, number)
        edge.idle()
    if close:
        edge.close()
    return sorted(folder.iterdir())


@pytest.fixture
def at_once(monkeypatch) -> None:
    """Every message is made safe at once, as if time had passed."""
    monkeypatch.setattr(writer, "FLUSH_S", 0.0)


def test_what_was_published_is_in_the_file_in_order(tmp_path) -> None:
    messages = run_of(20)
    (path,) = recorded(tmp_path, messages)
    recording = Recording(path)
    found = list(recording.public())
    assert [message for _, message in found] == messages
    assert [one.number for one, _ in found] == list(range(len(messages)))
    assert [one.data for one, _ in found] == [encode(message) for message in messages]
    assert (recording.whole, recording.lost, recording.end["reason"]) == (True, 0, "end of the run")
    assert all(later.t_unix_ns >= earlier.t_unix_ns for (earlier, _), (later, _) in pairwise(found))


def test_a_reader_that_knows_only_mcap_msgpack_and_json_schema_understands_it(tmp_path) -> None:
    (path,) = recorded(tmp_path, run_of(5))
    with path.open("rb") as file:
        reader = mcap.reader.make_reader(file)
        topics = set()
        for schema, channel, message in reader.iter_messages():
            described = json.loads(schema.data)
            body = described["$defs"][described["$ref"].split("/")[-1]]
            assert (schema.encoding, channel.message_encoding) == ("jsonschema", "msgpack")
            value = msgpack.unpackb(message.data)
            assert set(value) <= set(body["properties"])
            assert set(body["required"]) <= set(value)
            assert value["type"] in body["properties"]["type"]["enum"]
            topics.add(channel.topic)
        assert topics == {"pose/main", "event/main", "health/track", "hello/main"}
        attached = {one.name: one.data for one in reader.iter_attachments()}
        told = {one.name: one.metadata for one in reader.iter_metadata()}
    assert json.loads(attached["skeleton.json"])["joint_names"][0] == "pelvis"
    assert json.loads(attached["settings.json"])["policy"] == "live"
    assert told["sources"] == {"main": "rtsp://***@192.0.2.1/live"}
    assert len(told["weights_sha256"]["stn"]) == 64
    assert told["end"]["messages"] == "14"


def test_every_file_cut_off_anywhere_gives_what_was_whole_before(tmp_path, at_once) -> None:
    """Whatever byte is the last, what was handed to the system in whole chunks before is read, nothing else."""
    (path,) = recorded(tmp_path / "all", run_of(12), close=False)
    data = path.read_bytes()
    counts = []
    cut = tmp_path / "cut.mcap"
    for size in range(0, len(data) + 1, 97):
        cut.write_bytes(data[:size])
        try:
            recording = Recording(cut)
        except SourceError:
            counts.append(-1)
            continue
        counts.append(len(list(recording.public())))
        assert not recording.whole
    assert counts[0] == -1
    assert counts == sorted(counts)
    assert counts[-1] >= len(run_of(12)) - 1


def test_a_damaged_chunk_ends_what_is_read_without_a_wrong_message(tmp_path, at_once) -> None:
    messages = run_of(12)
    (path,) = recorded(tmp_path, messages)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    found = [message for _, message in Recording(path).public()]
    assert found == messages[: len(found)]


def test_what_has_come_is_safe_within_half_a_second(tmp_path) -> None:
    edge = record.build(host(tmp_path))
    edge.take(pose(0), 0)
    (path,) = tmp_path.iterdir()
    deadline = threading.Event()
    for _ in range(8):
        deadline.wait(0.1)
        edge.idle()
    assert len(list(Recording(path).messages())) == 1
    edge.close()


def test_lost_messages_are_written_down(tmp_path) -> None:
    edge = record.build(host(tmp_path))
    for number in (5, 6, 10, 11, 13, 0, 1):
        edge.take(pose(number), number)
    assert "4 messages lost" in edge.note
    edge.close()
    (path,) = tmp_path.iterdir()
    recording = Recording(path)
    assert [one.number for one in recording.messages()] == [5, 6, 10, 11, 13, 0, 1]
    assert recording.lost == 4
    assert recording.end["lost"] == "4"


def test_a_new_file_is_begun_when_one_is_large_and_each_is_complete(tmp_path, at_once) -> None:
    messages = run_of(60)
    files = recorded(tmp_path, messages, file_mb=0.02)
    assert len(files) > 3
    found: list[Public] = []
    for number, path in enumerate(files, 1):
        recording = Recording(path)
        of_file = [message for _, message in recording.public()]
        assert of_file[0] == HELLO
        found += of_file if number == 1 else of_file[1:]
        assert recording.whole
        assert recording.file["number"] == str(number)
        assert recording.about.settings.record.file_mb == 0.02
        assert recording.end["reason"] == ("rotated" if number < len(files) else "end of the run")
        assert path.stat().st_size < 60_000
    assert found == messages


def test_a_new_file_is_begun_when_one_is_old(tmp_path, monkeypatch) -> None:
    edge = record.build(host(tmp_path, file_minutes=1))
    edge.take(pose(0), 0)
    now = writer.time.monotonic()
    monkeypatch.setattr(record.time, "monotonic", lambda: now + 61)
    edge.take(pose(1), 1)
    edge.close()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.fixture
def small_files() -> Iterator[None]:
    """The system lets no file grow beyond 64 KiB, as a full disk would not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_stops_the_recording_with_one_line_and_leaves_it_readable(tmp_path, at_once, small_files) -> None:
    edge = record.build(host(tmp_path))
    noise = np.random.default_rng(0)
    with pytest.raises(OutputError, match=r"recording stopped \(File too large\)") as caught:
        for number in range(1000):
            joints = tuple(tuple(row) for row in noise.normal(size=(17, 3)).tolist())
            edge.take(msgspec.structs.replace(pose(number), joints_root_m=joints), number)
            edge.idle()
    assert "\n" not in str(caught.value)
    (path,) = tmp_path.iterdir()
    read = [one.number for one in Recording(path).messages()]
    assert read == list(range(number))
    assert path.stat().st_size <= 65_536


def test_a_folder_that_cannot_be_written_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="recordings cannot lie there"):
        record.build(host(tmp_path / "file"))


def test_a_run_that_never_saw_its_camera_leaves_no_recording(tmp_path) -> None:
    edge = record.build(host(tmp_path))
    edge.take(HELLO, 0)
    edge.take(beat(), 1)
    edge.take(event("source_connecting"), 2)
    edge.idle()
    edge.close()
    assert list(tmp_path.iterdir()) == []


def test_what_came_before_the_camera_is_recorded_with_it(tmp_path) -> None:
    edge = record.build(host(tmp_path))
    for number, message in enumerate([beat(), HELLO, beat()]):
        edge.take(message, number)
    edge.take(pose(0), 5)
    edge.close()
    (path,) = tmp_path.iterdir()
    recording = Recording(path)
    assert [one.number for one in recording.messages()] == [0, 1, 2, 5]
    assert recording.lost == 2


def test_no_credentials_in_a_recording(tmp_path) -> None:
    (path,) = recorded(tmp_path, run_of(1))
    assert b"rtsp://***@" in path.read_bytes()
    assert all(b"rtsp://" not in data for _, data in Recording(path).about.attachments().values())


def test_the_camera_file_lies_in_the_recording(tmp_path) -> None:
    file = tmp_path / "camera.toml"
    file.write_text("version = 1\n")
    settings = config.from_mapping({"record": {"folder": str(tmp_path / "r")}, "camera": {"file": str(file)}}, "test")
    edge = record.build(EdgeHost(settings, STREAMS))
    edge.take(pose(0), 0)
    edge.close()
    (path,) = (tmp_path / "r").iterdir()
    assert Recording(path).about.cameras == {"main": b"version = 1\n"}


def test_contents_are_counted(tmp_path) -> None:
    messages = [*run_of(10), pose(15), beat("encode", dropped={"superseded": 5})]
    (path,) = recorded(tmp_path, messages)
    contents = contents_of(path)
    of = contents.streams["main"]
    assert (len(of.frames), of.missing, dict(of.revisions)) == (11, 5, {"provisional": 11, "refined": 10})
    assert dict(of.events) == {"stream_started": 1, "stream_ended": 1}
    told = contents.as_dict()
    assert (told["messages"], told["lost"], told["whole"]) == (len(messages), 0, True)
    assert told["dropped"] == {"encode main": {"superseded": 5}}
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize("content", [b"", b"MCAP", b"\x89MCAP0\r\n", b"no recording" * 100])
def test_what_is_no_recording_is_refused_in_one_line(tmp_path, content) -> None:
    path = tmp_path / "x.mcap"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="no recording of posecast") as caught:
        contents_of(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(SourceError, match="cannot be read"):
        contents_of(tmp_path / "none.mcap")


def quiet() -> Console:
    return Console(file=io.StringIO(), width=120)


def test_a_recording_gives_the_results_of_a_replay(tmp_path) -> None:
    messages = run_of(30)
    (path,) = recorded(tmp_path / "recorded", messages)
    assert replay_recording(path, tmp_path / "out", True, True, quiet()) == 0
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"poses.msgpack", "poses.npz", "summary.json", "plot.png"}
    poses = Poses.read(tmp_path / "out" / "poses.npz")
    assert poses.seq.tolist() == list(range(30))
    assert set(poses.revision.tolist()) == {1}
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["frames_in"], summary["frames_out"]) == (30, 30)
    assert summary["weights_sha256"] == Recording(path).about.weights_sha256
    public = [encode(message) for message in messages if isinstance(message, PoseFrame | Event)]
    assert (tmp_path / "out" / "poses.msgpack").read_bytes() == b"".join(public)


def test_a_recording_of_several_streams_gives_a_folder_each(tmp_path) -> None:
    settings = config.from_mapping({"record": {"folder": str(tmp_path / "r")}}, "test")
    edge = record.build(EdgeHost(settings, (Stream("a", "a.mp4"), Stream("b", "b.mp4"))))
    for number in range(20):
        edge.take(msgspec.structs.replace(pose(number // 2), stream="ab"[number % 2]), number)
    edge.close()
    (path,) = (tmp_path / "r").iterdir()
    replay_recording(path, tmp_path / "out", True, False, quiet())
    for stream in "ab":
        assert len(Poses.read(tmp_path / "out" / stream / "poses.npz")) == 10


def test_a_recording_without_a_pose_is_refused_and_leaves_nothing_half(tmp_path) -> None:
    path = tmp_path / "no-pose.mcap"
    file = writer.RecordingFile(path, About.of(host(tmp_path).config, STREAMS), 1)
    file.add(HELLO, 0)
    file.close("end of the run")
    with pytest.raises(SourceError, match="not one pose"):
        replay_recording(path, tmp_path / "out", True, True, quiet())


@pytest.mark.parametrize("speed", [float("inf"), 50.0])
def test_a_recording_is_published_again_as_it_was(tmp_path, speed) -> None:
    messages = run_of(30)
    (path,) = recorded(tmp_path / "recorded", messages)
    endpoint = f"ipc://{tmp_path}/again.sock"
    settings = config.Publish(endpoint=endpoint)
    thread = threading.Thread(target=publish_again, args=(path, settings, speed, quiet()))
    thread.start()
    with Subscription(endpoint, ("",), until_ended=False) as subscription:
        found = []
        deadline = time.monotonic() + 20
        while not subscription.ended and time.monotonic() < deadline:
            found += [message for message in [subscription.receive(100)] if message is not None]
    thread.join(5)
    assert not thread.is_alive()
    assert [message for message in found if not isinstance(message, Hello)] == messages[1:]
    assert isinstance(found[0], Hello)


def test_one_that_was_cut_off_is_ended_when_it_is_published_again(tmp_path, at_once) -> None:
    (path,) = recorded(tmp_path / "recorded", run_of(5)[:-1], close=False)
    endpoint = f"ipc://{tmp_path}/again.sock"
    publisher = threading.Thread(
        target=publish_again, args=(path, config.Publish(endpoint=endpoint), float("inf"), quiet())
    )
    publisher.start()
    with Subscription(endpoint, ("pose/",)) as subscription:
        assert len([message for message in subscription if isinstance(message, PoseFrame)]) == 10
        assert subscription.ended
    publisher.join(5)


@pytest.mark.parametrize("files, speed", [(["x.mp4"], 1.0), (["x.mcap"], -1.0), (["x.mcap"], float("nan"))])
def test_what_cannot_be_published_again_is_refused(files, speed) -> None:
    with pytest.raises(PosecastError):
        publish_all(files, config.Publish(), speed, quiet())


TEXT = (ROOT / "docs" / "recordings.md").read_text(encoding="utf-8")


def test_the_documented_reader_reads(tmp_path) -> None:
    (path,) = recorded(tmp_path, run_of(5))
    code = TEXT.split("```python\n", 1)[1].split("```", 1)[0]
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[:2] == ["0 provisional True", "0 refined True"]
    assert len(done.stdout.splitlines()) == 10


def test_the_document_names_all_that_is_in_a_file(tmp_path) -> None:
    edge = record.build(host(tmp_path))
    for number, message in ((0, pose(0)), (2, pose(2))):
        edge.take(message, number)
    edge.close()
    (path,) = tmp_path.iterdir()
    with path.open("rb") as file:
        reader = mcap.reader.make_reader(file)
        names = {one.name for one in (*reader.iter_attachments(), *reader.iter_metadata())}
    assert names == {"settings.json", "skeleton.json", "posecast", "sources", "weights_sha256", "file", "lost", "end"}
    for name in names:
        assert f"| `{name}` |" in TEXT, name
    settings = config.Record()
    assert f"after {settings.file_minutes:.0f} minutes or {settings.file_mb / 1000:.0f} GB" in TEXT
    (row,) = [row for row in EDGES if row.name == "record"]
    assert f"Up to {row.queue} messages" in TEXT
