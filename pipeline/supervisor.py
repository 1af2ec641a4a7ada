"""Starts the stages in order, hears their hearts, restarts what crashed or fell silent, and leaves nothing behind.

Of several cameras one that cannot go on is given up: what is behind it is told that its stream is over.
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
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
from pipeline.child import Child
from pipeline.config import Config
from pipeline.errors import StageError
from pipeline.messages import End, Health, decode_health
from pipeline.streams import Stream, named
from pipeline.topology import RESTART_WINDOW_S, RESTARTS, STOP_WITHIN_S, Node
from pipeline.worker import CRASHED, SUPERVISOR, Order

_PREFIX: Final = "posecast-"
_TURN_MS: Final = 50
_KILL_AFTER_S: Final = STOP_WITHIN_S - 2.0
_END_OWED_S: Final = 2.0
"""How long a reader may take to find the `End` behind what waits in its queue."""
_DELIBERATE: Final = (2, 3)
"""Exit codes of a stage that knows why it cannot go on; any other is a crash."""


@dataclass
class Outcome:
    """How a run ended: exit code, the line to print if it failed, and every stage's last heartbeat.

    Stages and processes are called as in the run's `Layout`, with one stream as in the table.
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
    ) -> None:
        """`source`: one address, or several streams. `on_loss` gets a line when one of several cannot go on."""
        streams = named([source], config.stream) if isinstance(source, str) else tuple(source)
        self._order = Order(config, streams, os.getpid())
        self._on_health = on_health
        self._before_capture = before_capture
        self._on_loss = on_loss
        self.run_dir = run_dir or new_run_dir()
        self._layout = self._order.layout
        self._last = self._layout.nodes[-1]
        self._children = [
            Child(name, [node for node in self._layout.nodes if node.process == name])
            for name in dict.fromkeys(node.process for node in self._layout.nodes)
        ]
        self._child_of = {node.name: child for child in self._children for node in child.nodes}
        self._outcome = Outcome(restarts={child.name: 0 for child in self._children})
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
        return {child.name: child.process.pid for child in self._children if child.process is not None}

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True

    def _supervise(self) -> None:
        for child in self._children:
            if not child.captures:
                child.start(self.run_dir)
        while not self._interrupted:
            self._listen()
            self._start_capture_when_ready()
            for child in self._children:
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
            node = self._layout.node(health.stage, health.stream)
            health = self._with_past(node, health)
            self._outcome.health[node.name] = health
            self._child_of[node.name].heard = time.monotonic()
            self._on_health(health)
            if self._state(self._last) == "running":
                self._relay.send(health, lambda: True)

    def _with_past(self, node: Node, health: Health) -> Health:
        """The heartbeat with what was counted before the stage was restarted."""
        past = self._past.get(node.name)
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
        if child.process is None or child.given_up:
            return True
        code = child.process.poll()
        if code is None and not child.silent(self._outcome.health):
            return True
        if code in _DELIBERATE:
            assert code is not None
            self._listen()
            return self._give_up(child, code, self._reason(child, f"ended with exit code {code}"))
        why = "fell silent" if code is None else f"crashed ({_how(code)})"
        if child.restarts_spent():
            line = f"{child.name}: {why} more than {RESTARTS} times in {RESTART_WINDOW_S:.0f} s"
            return self._give_up(child, StageError.exit_code, self._reason(child, line))
        self._restart(child)
        return True

    def _restart(self, child: Child) -> None:
        child.kill()
        self._outcome.restarts[child.name] += 1
        for node in child.nodes:
            if node.name in self._outcome.health:
                self._past[node.name] = self._outcome.health.pop(node.name)
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

    def _give_up(self, child: Child, code: int, line: str) -> bool:
        """What serves one of several streams is given up with what feeds it; anything else ends the run: False."""
        self._outcome.exit_code = max(code, self._outcome.exit_code)
        if len(child.streams) == len(self._layout.streams):
            self._outcome.error = line
            return False
        position = max(self._layout.nodes.index(node) for node in child.nodes)
        for other in {self._child_of[node.name] for node in self._layout.nodes[: position + 1]}:
            if other.streams <= child.streams:
                other.kill()
                other.given_up = True
        self._on_loss(f"{', '.join(sorted(child.streams))} is given up: {line}")
        return True

    def _reason(self, child: Child, otherwise: str) -> str:
        for node in child.nodes:
            health = self._outcome.health.get(node.name)
            if health is not None and health.error and health.exit_code != CRASHED:
                return health.error
        log = child.log(self.run_dir).read_text(errors="replace").strip().splitlines()
        return f"{otherwise}: {log[-1]}" if log else otherwise

    def _stop_all(self) -> None:
        running = [child for child in self._children if child.process is not None and child.process.poll() is None]
        for child in running:
            assert child.process is not None
            child.process.terminate()
        deadline = time.monotonic() + _KILL_AFTER_S
        for child in running:
            assert child.process is not None
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def new_run_dir() -> Path:
    """A new folder for a run's sockets, ring and logs, in memory where there is one; dead runs' folders go."""
    memory = Path("/dev/shm")
    base = memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    for folder in base.glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).split("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)
    run_dir = base / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(3)}"
    run_dir.mkdir(mode=0o700)
    return run_dir
