"""Starts the stages in order, hears their hearts, restarts what crashed or fell silent, and leaves nothing behind.

Of several cameras one that cannot go on is given up: what is behind it is told that its stream is over. An edge that
cannot go on is given up, too, and the run goes on.
"""

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec
import zmq

from pipeline.bus import LIVE_QUEUE, Outbox, endpoint
from pipeline.child import Child, EdgeChild, Fault, StageChild
from pipeline.config import Config, edges_of
from pipeline.edge_bus import gone_path
from pipeline.messages import End, Health, decode_health
from pipeline.order import SUPERVISOR, Order
from pipeline.run_dir import new_run_dir
from pipeline.streams import Stream, named
from pipeline.topology import STOP_WITHIN_S, Edge, Node

_TURN_MS: Final = 50
_KILL_AFTER_S: Final = STOP_WITHIN_S - 2.0
_KILL_EDGES_AFTER_S: Final = STOP_WITHIN_S - 0.5
"""What an edge still has to write it writes when the stages have ended."""
_END_OWED_S: Final = 2.0
"""How long a reader may take to find the `End` behind what waits in its queue."""


@dataclass
class Outcome:
    """How a run ended: exit code, the line to print if it failed, and every stage's and edge's last heartbeat.

    Stages and processes are called as in the run's `Layout`, with one stream as in the table; edges as in theirs.
    """

    exit_code: int = 0
    error: str = ""
    health: dict[str, Health] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    stopped: bool = False


class Supervisor:
    """One run of the pipeline."""

    def __init__(
        self,
        config: Config,
        source: str | Sequence[Stream],
        on_health: Callable[[Health], None] = lambda _: None,
        before_capture: Callable[[], None] = lambda: None,
        run_dir: Path | None = None,
        on_loss: Callable[[str], None] = lambda _: None,
        edges: Sequence[Edge] | None = None,
    ) -> None:
        """`source`: one address, or several streams. `on_loss` gets a line when one of several, or an edge, cannot go
        on. `edges`: others than the settings ask for."""
        streams = named([source], config.stream) if isinstance(source, str) else tuple(source)
        rows = edges_of(config) if edges is None else tuple(edges)
        self._order = Order(config, streams, rows, os.getpid())
        self._on_health = on_health
        self._before_capture = before_capture
        self._on_loss = on_loss
        self.run_dir = run_dir or new_run_dir()
        self._layout = self._order.layout
        self._last = self._layout.nodes[-1]
        self._children = [
            StageChild(name, [node for node in self._layout.nodes if node.process == name])
            for name in dict.fromkeys(node.process for node in self._layout.nodes)
        ]
        self._child_of = {node.name: child for child in self._children for node in child.nodes}
        self._edges = {row.name: EdgeChild(row) for row in rows}
        self._outcome = Outcome(restarts={child.name: 0 for child in self._every})
        self._past: dict[str, Health] = {}
        self._owed: dict[tuple[str, str], float] = {}
        self._interrupted = False
        self._capturing = False

    def run(self) -> Outcome:
        """Run to the end of the sources, to a signal or to a failure. Nothing is left behind in any case."""
        handlers = {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._order.write(self.run_dir)
            self._control = context.socket(zmq.PULL)
            self._control.linger = 0
            self._control.bind(endpoint(self.run_dir, SUPERVISOR))
            self._relay = Outbox(context, endpoint(self.run_dir, self._last.name), queue=LIVE_QUEUE, blocking=False)
            self._context = context
            self._supervise()
        finally:
            self._stop_all()
            context.destroy(linger=0)
            shutil.rmtree(self.run_dir, ignore_errors=True)
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return self._outcome

    def stop(self) -> None:
        """Ask the run to end, from a callback or another thread."""
        self._interrupted = True

    def pids(self) -> dict[str, int]:
        """Process id of each process of the run."""
        return {child.name: child.process.pid for child in self._every if child.process is not None}

    @property
    def _every(self) -> list[Child]:
        return [*self._children, *self._edges.values()]

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True

    def _supervise(self) -> None:
        for child in self._every:
            if not (isinstance(child, StageChild) and child.captures):
                child.start(self.run_dir)
        while not self._interrupted:
            self._listen()
            self._start_capture_when_ready()
            for child in self._every:
                if not self._tend(child):
                    return
            self._repeat_ends()
            if all(self._over(node) for node in self._layout.nodes):
                return
        self._outcome.stopped = True

    def _start_capture_when_ready(self) -> None:
        """Capture starts last, so that no picture flows before all are ready for it."""
        if self._capturing:
            return
        others = [node for node in self._layout.nodes if not self._child_of[node.name].captures]
        if all(self._child_of[node.name].given_up or self._state(node) not in ("", "starting") for node in others):
            self._before_capture()
            self._capturing = True
            for child in self._children:
                if child.captures and not child.given_up:
                    child.start(self.run_dir)

    def _listen(self) -> None:
        timeout_ms = _TURN_MS
        while self._control.poll(timeout_ms):
            timeout_ms = 0
            health = decode_health(self._control.recv())
            child: Child | None = self._edges.get(health.stage)
            name = health.stage if child else self._layout.node(health.stage, health.stream).name
            health = self._with_past(name, health)
            self._outcome.health[name] = health
            (child or self._child_of[name]).heard = time.monotonic()
            self._on_health(health)
            if self._state(self._last) == "running":
                self._relay.send(health, lambda: True)

    def _with_past(self, heart: str, health: Health) -> Health:
        """The heartbeat with what was counted before the stage or edge was restarted."""
        past = self._past.get(heart)
        if past is None:
            return health
        return msgspec.structs.replace(
            health,
            received=past.received + health.received,
            sent=past.sent + health.sent,
            dropped=dict(Counter(past.dropped) + Counter(health.dropped)),
        )

    def _state(self, node: Node) -> str:
        """The state a stage last told; empty while nothing was heard of it."""
        health = self._outcome.health.get(node.name)
        return "" if health is None else health.state

    def _tend(self, child: Child) -> bool:
        """Restart the child if it must be; False if the run cannot go on."""
        if child.exited and not child.given_up:
            self._listen()  # its last words
        fault = child.fault(self.run_dir, self._outcome.health)
        if fault is None:
            return True
        if fault.code:
            return (
                self._give_up_stage(child, fault) if isinstance(child, StageChild) else self._give_up_edge(child, fault)
            )
        self._restart(child)
        return True

    def _restart(self, child: Child) -> None:
        child.kill()
        self._outcome.restarts[child.name] += 1
        for heart in child.hearts:
            if heart in self._outcome.health:
                self._past[heart] = self._outcome.health.pop(heart)
        child.start(self.run_dir)

    def _over(self, node: Node) -> bool:
        return self._child_of[node.name].given_up or self._state(node) == "ended"

    def _passed(self, node: Node, stream: str) -> bool:
        """Whether a stage has handed on the stream's `End`, or will never do so."""
        health = self._outcome.health.get(node.name)
        return self._child_of[node.name].given_up or (health is not None and stream in health.ended)

    def _repeat_ends(self) -> None:
        """Say an `End` again that died with a reader before it was restarted, or that a writer can no longer say.

        It takes another way than what the writer sent last, which must have been read by then.
        """
        now = time.monotonic()
        owed = [(node, stream) for node in self._layout.nodes for stream in node.streams if self._owes(node, stream)]
        since = {(node.name, stream): self._owed.get((node.name, stream), now) for node, stream in owed}
        for node, stream in owed:
            if now - since[node.name, stream] > _END_OWED_S:
                since[node.name, stream] = now
                self._say_end(node, stream)
        self._owed = since

    def _owes(self, node: Node, stream: str) -> bool:
        """Whether a reader knows nothing of an end that its writer has passed, and may never hear of it."""
        writer = self._layout.writer(node, stream)
        if writer is None or self._state(node) != "running" or self._passed(node, stream):
            return False
        child, before = self._child_of[node.name], self._child_of[writer.name]
        return self._passed(writer, stream) and (before.given_up or self._outcome.restarts[child.name] > 0)

    def _say_end(self, node: Node, stream: str) -> None:
        outbox = Outbox(self._context, endpoint(self.run_dir, node.name), queue=LIVE_QUEUE, blocking=False)
        capture = self._outcome.health.get(self._layout.node("capture", stream).name)
        seq = capture.sent if capture is not None else 0
        outbox.send(End(stream=stream, seq=seq, t_media_ns=0, t_capture_ns=time.time_ns()), lambda: True)
        outbox.close()

    def _give_up_stage(self, child: StageChild, fault: Fault) -> bool:
        """What serves one of several streams is given up with what feeds it; anything else ends the run: False."""
        self._outcome.exit_code = max(fault.code, self._outcome.exit_code)
        if len(child.streams) == len(self._layout.streams):
            self._outcome.error = fault.line
            return False
        position = max(self._layout.nodes.index(node) for node in child.nodes)
        for other in {self._child_of[node.name] for node in self._layout.nodes[: position + 1]}:
            if other.streams <= child.streams:
                other.kill()
                other.given_up = True
        self._on_loss(f"{', '.join(sorted(child.streams))} is given up: {fault.line}")
        return True

    def _give_up_edge(self, child: Child, fault: Fault) -> bool:
        """The run goes on, and tells it; nobody keeps anything for the edge any more."""
        self._outcome.exit_code = max(fault.code, self._outcome.exit_code)
        child.kill()
        child.given_up = True
        gone_path(self.run_dir, child.name).touch()
        last = Health(
            stream="",
            stage=child.name,
            pid=0,
            t_unix_ns=time.time_ns(),
            state="failed",
            error=fault.line,
            exit_code=fault.code,
        )
        self._outcome.health[child.name] = last = self._with_past(child.name, last)
        self._on_health(last)
        self._relay.send(last, lambda: True)
        self._on_loss(f"{child.name} is given up, the poses go on: {fault.line}")
        return True

    def _stop_all(self) -> None:
        began = time.monotonic()
        for children, limit_s in ((self._children, _KILL_AFTER_S), (self._edges.values(), _KILL_EDGES_AFTER_S)):
            for child in children:
                child.terminate()
            for child in children:
                child.kill_after(began + limit_s)
        for edge in self._edges.values():
            if edge.exited and not edge.given_up:
                self._hear_last_words(edge)

    def _hear_last_words(self, edge: EdgeChild) -> None:
        """An edge that could not finish what it had begun says so, or is said to."""
        self._listen()
        fault = edge.unfinished(self.run_dir, self._outcome.health)
        if fault is not None:
            self._outcome.exit_code = max(fault.code, self._outcome.exit_code)
            self._on_loss(f"{edge.name} did not finish: {fault.line}")
