"""The loop of a shared stage, on real sockets: each stream ends by itself, the stage when all have."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest
import zmq

from pipeline.bus import Inbox, Outbox, endpoint
from pipeline.config import Config
from pipeline.messages import End, Event, Health, decode_health
from pipeline.runner import Pulse, Runner
from pipeline.stopping import Stop
from pipeline.topology import Layout


def event(stream: str, seq: int) -> Event:
    return Event(stream=stream, seq=seq, t_media_ns=0, t_capture_ns=0, kind="stream_started")


def end(stream: str) -> End:
    return End(stream=stream, seq=0, t_media_ns=0, t_capture_ns=0)


class HoldsOneBack:
    """Hands each message on when the next of its stream comes, and the last when the stream ends."""

    note = "test"
    batch = 4

    def __init__(self) -> None:
        self.held: dict[str, Event] = {}
        self.batches: list[int] = []

    def step(self, messages: Sequence[Event]) -> Iterable[Event]:
        self.batches.append(len(messages))
        for message in messages:
            if message.stream in self.held:
                yield self.held[message.stream]
            self.held[message.stream] = message

    def flush(self, stream: str) -> Iterable[Event]:
        return [self.held.pop(stream)] if stream in self.held else []


class Stand:
    """A stage of two streams between a writer and a reader, and where its heart is heard."""

    def __init__(self, folder: Path) -> None:
        self.context = zmq.Context()
        self.computation = HoldsOneBack()
        inbox = Inbox(self.context, endpoint(folder, "decode"), queue=64, newest=False)
        inbox.gather(self.computation.batch, 0.01)
        self.writer = Outbox(self.context, endpoint(folder, "decode"), queue=64, blocking=True)
        self.reader = Inbox(self.context, endpoint(folder, "smooth"), queue=64, newest=False)
        self.control = self.context.socket(zmq.PULL)
        self.control.bind(endpoint(folder, "supervisor"))
        out = Outbox(self.context, endpoint(folder, "smooth"), queue=64, blocking=True)
        beat = Outbox(self.context, endpoint(folder, "supervisor"), queue=64, blocking=False)
        node = Layout(["a", "b"], Config().processes).node("decode")
        self.stop = Stop()
        self.runner = Runner(node, self.computation, inbox, out, Pulse("decode", "", beat), self.stop)
        self.thread = threading.Thread(target=self.runner.run)
        self.open = [inbox, self.reader, *[_Discarding(box) for box in (self.writer, out, beat)]]

    def send(self, *messages: Event | End) -> None:
        for message in messages:
            self.writer.send(message, lambda: True)

    def got(self, until: Callable[[list], bool], patience_s: float = 5.0) -> list:
        messages: list = []
        deadline = time.monotonic() + patience_s
        while not until(messages) and time.monotonic() < deadline:
            messages += self.reader.receive(0.05)
        assert until(messages), messages
        return messages

    def health(self, *ended: str) -> Health:
        """The heartbeat that says that these streams have ended, or the newest."""
        health = decode_health(self.control.recv())
        while self.control.poll(50 if set(ended) <= set(health.ended) else 5_000):
            health = decode_health(self.control.recv())
        return health


class _Discarding:
    def __init__(self, box: Outbox) -> None:
        self.box = box

    def close(self) -> None:
        self.box.close(discard=True)


@pytest.fixture
def stand(tmp_path) -> Iterator[Stand]:
    stand = Stand(tmp_path)
    stand.thread.start()
    yield stand
    stand.stop.set()
    stand.thread.join(5)
    for box in stand.open:
        box.close()
    stand.control.close(linger=0)
    stand.context.destroy(linger=0)
    assert not stand.thread.is_alive()


def ends(messages: list) -> list[str]:
    return [message.stream for message in messages if isinstance(message, End)]


def test_a_stream_that_ends_is_flushed_and_the_other_goes_on(stand) -> None:
    stand.send(event("a", 0), event("b", 0), event("a", 1), end("a"))
    first = stand.got(ends)
    assert [(type(message).__name__, message.stream, message.seq) for message in first] == [
        ("Event", "a", 0),
        ("Event", "a", 1),
        ("End", "a", 0),
    ]
    health = stand.health("a")
    assert (health.stage, health.stream, health.state, health.ended) == ("decode", "", "running", ("a",))
    stand.send(event("b", 1), event("b", 2), end("b"))
    rest = stand.got(ends)
    assert [message.seq for message in rest if message.stream == "b" and isinstance(message, Event)] == [0, 1, 2]
    health = stand.health("a", "b")
    assert (health.state, health.ended, health.received, health.sent) == ("ended", ("a", "b"), 5, 5)


def test_an_end_said_again_does_not_end_the_others(stand) -> None:
    stand.send(event("a", 0), end("a"), end("a"), end("a"), event("b", 0), event("b", 1))
    messages = stand.got(lambda messages: len(messages) == 3)
    assert ends(messages) == ["a"]
    assert {message.stream for message in messages} == {"a", "b"}
    assert stand.health("a").state == "running"


def test_what_came_together_is_computed_together_in_order(stand) -> None:
    for seq in range(20):
        stand.send(event("a", seq), event("b", seq))
    stand.send(end("a"), end("b"))
    messages = stand.got(lambda messages: len(ends(messages)) == 2)
    for stream in "ab":
        assert [m.seq for m in messages if m.stream == stream and isinstance(m, Event)] == list(range(20))
    assert max(Counter(stand.computation.batches)) > 1
    assert sum(stand.computation.batches) == 40
    stamps = [message.stamps[-1] for message in messages if isinstance(message, Event)]
    assert all(stamp.stage == "decode" and 0 < stamp.t_in_ns <= stamp.t_out_ns for stamp in stamps)


def test_a_result_goes_on_while_its_stage_still_works(stand) -> None:
    allowed = threading.Event()

    class Dawdles(HoldsOneBack):
        def step(self, messages: Sequence[Event]) -> Iterable[Event]:
            for message in messages:
                yield message
                assert allowed.wait(5)

    stand.runner._computation = Dawdles()
    stand.send(event("a", 0))
    (first,) = stand.got(lambda messages: bool(messages))
    assert (first.stream, first.seq, allowed.is_set()) == ("a", 0, False)
    allowed.set()
    stand.send(event("a", 1), end("a"), end("b"))
    assert [message.seq for message in stand.got(lambda messages: len(ends(messages)) == 2)][:1] == [1]
