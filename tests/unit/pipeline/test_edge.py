"""Edges on real sockets: nothing waits for one, what it loses is counted, and at the end it takes what still waits."""

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import zmq

from pipeline import config, topology
from pipeline.bus import Outbox, PublicSocket, endpoint
from pipeline.edge_bus import EdgeInbox, EdgeOutbox, WithFrames, gone_path
from pipeline.edge_runner import EdgeRunner, Rings
from pipeline.errors import CRASHED, ConfigError, OutputError
from pipeline.messages import End, Event, Frame, Health, Hello, Public, decode, decode_health, encode
from pipeline.order import Order
from pipeline.picture import Picture
from pipeline.ring import Ring, slot_bytes_for
from pipeline.runner import PublicOutlet, Pulse, guarded
from pipeline.sources.source import SourceInfo
from pipeline.stage import ring_path
from pipeline.stages.capture import Capture
from pipeline.stages.publish import Publish
from pipeline.stopping import Stop
from pipeline.streams import Stream
from pipeline.topology import Edge

EDGE = Edge("notes", "tests.edges", False, False, 50, 8)
WATCHER = Edge("notes", "tests.edges", True, False, 50, 8)


def event(seq: int, kind: str = "stream_started") -> Event:
    return Event(stream="main", seq=seq, t_media_ns=0, t_capture_ns=0, kind=kind)


class Notes:
    """Remembers what it is given."""

    note = "taking notes"

    def __init__(self) -> None:
        self.taken: list[tuple[int, Public]] = []
        self.brightness: list[float] = []
        self.idled = 0
        self.closed = 0

    def take(self, message: Public, number: int) -> None:
        self.taken.append((number, message))

    def frame(self, frame: Frame, ring: Ring) -> None:
        with ring.reading(frame) as picture:
            level = float(picture.planes[0].mean())
        self.brightness.append(level)

    def idle(self) -> None:
        self.idled += 1

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def context() -> "Iterator[zmq.Context[zmq.Socket[bytes]]]":
    kept = []

    class Keeping(zmq.Context):
        def socket(self, *arguments: object, **options: object) -> "zmq.Socket[bytes]":
            kept.append(super().socket(*arguments, **options))
            return kept[-1]

    context: zmq.Context[zmq.Socket[bytes]] = Keeping()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def hearts(context, tmp_path) -> "zmq.Socket[bytes]":
    socket = context.socket(zmq.PULL)
    socket.bind(endpoint(tmp_path, "supervisor"))
    return socket


def outbox(context, folder, queue: int = 50) -> EdgeOutbox:
    return EdgeOutbox(context, folder, dataclasses.replace(EDGE, queue=queue), "messages")


def taken(inbox: EdgeInbox, count: int) -> list[tuple[int, Public]]:
    found: list[tuple[int, Public]] = []
    while len(found) < count:
        inbox.wait(2.0)
        some = inbox.messages()
        assert some, f"{len(found)} of {count}"
        found += some
    return found


def test_messages_wait_for_an_edge_that_is_not_there_yet(context, tmp_path) -> None:
    box = outbox(context, tmp_path)
    for seq in range(20):
        box.send(encode(event(seq)))
    inbox = EdgeInbox(context, tmp_path, EDGE)
    assert [(number, message.seq) for number, message in taken(inbox, 20)] == [(seq, seq) for seq in range(20)]
    assert (box.dropped, inbox.lost["lost"]) == (Counter(), 0)


def test_a_full_queue_drops_and_both_sides_know(context, tmp_path) -> None:
    box = outbox(context, tmp_path, queue=10)
    for seq in range(30):
        box.send(encode(event(seq)))
    assert box.dropped == {"edge_notes": 20}
    inbox = EdgeInbox(context, tmp_path, EDGE)
    taken(inbox, 10)
    number = 30
    while not inbox.messages():  # the sender learns in its own time that there is room again
        box.send(encode(event(number)))
        number += 1
        inbox.wait(0.1)
        assert number < 100
    assert inbox.lost["lost"] == box.dropped["edge_notes"]


def test_an_edge_started_again_counts_from_where_it_starts(context, tmp_path) -> None:
    box = outbox(context, tmp_path)
    first = EdgeInbox(context, tmp_path, EDGE)
    box.send(encode(event(0)))
    taken(first, 1)
    first.close()
    time.sleep(0.5)  # what is sent before the sender has noticed goes to the closed one
    box.send(encode(event(1)))
    box.send(encode(event(2)))
    second = EdgeInbox(context, tmp_path, EDGE)
    assert [number for number, _ in taken(second, 2)] == [1, 2]
    assert second.lost["lost"] == 0


def run(notes: Notes, inbox: EdgeInbox, folder, context) -> tuple[threading.Thread, Stop]:
    stop = Stop()
    pulse = Pulse("notes", "", Outbox(context, endpoint(folder, "supervisor"), queue=64, blocking=False))
    runner = EdgeRunner(notes, inbox, Rings(folder), pulse, stop)
    thread = threading.Thread(target=lambda: guarded(pulse, runner.run, []))
    thread.start()
    return thread, stop


def beats(hearts) -> list[Health]:
    found = []
    while hearts.poll(200):
        found.append(decode_health(hearts.recv()))
    return found


def test_what_waits_when_the_run_ends_is_still_taken(context, tmp_path, hearts) -> None:
    notes, box = Notes(), outbox(context, tmp_path, queue=500)
    thread, stop = run(notes, EdgeInbox(context, tmp_path, EDGE), tmp_path, context)
    for seq in range(300):
        box.send(encode(event(seq)))
    stop.set()
    thread.join(5)
    assert [number for number, _ in notes.taken] == list(range(300))
    assert notes.closed == 1
    states = [(beat.stage, beat.state, beat.received, beat.note) for beat in beats(hearts)]
    assert states[-1] == ("notes", "ended", 300, "taking notes")


def test_idle_is_called_while_nothing_comes(context, tmp_path, hearts) -> None:
    notes = Notes()
    thread, stop = run(notes, EdgeInbox(context, tmp_path, EDGE), tmp_path, context)
    stop.wait(0.5)
    stop.set()
    thread.join(5)
    assert notes.idled >= 4


def test_an_edge_that_cannot_go_on_says_why(context, tmp_path, hearts) -> None:
    class Full(Notes):
        def take(self, message: Public, number: int) -> None:
            raise OutputError("disk: full; delete something")

    thread, _ = run(Full(), EdgeInbox(context, tmp_path, EDGE), tmp_path, context)
    outbox(context, tmp_path).send(encode(event(0)))
    thread.join(5)
    last = beats(hearts)[-1]
    assert (last.state, last.error, last.exit_code) == ("failed", "disk: full; delete something", 2)


def grey(level: int, t_media_ns: int) -> Picture:
    planes = (np.full((64, 96), level, np.uint8), *(np.full((32, 48), 128, np.uint8),) * 2)
    return Picture(planes, "yuv420p", t_media_ns=t_media_ns)


def test_pictures_are_seen_where_they_lie_and_an_overwritten_one_is_counted(context, tmp_path, hearts) -> None:
    settings = config.Config()
    ring = Ring.create(ring_path(tmp_path, "main"), 4, slot_bytes_for(96, 64))
    capture = Capture(settings, ring, SourceInfo("test", 96, 64, 25.0, 0, False, None))
    reader = context.socket(zmq.PULL)
    reader.bind(endpoint(tmp_path, "track"))
    to_track = Outbox(context, endpoint(tmp_path, "track"), queue=16, blocking=False)
    to_edge = EdgeOutbox(context, tmp_path, WATCHER, "frames")
    outlet = WithFrames(to_track, [to_edge])
    frames = [capture.step(grey(10 * seq, seq), seq, 0) for seq in range(6)]
    for frame in (frames[0], frames[4], frames[5]):
        assert outlet.send(frame, lambda: True)
    assert outlet.send(End(stream="main", seq=6, t_media_ns=0, t_capture_ns=0), lambda: True)
    notes = Notes()
    thread, stop = run(notes, EdgeInbox(context, tmp_path, WATCHER), tmp_path, context)
    stop.set()
    thread.join(5)
    assert notes.brightness == [40.0, 50.0]
    assert beats(hearts)[-1].dropped == {"overrun": 1}
    assert [type(decode(reader.recv())).__name__ for _ in range(4)] == ["Frame"] * 3 + ["End"]


def test_who_only_reads_the_ring_cannot_write_it(tmp_path) -> None:
    Ring.create(tmp_path / "ring", 4, slot_bytes_for(96, 64))
    ring = Ring.attach(tmp_path / "ring", read_only=True)
    with pytest.raises(ValueError, match="read-only"):
        ring.write(grey(1, 0))
    ring.close()


def health(pid: int, state: str = "running", exit_code: int = 0) -> Health:
    return Health(stream="", stage="notes", pid=pid, t_unix_ns=0, state=state, exit_code=exit_code)


def test_publish_greets_an_edge_whenever_it_starts(context, tmp_path) -> None:
    socket = PublicSocket(context, f"ipc://{tmp_path}/public.sock", queue=10, lossless=False)
    box = outbox(context, tmp_path)
    outlet = PublicOutlet(Publish(["main"]), socket, {"notes": box})
    inbox = EdgeInbox(context, tmp_path, EDGE)
    told = (health(7), event(0), health(7), health(8), health(8, "failed", CRASHED), health(9), event(1))
    for message in told:
        outlet.send(message, lambda: True)
    kinds = [message for _, message in taken(inbox, len(told) + 3)]
    greeted = [at for at, message in enumerate(kinds) if isinstance(message, Hello)]
    assert greeted == [0, 4, 7]
    assert [message.seq for message in kinds if isinstance(message, Event)] == [0, 1]


def test_nothing_is_kept_for_an_edge_that_was_given_up(context, tmp_path) -> None:
    box = outbox(context, tmp_path, queue=10)
    for seq in range(11):
        box.send(encode(event(seq)))
    assert not box._socket.closed, "it may be started again"
    gone_path(tmp_path, "notes").touch()
    box.send(encode(event(11)))
    assert box._socket.closed
    box.send(encode(event(12)))
    assert box.dropped == {"edge_notes": 2}


def test_who_ends_does_not_wait_for_an_edge_that_was_given_up(context, tmp_path) -> None:
    box = outbox(context, tmp_path)
    box.send(encode(event(0)))
    gone_path(tmp_path, "notes").touch()
    began = time.monotonic()
    box.close()
    context.term()
    assert time.monotonic() - began < 1.0


def test_nothing_waits_for_an_edge_that_does_not_read(context, tmp_path) -> None:
    socket = PublicSocket(context, f"ipc://{tmp_path}/public.sock", queue=10, lossless=False)
    outlet = PublicOutlet(Publish(["main"]), socket, {"notes": outbox(context, tmp_path, queue=10)})
    for seq in range(1000):
        assert outlet.send(event(seq), lambda: True)
    assert outlet.dropped == {"edge_notes": 990}


def test_the_order_brings_edges_to_their_processes(tmp_path) -> None:
    order = Order(config.Config(), (Stream("main", "x.mp4"),), (EDGE, WATCHER), 1)
    order.write(tmp_path)
    assert Order.read(tmp_path) == order


def test_settings_say_which_edges_run(monkeypatch) -> None:
    monkeypatch.setattr(
        config, "EDGES", (Edge("wanting", "x", False, False, 1, 1), Edge("idle", "x", False, False, 1, 1))
    )

    class Section:
        def __init__(self, wanted: bool) -> None:
            self.wanted = wanted

    class Settings:
        wanting, idle = Section(True), Section(False)

    assert [row.name for row in config.edges_of(Settings())] == ["wanting"]


def test_a_process_is_not_named_like_an_edge(monkeypatch) -> None:
    monkeypatch.setattr(config, "EDGES", (EDGE,))
    with pytest.raises(ConfigError, match=r"processes\.track = 'notes' is the name of an edge"):
        config.from_mapping({"processes": {"track": "notes"}}, "test")


def test_every_edge_of_the_table_has_its_section_and_a_name_of_its_own() -> None:
    names = [row.name for row in topology.EDGES]
    stages = {row.name for row in topology.STAGES}
    assert len(names) == len(set(names))
    assert not stages & set(names)
    for name in names:
        assert isinstance(getattr(config.Config(), name).wanted, bool)
