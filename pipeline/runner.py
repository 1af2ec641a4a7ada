"""The one loop that does a stage's input and output: receive, compute, stamp, send, and beat.

Every stage runs in this loop; what differs is its inlet (a source or the bus), its outlet (the bus or the public
socket) and its computation.
"""

import itertools
import os
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import numpy as np
import psutil

from calibration.errors import CalibrationError
from engines.errors import EngineError
from pipeline.address import veiled
from pipeline.bus import Outbox, PublicSocket
from pipeline.edge_bus import EdgeOutbox
from pipeline.errors import CRASHED, PosecastError
from pipeline.messages import (
    End,
    Event,
    Flowing,
    Health,
    Inbound,
    Latency,
    PoseFrame,
    SourceChange,
    SourceHealth,
    Stamp,
)
from pipeline.metered import Spent
from pipeline.stage import Computation
from pipeline.stopping import Stop
from pipeline.topology import Node

if TYPE_CHECKING:
    from pipeline.stages.publish import Publish

Routed = PoseFrame | Event | SourceChange | End
BEAT_S: Final = 0.5
_WAIT_S: Final = 0.05


class Inlet(Protocol):
    """Where a stage's messages come from. `taken_ns`: when the last ones were taken (monotonic)."""

    taken_ns: int

    @property
    def dropped(self) -> Counter[str]:
        """What was not handed out, by cause."""
        ...

    def receive(self, timeout_s: float) -> Sequence[Any]:
        """What has arrived within the time, oldest first."""
        ...


class Outlet(Protocol):
    """Where a stage's messages go."""

    @property
    def dropped(self) -> Counter[str]:
        """What did not go, by cause."""
        ...

    def send(self, message: Any, alive: Callable[[], bool]) -> bool:
        """Hand on one message; False if it was dropped."""
        ...


class Relay:
    """The computation of a stage that only passes messages on."""

    note = ""
    batch = 1

    def step(self, messages: Sequence[Flowing]) -> Iterable[Flowing]:
        """The messages themselves."""
        return messages

    def flush(self, stream: str) -> Iterable[Flowing]:
        """Nothing is held back."""
        return ()


class PublicOutlet:
    """Poses, events and heartbeats to the public socket and to the edges; a hello to each that is new."""

    def __init__(self, publish: "Publish", socket: PublicSocket, edges: Mapping[str, EdgeOutbox]) -> None:
        self._publish = publish
        self._socket = socket
        self._edges = dict(edges)
        self._pids: dict[str, int] = {}

    @property
    def dropped(self) -> Counter[str]:
        """What did not go to edges."""
        return sum((edge.dropped for edge in self._edges.values()), Counter())

    def send(self, message: Inbound, alive: Callable[[], bool]) -> bool:
        """Publish on the message's topic."""
        routed = self._publish.step(message) if isinstance(message, Routed) else []
        if isinstance(message, Health):
            routed = [self._publish.health(message)]
            self._greet_edge(message)
        sent = [self._socket.send(topic, payload, alive) for topic, payload in routed]
        for _, payload in routed:
            for edge in self._edges.values():
                edge.send(payload)
        return all(sent)

    def _greet_edge(self, health: Health) -> None:
        """Say hello to an edge that was started: its heartbeat comes from another process."""
        edge = self._edges.get(health.stage)
        if edge is not None and health.pid and health.pid != self._pids.get(health.stage):
            self._pids[health.stage] = health.pid
            edge.send(self._publish.hello("")[1])

    def greet(self, alive: Callable[[], bool]) -> None:
        """Say hello to whoever subscribed since the last call."""
        for topic in self._socket.subscriptions():
            self._socket.send(*self._publish.hello(topic), alive)


class Pulse:
    """A stage's or edge's heartbeat: counts, times and costs, sent to the supervisor at most twice a second."""

    def __init__(self, stage: str, stream: str, control: Outbox) -> None:
        self._health = Health(stream=stream, stage=stage, pid=os.getpid(), t_unix_ns=0, state="starting")
        self._control = control
        self._process = psutil.Process()
        self._steps: deque[float] = deque(maxlen=512)
        self._due = 0.0
        self.spent = Spent()
        self.received = 0
        self.sent = 0

    @property
    def due(self) -> bool:
        """Whether it is time for the next."""
        return time.monotonic() >= self._due

    def took(self, seconds: float, messages: int) -> None:
        """So many messages were computed in this time."""
        self._steps.extend([seconds * 1e3 / messages] * messages)

    def beat(
        self, dropped: Counter[str], note: str = "", source: SourceHealth | None = None, **changes: object
    ) -> None:
        """Send a heartbeat if one is due, or at once if the state changes."""
        now = time.monotonic()
        if now < self._due and not changes:
            return
        self._due = now + BEAT_S
        p50_ms, p99_ms = np.percentile(self._steps, (50, 99)) if self._steps else (0.0, 0.0)
        self._health = msgspec.structs.replace(
            self._health,
            t_unix_ns=time.time_ns(),
            received=self.received,
            sent=self.sent,
            dropped={cause: count for cause, count in dropped.items() if count},
            step=Latency(float(p50_ms), float(p99_ms)),
            cpu_ms=time.process_time_ns() * 1e-6,
            engine_calls=dict(self.spent.calls),
            engine_cpu_ms={network: spent_ns * 1e-6 for network, spent_ns in self.spent.cpu_ns.items()},
            rss_bytes=self._process.memory_info().rss,
            note=note,
            source=source,
            **changes,
        )
        self._control.send(self._health, lambda: True)


def guarded(pulse: Pulse, body: Callable[[], None], uris: list[str]) -> int:
    """Run a stage's or an edge's loop; its exit code. What goes wrong is in its last heartbeat.

    `uris`: what a library says may hold an address, and that a password.
    """
    try:
        body()
        return 0
    except (PosecastError, EngineError, CalibrationError) as error:
        code, line = getattr(error, "exit_code", 2), str(error)
    except Exception as error:
        print(veiled(traceback.format_exc(), uris), file=sys.stderr, end="")
        code, line = CRASHED, veiled(f"{type(error).__name__}: {error}", uris)
    pulse.beat(Counter(), state="failed", error=line, exit_code=code)
    return code


class Runner:
    """Runs one stage until all its streams have ended or it is told to stop."""

    def __init__(
        self,
        node: Node,
        computation: Computation,
        inlet: Inlet,
        outlet: Outlet,
        pulse: Pulse,
        stop: Stop,
    ) -> None:
        self._stage = node.row.name
        self._open = list(node.streams)
        self._ended: list[str] = []
        self._computation = computation
        self._inlet = inlet
        self._outlet = outlet
        self._pulse = pulse
        self._stop = stop

    def run(self) -> bool:
        """Loop until told to stop. True if all streams had ended by then.

        A stage whose streams ended keeps its sockets open until the whole run is over: a reader may not have taken
        everything yet, and what lies in its queue can be lost when the writer disconnects.
        """
        self._beat(state="running")
        while not self._stop.is_set():
            self._take(self._inlet.receive(_WAIT_S))
            if not self._open:
                self._wait()
                return True
            self._alive()
        return False

    def _take(self, messages: Sequence[Any]) -> None:
        """What flows is computed together; what is only passed on comes behind what came before it."""
        for is_passed, group in itertools.groupby(
            messages, lambda message: isinstance(message, End | SourceChange | Health)
        ):
            if not is_passed:
                self._compute(list(group))
                continue
            for message in group:
                self._pass(message)

    def _pass(self, message: End | SourceChange | Health) -> None:
        match message:
            case Health():
                self._outlet.send(message, self._alive)
            case SourceChange():
                self._outlet.send(self._stamped(message), self._alive)
                if message.stamps == ():  # it happened here: the heartbeat tells it at once
                    self._beat(state="running")
            case End():
                self._end(message)

    def _wait(self) -> None:
        while self._alive():
            self._stop.wait(_WAIT_S)

    def _compute(self, messages: Sequence[Any]) -> None:
        """Each result goes on as soon as it is there: a stage may have something left to do after it."""
        self._pulse.received += len(messages)
        results = iter(self._computation.step(messages))
        spent_s = 0.0
        while True:
            before = time.perf_counter()
            result = next(results, None)
            spent_s += time.perf_counter() - before
            if result is None:
                break
            self._send(result)
        self._pulse.took(spent_s, len(messages))

    def _end(self, end: End) -> None:
        for result in self._computation.flush(end.stream):
            self._send(result)
        self._outlet.send(end, self._alive)
        self._open.remove(end.stream)
        self._ended.append(end.stream)
        state = "running" if self._open else "ended"
        self._beat(state=state, ended=tuple(self._ended))

    def _send(self, result: Flowing) -> None:
        self._pulse.sent += self._outlet.send(self._stamped(result), self._alive)

    def _stamped(self, message: Flowing) -> Flowing:
        stamp = Stamp(self._stage, self._inlet.taken_ns, time.monotonic_ns())
        return msgspec.structs.replace(message, stamps=(*message.stamps, stamp))

    def _alive(self) -> bool:
        if isinstance(self._outlet, PublicOutlet):
            self._outlet.greet(lambda: not self._stop.is_set())
        if self._pulse.due:
            self._beat()
        return not self._stop.is_set()

    def _beat(self, **changes: object) -> None:
        source: SourceHealth | None = getattr(self._computation, "source", None)
        self._pulse.beat(self._dropped(), self._computation.note, source, **changes)

    def _dropped(self) -> Counter[str]:
        own: Counter[str] = getattr(self._computation, "dropped", None) or Counter()
        return self._inlet.dropped + self._outlet.dropped + own
