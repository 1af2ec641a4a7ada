"""The one loop that does an edge's input: public messages, pictures of the ring, heartbeats, and the end."""

import contextlib
import importlib
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import zmq

from pipeline.address import masked
from pipeline.bus import Outbox, endpoint
from pipeline.edge import Consumer, EdgeHost, Taper, Watcher
from pipeline.edge_bus import EdgeInbox
from pipeline.messages import Frame
from pipeline.order import SUPERVISOR, Order
from pipeline.packets import Taped
from pipeline.runner import Pulse, guarded
from pipeline.stage import ring_path
from pipeline.stopping import Stop
from pipeline.topology import Edge

if TYPE_CHECKING:
    from pipeline.ring import Ring

_WAIT_S: Final = 0.05
_QUIET_S: Final = 0.2
"""When nothing came for so long after the stages have ended, nothing comes any more."""
_DRAIN_S: Final = 1.5
_NICE: Final = 5


class EdgeRunner:
    """Runs one edge until it is told to stop; then takes what still waits, and closes it."""

    def __init__(self, consumer: Consumer, inbox: EdgeInbox, rings: "Rings", pulse: Pulse, stop: Stop) -> None:
        self._consumer = consumer
        self._inbox = inbox
        self._rings = rings
        self._pulse = pulse
        self._stop = stop
        self._overrun = 0

    def run(self) -> None:
        """Loop until told to stop, and to the end of what was sent before."""
        self._beat(state="running")
        while not self._stop.is_set():
            self._round(_WAIT_S)
        deadline = time.monotonic() + _DRAIN_S
        while self._round(_QUIET_S) and time.monotonic() < deadline:
            continue
        self._consumer.close()
        self._beat(state="ended")

    def _round(self, timeout_s: float) -> bool:
        """Take some of what waits; whether there was anything."""
        self._inbox.wait(timeout_s)
        frames = self._inbox.frames()
        for frame in frames:
            self._look(frame)
        packets = self._inbox.packets()
        for number, taped in packets:
            self._tape(taped, number)
        messages = self._inbox.messages()
        for number, message in messages:
            before = time.perf_counter()
            self._consumer.take(message, number)
            self._pulse.took(time.perf_counter() - before, 1)
            self._beat()
        self._pulse.received += len(messages)
        self._consumer.idle()
        self._beat()
        return bool(frames or messages or packets)

    def _tape(self, taped: Taped, number: int) -> None:
        taper: Taper = self._consumer  # type: ignore[assignment]  # its row says that it takes packets
        taper.tape(taped, number)
        self._beat()

    def _look(self, frame: Frame) -> None:
        from pipeline.ring import Overrun  # loads OpenCV, which edges without pictures do without

        watcher: Watcher = self._consumer  # type: ignore[assignment]  # its row says that it reads the ring
        try:
            watcher.frame(frame, self._rings.of(frame.stream))
        except Overrun:
            self._overrun += 1

    def _beat(self, **changes: object) -> None:
        if changes or self._pulse.due:
            own: Counter[str] = getattr(self._consumer, "dropped", None) or Counter()
            lost = self._inbox.lost + Counter(overrun=self._overrun)
            self._pulse.beat(lost + own, self._consumer.note, None, **changes)


class Rings:
    """The rings of a run as an edge sees them: it can read, not write."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._rings: dict[str, Ring] = {}

    def of(self, stream: str) -> "Ring":
        """The ring of a stream that has sent a frame."""
        from pipeline.ring import Ring

        if stream not in self._rings:
            self._rings[stream] = Ring.attach(ring_path(self._run_dir, stream), read_only=True)
        return self._rings[stream]


class EdgeWorker:
    """The process of one edge."""

    def __init__(self, run_dir: Path, order: Order, row: Edge) -> None:
        self._run_dir = run_dir
        self._order = order
        self._row = row
        self.stop = Stop()

    def run(self) -> int:
        """Run to the end; the exit code. Where the cores do not suffice for all, the poses come first."""
        os.nice(_NICE)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        control = Outbox(context, endpoint(self._run_dir, SUPERVISOR), queue=64, blocking=False)
        pulse = Pulse(self._row.name, "", control)
        code = guarded(pulse, lambda: self._loop(context, pulse), [one.uri for one in self._order.streams])
        control.close()
        context.destroy()
        return code

    def _loop(self, context: "zmq.Context[zmq.Socket[bytes]]", pulse: Pulse) -> None:
        # Bound before the edge is built, which may take a while: what is published meanwhile waits here.
        with contextlib.closing(EdgeInbox(context, self._run_dir, self._row)) as inbox:
            pulse.beat(Counter(), state="starting")
            build: Callable[[EdgeHost], Consumer] = importlib.import_module(self._row.module).build
            streams = tuple(msgspec.structs.replace(one, uri=masked(one.uri)) for one in self._order.streams)
            say = lambda text: pulse.beat(Counter(), text, state="starting")  # noqa: E731
            consumer = build(EdgeHost(self._order.config, streams, say))
            EdgeRunner(consumer, inbox, Rings(self._run_dir), pulse, self.stop).run()
