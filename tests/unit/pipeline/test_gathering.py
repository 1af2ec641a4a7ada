"""An inbox of several streams: each keeps its order, its turn and its newest; nobody waits for who is silent."""

import time
from collections.abc import Iterator

import pytest
import zmq

from pipeline.bus import Inbox, Outbox
from pipeline.messages import End, Event

WAIT_S = 0.25
"""Far longer than in any run, so that a busy machine cannot blur what is waited for."""


def event(stream: str, seq: int) -> Event:
    return Event(stream=stream, seq=seq, t_media_ns=0, t_capture_ns=0, kind="stream_started")


def end(stream: str) -> End:
    return End(stream=stream, seq=0, t_media_ns=0, t_capture_ns=0)


class Stand:
    """An inbox, and an outbox of its own for each stream."""

    def __init__(self, address: str) -> None:
        self.context = zmq.Context()
        self.address = address
        self.outboxes: dict[str, Outbox] = {}

    def inbox(self, batch: int, newest: bool = False) -> Inbox:
        self.reader = Inbox(self.context, self.address, queue=64, newest=newest)
        self.reader.gather(batch, WAIT_S)
        return self.reader

    def send(self, *messages: Event | End) -> None:
        """Each on its stream's own way, one after the other, and delivered when this returns."""
        for message in messages:
            if message.stream not in self.outboxes:
                self.outboxes[message.stream] = Outbox(self.context, self.address, queue=64, blocking=False)
            assert self.outboxes[message.stream].send(message, lambda: True)
            time.sleep(0.05)


@pytest.fixture
def stand(tmp_path) -> Iterator[Stand]:
    stand = Stand(f"ipc://{tmp_path}/box.sock")
    yield stand
    for outbox in stand.outboxes.values():
        outbox.close(discard=True)
    stand.reader.close()
    stand.context.destroy(linger=0)


def names(messages: list) -> list[str]:
    return [f"{message.stream}{message.seq}" if isinstance(message, Event) else "end" for message in messages]


def test_what_is_there_comes_at_once_in_each_streams_order(stand) -> None:
    inbox = stand.inbox(batch=8)
    stand.send(*(event(stream, seq) for seq in range(3) for stream in "abc"))
    began = time.monotonic()
    got = inbox.receive(1.0)
    assert time.monotonic() - began < WAIT_S / 2, "there is one of every stream: nothing to wait for"
    got += inbox.receive(0.5)
    assert len(got) == 9
    for stream in "abc":
        assert [message.seq for message in got if message.stream == stream] == [0, 1, 2]


def test_never_more_than_a_batch(stand) -> None:
    inbox = stand.inbox(batch=2)
    stand.send(*(event(stream, 0) for stream in "abcde"))
    assert [len(inbox.receive(0.5)) for _ in range(4)] == [2, 2, 1, 0]


def test_the_first_waits_for_the_others_but_not_longer_than_agreed(stand) -> None:
    inbox = stand.inbox(batch=8)
    stand.send(event("a", 0), event("b", 0))
    assert len(inbox.receive(1.0)) == 2
    stand.send(event("a", 1))
    began = time.monotonic()
    assert names(inbox.receive(1.0)) == ["a1"]
    waited = time.monotonic() - began
    assert WAIT_S * 0.8 < waited < WAIT_S * 2, f"waited {waited:.3f} s for b"


def test_a_silent_stream_is_waited_for_no_more(stand) -> None:
    inbox = stand.inbox(batch=8)
    stand.send(event("a", 0), event("b", 0))
    assert len(inbox.receive(1.0)) == 2
    time.sleep(0.6)
    stand.send(event("a", 1))
    began = time.monotonic()
    assert names(inbox.receive(1.0)) == ["a1"]
    assert time.monotonic() - began < WAIT_S / 2


def test_a_stream_that_ended_is_waited_for_no_more(stand) -> None:
    inbox = stand.inbox(batch=8)
    stand.send(event("a", 0), event("b", 0), end("b"))
    got = inbox.receive(1.0)
    while len(got) < 3:
        got += inbox.receive(1.0)
    assert names(got).index("b0") < names(got).index("end")
    stand.send(event("a", 1))
    began = time.monotonic()
    assert names(inbox.receive(1.0)) == ["a1"]
    assert time.monotonic() - began < WAIT_S / 2


def test_a_single_stream_never_waits(stand) -> None:
    inbox = stand.inbox(batch=8)
    for seq in range(3):
        stand.send(event("a", seq))
        began = time.monotonic()
        assert names(inbox.receive(1.0)) == [f"a{seq}"]
        assert time.monotonic() - began < WAIT_S / 2


def test_the_newest_of_each_stream_supersedes_its_own_only(stand) -> None:
    inbox = stand.inbox(batch=8, newest=True)
    stand.send(event("b", 0), *(event("a", seq) for seq in range(5)), end("a"))
    got = inbox.receive(1.0)
    assert sorted(names(got)) == ["a4", "b0", "end"]
    assert names(got).index("a4") < names(got).index("end")
    assert inbox.dropped["superseded"] == 4


def test_who_is_superseded_keeps_its_turn(stand) -> None:
    """A slow stage takes one at a time; a stream with many pictures must not push itself before one with few."""
    inbox = stand.inbox(batch=1, newest=True)
    stand.send(event("a", 0), event("b", 0), event("c", 0))
    assert names(inbox.receive(1.0)) == ["a0"]
    stand.send(event("a", 1), event("a", 2), event("b", 1))
    assert [names(inbox.receive(1.0)) for _ in range(3)] == [["b1"], ["c0"], ["a2"]]


def test_what_comes_after_the_end_is_dropped_and_counted(stand) -> None:
    inbox = stand.inbox(batch=1)
    stand.send(event("a", 0), end("a"), end("a"), event("a", 1))
    assert [names(inbox.receive(0.3)) for _ in range(3)] == [["a0"], ["end"], []]
    stand.send(event("b", 0))
    assert names(inbox.receive(1.0)) == ["b0"]
    assert inbox.dropped["ended"] == 1
