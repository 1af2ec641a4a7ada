import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
import zmq

import pipeline.subscribe as module
from pipeline.errors import EndpointError
from pipeline.messages import SCHEMA, Event, Hello, PoseFrame, encode
from pipeline.stages.publish import Publish
from pipeline.subscribe import SchemaError, Subscription, subscribe

ROOT = Path(__file__).resolve().parents[3]


def pose(seq: int, **changes: object) -> PoseFrame:
    plain = PoseFrame(
        stream="main",
        seq=seq,
        t_media_ns=0,
        t_capture_ns=time.time_ns() - 40_000_000,
        width=640,
        height=480,
        rate_hz=25.0,
        revision="provisional",
        lookahead=0,
        subject=3,
        tracked=True,
        presence=1.0,
        joints_conf=(0.5,) * 17,
        root_cam_m=(1.0, -0.25, 8.0),
    )
    return msgspec.structs.replace(plain, **changes)


ENDED = Event(stream="main", seq=9, t_media_ns=0, t_capture_ns=0, kind="stream_ended", detail="9 frames")


class Publisher(threading.Thread):
    """Greets `subscriptions` subscriptions on a real XPUB socket, then publishes `messages`."""

    def __init__(self, messages, subscriptions: int, raw: bytes | None, streams, over) -> None:
        super().__init__(daemon=True)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self.endpoint = f"tcp://127.0.0.1:{self._socket.bind_to_random_port('tcp://127.0.0.1')}"
        self._messages, self._subscriptions, self._raw = messages, subscriptions, raw
        self._streams, self._over = streams, over
        self.finish = threading.Event()

    def run(self) -> None:
        publish = Publish(self._streams, version="1.2.3")
        for stream in self._over:
            publish.step(ended(stream))
        for _ in range(self._subscriptions):
            assert self._socket.poll(10_000)
            topic, payload = publish.hello(self._socket.recv()[1:].decode())
            self._socket.send_multipart((topic.encode(), payload))
        for message in self._messages:
            for topic, payload in publish.step(message):
                self._socket.send_multipart((topic.encode(), payload))
        if self._raw is not None:
            self._socket.send_multipart((b"pose/main", self._raw))
        self.finish.wait(20)
        self._socket.close(linger=0)
        self._context.term()


@pytest.fixture
def publisher():
    started = []

    def start(messages, subscriptions: int = 3, raw: bytes | None = None, streams=("main",), over=()) -> Publisher:
        thread = Publisher(messages, subscriptions, raw, streams, over)
        started.append(thread)
        thread.start()
        return thread

    yield start
    for thread in started:
        thread.finish.set()
        thread.join(10)
        assert not thread.is_alive()


def test_poses_come_in_order_and_the_end_ends_the_iteration(publisher):
    source = publisher([pose(0), pose(1), pose(0, revision="refined"), ENDED, pose(99)])
    with Subscription(source.endpoint) as subscription:
        messages = list(subscription)
    hello, *rest = messages
    assert isinstance(hello, Hello)  # three were sent, one for each topic; they say the same
    assert [(m.seq, getattr(m, "revision", "event")) for m in rest] == [
        (0, "provisional"),
        (1, "provisional"),
        (0, "refined"),
        (9, "event"),
    ]


def test_only_the_topics_asked_for_are_yielded_yet_the_end_is_heard(publisher):
    source = publisher([pose(0), ENDED], subscriptions=2)
    with Subscription(source.endpoint, ["pose/"]) as subscription:
        kinds = [type(message).__name__ for message in subscription]
    assert kinds == ["Hello", "PoseFrame"]


def test_a_higher_schema_is_refused_in_one_line(publisher):
    source = publisher([], raw=msgspec.msgpack.encode({"type": "pose", "schema": SCHEMA + 1, "new": 1}))
    with (
        Subscription(source.endpoint) as subscription,
        pytest.raises(SchemaError, match=f"schema {SCHEMA + 1}") as error,
    ):
        list(subscription)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("raw", [b"", b"hello", b"\x93\x01\x02\x03", encode(ENDED)[:20], b"\x81\xa1a\x01"])
def test_what_is_not_ours_is_refused(publisher, raw):
    source = publisher([], raw=raw)
    with Subscription(source.endpoint) as subscription, pytest.raises(SchemaError, match="something else"):
        list(subscription)


@pytest.mark.parametrize("endpoint", ["tcp://", "nonsense://x:1", "tcp://127.0.0.1:notaport"])
def test_a_wrong_address_is_told_in_one_line(endpoint):
    with pytest.raises(EndpointError, match="tcp://HOST:5599"):
        Subscription(endpoint)


def test_json_lines(publisher):
    source = publisher([pose(0), pose(1, root_cam_m=(float("nan"), 0.0, 1.0)), ENDED])
    out = io.StringIO()
    assert subscribe(source.endpoint, json=True, out=out, err=io.StringIO()) == 0
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row["type"] for row in rows] == ["hello", "pose", "pose", "event"]
    assert rows[1]["root_cam_m"] == [1.0, -0.25, 8.0]
    assert rows[2]["root_cam_m"] == [None, 0.0, 1.0]


def test_lines_for_eyes(publisher):
    source = publisher([pose(7), pose(8, tracked=False), ENDED])
    out = io.StringIO()
    assert subscribe(source.endpoint, out=out, err=io.StringIO()) == 0
    hello, seen, nobody, ended = out.getvalue().splitlines()
    assert "1.2.3" in hello
    assert all(word in seen for word in ("7", "provisional", "subject 3", "confidence 0.50", "+8.00 m"))
    age_ms = float(seen.split("ms old")[0].split()[-1])
    assert 40 <= age_ms < 10_000
    assert "no subject" in nobody
    assert "stream_ended: 9 frames" in ended


def test_count_ends_it(publisher):
    source = publisher([pose(seq) for seq in range(50)])
    out = io.StringIO()
    assert subscribe(source.endpoint, json=True, count=3, out=out, err=io.StringIO()) == 0
    assert [json.loads(line).get("seq") for line in out.getvalue().splitlines()] == [None, 0, 1, 2]


def test_silence_is_told_once_and_waiting_goes_on(monkeypatch):
    monkeypatch.setattr(module, "SILENCE_S", 0.2)
    stop, err = threading.Event(), io.StringIO()
    timer = threading.Timer(1.0, stop.set)
    timer.start()
    started = time.monotonic()
    assert subscribe("tcp://127.0.0.1:9", stop=stop, out=io.StringIO(), err=err) == 0
    assert 0.9 < time.monotonic() - started < 5
    assert err.getvalue().count("nobody has published") == 1


def test_sigint_ends_a_real_process_with_0():
    code = "import sys; from pipeline.subscribe import subscribe; sys.exit(subscribe('127.0.0.1:9'))"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            first = child.stderr.readline()  # it says after 5 s that nobody is there
            child.send_signal(signal.SIGINT)
            child.wait(5)
        finally:
            child.kill()
        assert "127.0.0.1:9" in first
        assert child.returncode == 0
        assert "Traceback" not in child.stderr.read()


def ended(stream: str) -> Event:
    return Event(stream=stream, seq=9, t_media_ns=0, t_capture_ns=0, kind="stream_ended")


TWO = ["left", "right-hand"]


def test_the_iteration_ends_when_all_streams_have(publisher):
    messages = [pose(0, stream="left"), ended("left"), pose(1, stream="right-hand"), ended("right-hand"), pose(99)]
    source = publisher(messages, streams=TWO)
    with Subscription(source.endpoint) as subscription:
        got = [message.seq for message in subscription if not isinstance(message, Hello)]
    assert got == [0, 9, 1, 9]


def test_who_asked_for_one_stream_waits_for_no_other(publisher):
    source = publisher([pose(0, stream="left"), ended("left"), pose(1, stream="right-hand")], 2, streams=TWO)
    with Subscription(source.endpoint, ["pose/left"]) as subscription:
        got = [message.seq for message in subscription if not isinstance(message, Hello)]
    assert got == [0]


def test_who_comes_late_waits_for_no_stream_that_is_over(publisher):
    source = publisher([pose(0, stream="left"), ended("left")], streams=TWO, over=["right-hand"])
    with Subscription(source.endpoint) as subscription:
        assert [message.seq for message in subscription if not isinstance(message, Hello)] == [0, 9]


def test_lines_name_the_stream_where_there_are_several(publisher):
    messages = [pose(7, stream="left"), pose(8, stream="right-hand"), ended("right-hand"), ended("left")]
    source = publisher(messages, streams=TWO)
    out = io.StringIO()
    assert subscribe(source.endpoint, out=out, err=io.StringIO()) == 0
    hello, *lines = out.getvalue().splitlines()
    assert "streams left, right-hand" in hello
    assert [line.split()[:3] for line in lines] == [
        ["7", "left", "provisional"],
        ["8", "right-hand", "provisional"],
        ["9", "right-hand", "stream_ended"],
        ["9", "left", "stream_ended"],
    ]
    assert lines[0].index("provisional") == lines[1].index("provisional")
