"""A change of a source on its way through the stages: handed on by each in its place, told to the world at the end."""

import pytest
import zmq

from pipeline.bus import Inbox, Outbox, endpoint
from pipeline.messages import Event, Hypotheses, SourceChange, decode_public
from pipeline.stages.publish import Publish


def change(seq: int, state: str = "stalled") -> SourceChange:
    return SourceChange(
        stream="s", seq=seq, t_media_ns=5, t_capture_ns=7, state=state, cause="silent", detail="no answer"
    )


def frame(seq: int, stream: str = "s") -> Hypotheses:
    common = {"t_media_ns": 0, "t_capture_ns": 0, "width": 1, "height": 1, "rate_hz": 25.0}
    return Hypotheses(stream=stream, seq=seq, subject=0, state="none", presence=0.0, **common)


def test_newer_frames_supersede_older_ones_but_no_change_and_none_before_it(tmp_path) -> None:
    with zmq.Context() as context:
        inbox = Inbox(context, endpoint(tmp_path, "track"), queue=32, newest=True)
        outbox = Outbox(context, endpoint(tmp_path, "track"), queue=32, blocking=True)
        for message in (frame(0), frame(1), change(2), change(2, "lost"), frame(2), frame(3), frame(0, "other")):
            outbox.send(message, lambda: True)
        inbox.gather(8, 0.5)
        got: list[object] = []
        for _ in range(20):
            got += inbox.receive(0.1)
        assert [(type(m).__name__, m.stream, m.seq) for m in got] == [
            ("Hypotheses", "s", 1),
            ("SourceChange", "s", 2),
            ("SourceChange", "s", 2),
            ("Hypotheses", "s", 3),
            ("Hypotheses", "other", 0),
        ]
        assert inbox.dropped["superseded"] == 2
        inbox.close()
        outbox.close(discard=True)


@pytest.mark.parametrize("state", ["connecting", "live", "stalled", "lost", "ended"])
def test_it_is_published_as_an_event(state) -> None:
    [(topic, payload)] = Publish(["s"], version="1").step(change(3, state))
    assert topic == "event/s"
    event = decode_public(payload)
    assert isinstance(event, Event)
    assert (event.kind, event.seq, event.cause, event.detail) == (f"source_{state}", 3, "silent", "no answer")
