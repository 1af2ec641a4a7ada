"""Queues between stages: bounded, newest wins where the table says so, every drop counted, nothing lost in replay."""

import contextlib
import threading
import time

import pytest
import zmq

from pipeline.bus import Inbox, Outbox, PublicSocket
from pipeline.messages import End, Event, Frame, Health, decode_public, encode


def event(seq: int) -> Event:
    return Event(stream="s", seq=seq, t_media_ns=0, t_capture_ns=0, kind="stream_started", detail="x" * 1000)


def end(seq: int) -> End:
    return End(stream="s", seq=seq, t_media_ns=0, t_capture_ns=0)


@pytest.fixture
def context():
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def closing(context):
    """Registers what must be closed when the test ends."""
    with contextlib.ExitStack() as stack:

        def register(thing):
            stack.callback(thing.close, **({"discard": True} if isinstance(thing, Outbox) else {}))
            return thing

        yield register


@pytest.fixture
def address(tmp_path) -> str:
    return f"ipc://{tmp_path}/box.sock"


def received(inbox: Inbox, patience_s: float = 2.0) -> list:
    deadline = time.monotonic() + patience_s
    messages: list = []
    while time.monotonic() < deadline and not (messages and isinstance(messages[-1], End)):
        messages += inbox.receive(0.05)
    return messages


def test_newest_wins_and_the_rest_is_counted(context, address, closing) -> None:
    inbox = closing(Inbox(context, address, queue=16, newest=True))
    outbox = closing(Outbox(context, address, queue=16, blocking=False))
    for seq in range(10):
        outbox.send(event(seq), lambda: True)
    outbox.send(end(10), lambda: True)
    time.sleep(0.2)
    messages = received(inbox)
    assert [message.seq for message in messages] == [9, 10], "the newest and the end"
    assert inbox.dropped["superseded"] == 9


def test_fifo_keeps_order(context, address, closing) -> None:
    inbox = closing(Inbox(context, address, queue=64, newest=False))
    outbox = closing(Outbox(context, address, queue=64, blocking=False))
    for seq in range(10):
        outbox.send(event(seq), lambda: True)
    outbox.send(end(10), lambda: True)
    assert [message.seq for message in received(inbox)] == list(range(11))


def test_full_live_queue_drops_and_counts(context, address, closing) -> None:
    """There is no reader yet, so nothing leaves the queue."""
    outbox = closing(Outbox(context, address, queue=4, blocking=False))
    accepted = sum(outbox.send(event(seq), lambda: True) for seq in range(50))
    assert accepted == 4
    assert outbox.dropped["queue_full"] == 46


def test_replay_queue_waits_and_loses_nothing(context, address, closing) -> None:
    count = 300
    all_read = threading.Event()

    def write() -> None:
        outbox = Outbox(context, address, queue=2, blocking=True)
        for seq in range(count):
            assert outbox.send(event(seq), lambda: True)
        outbox.send(end(count), lambda: True)
        all_read.wait(30)  # as a stage does: what lies in the reader's queue can be lost when the writer disconnects
        outbox.close()

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(0.1)
    inbox = closing(Inbox(context, address, queue=2, newest=False))
    messages = received(inbox, patience_s=20)
    all_read.set()
    writer.join()
    assert [message.seq for message in messages] == list(range(count + 1))


def test_blocked_writer_hears_a_stop(context, address, closing) -> None:
    outbox = closing(Outbox(context, address, queue=1, blocking=True))
    calls = iter([True, True, False])
    results = [outbox.send(event(0), lambda: True), outbox.send(event(1), lambda: next(calls))]
    assert results == [True, False]
    assert outbox.dropped["stopped"] == 1


def test_writer_survives_a_restarted_reader(context, address, closing) -> None:
    outbox = closing(Outbox(context, address, queue=16, blocking=False))
    first = Inbox(context, address, queue=16, newest=False)
    outbox.send(event(0), lambda: True)
    assert first.receive(2)
    first.close()
    time.sleep(0.1)
    outbox.send(event(1), lambda: True)
    second = closing(Inbox(context, address, queue=16, newest=False))
    outbox.send(end(2), lambda: True)
    assert received(second)[-1].seq == 2


def test_hop_carries_plain_msgpack(context, address, closing) -> None:
    import msgpack

    frame = Frame(
        stream="s",
        seq=3,
        t_media_ns=1,
        t_capture_ns=2,
        width=4,
        height=2,
        rotation_deg=0,
        layout="nv12",
        matrix="bt709",
        full_range=False,
        planes=(),
        slot=1,
        generation=2,
        rate_hz=50.0,
    )
    plain = msgpack.unpackb(encode(frame))
    assert plain["type"] == "frame"
    assert plain["seq"] == 3
    assert plain["layout"] == "nv12"


def test_slow_subscriber_loses_only_its_own(context, tmp_path, closing) -> None:
    address = f"ipc://{tmp_path}/public.sock"
    public = closing(PublicSocket(context, address, queue=1000, lossless=False))
    quick, slow = closing(context.socket(zmq.SUB)), closing(context.socket(zmq.SUB))
    for subscriber in (quick, slow):
        subscriber.rcvhwm = 1000
        subscriber.linger = 0
        subscriber.connect(address)
        subscriber.subscribe("event/")
    deadline = time.monotonic() + 5
    topics: list[str] = []
    while len(topics) < 2 and time.monotonic() < deadline:
        topics += public.subscriptions()
    assert topics == ["event/", "event/"]
    got = []
    for seq in range(6000):
        assert public.send("event/s", encode(event(seq)), lambda: True)
        assert quick.poll(2000)
        got.append(decode_public(quick.recv_multipart()[1]).seq)
    assert got == list(range(6000))
    lagging = []
    while slow.poll(200):
        lagging.append(slow.recv_multipart())
    assert 0 < len(lagging) < 6000


def test_health_is_never_superseded(context, address, closing) -> None:
    inbox = closing(Inbox(context, address, queue=16, newest=True))
    outbox = closing(Outbox(context, address, queue=16, blocking=False))
    health = Health(stream="s", stage="track", pid=1, t_unix_ns=0, state="running")
    for message in (event(0), health, event(1), end(2)):
        outbox.send(message, lambda: True)
    time.sleep(0.2)
    kinds = [type(message) for message in received(inbox)]
    assert kinds == [Event, Health, End]
