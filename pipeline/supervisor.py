"""Starts the stages in order, hears their hearts, restarts what crashed or fell silent, and leaves nothing behind."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec
import zmq

from pipeline.bus import LIVE_QUEUE, Outbox, endpoint
from pipeline.config import Config
from pipeline.errors import StageError
from pipeline.messages import End, Health, decode_health
from pipeline.topology import (
    RESTART_WINDOW_S,
    RESTARTS,
    STAGES,
    START_GRACE_S,
    STOP_WITHIN_S,
    Stage,
    stage,
)
from pipeline.worker import CRASHED, SUPERVISOR, Order

_PREFIX: Final = "posecast-"
_TURN_MS: Final = 50
_KILL_AFTER_S: Final = STOP_WITHIN_S - 2.0
_DELIBERATE: Final = (2, 3)
"""Exit codes of a stage that knows why it cannot go on; any other is a crash."""


@dataclass
class Outcome:
    """How a run ended: exit code, the line to print if it failed, and every stage's last heartbeat."""

    exit_code: int = 0
    error: str = ""
    health: dict[str, Health] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    stopped: bool = False


class Child:
    """One process of the run and the stages in it."""

    def __init__(self, name: str, rows: list[Stage]) -> None:
        self.name = name
        self.rows = rows
        self.process: subprocess.Popen[bytes] | None = None
        self.heard = 0.0
        self.started = 0.0
        self.starts: deque[float] = deque()

    def start(self, run_dir: Path) -> None:
        """Start the process; its complaints go to a file in the run's folder."""
        now = time.monotonic()
        self.starts.append(now)
        self.heard = self.started = now
        with (run_dir / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.worker", str(run_dir), self.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )

    def restarts_spent(self) -> bool:
        """Whether one more start would exceed the budget: so many in so many seconds."""
        horizon = time.monotonic() - RESTART_WINDOW_S
        while self.starts and self.starts[0] < horizon:
            self.starts.popleft()
        return len(self.starts) > RESTARTS

    def silent(self, health: dict[str, Health]) -> bool:
        """Whether a heartbeat is overdue."""
        states = [health[row.name].state for row in self.rows if row.name in health]
        starting = len(states) < len(self.rows) or "starting" in states
        limit = START_GRACE_S if starting else max(row.silence_s for row in self.rows)
        return time.monotonic() - self.heard > limit

    def kill(self) -> None:
        """End the process at once."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Supervisor:
    """One run of the pipeline."""

    def __init__(
        self,
        config: Config,
        uri: str,
        on_health: Callable[[Health], None] = lambda _: None,
        before_capture: Callable[[], None] = lambda: None,
        run_dir: Path | None = None,
    ) -> None:
        self._config = config
        self._uri = uri
        self._on_health = on_health
        self._before_capture = before_capture
        self.run_dir = run_dir or new_run_dir()
        self._children = [
            Child(name, [row for row in STAGES if config.processes[row.name] == name])
            for name in dict.fromkeys(config.processes[row.name] for row in STAGES)
        ]
        self._outcome = Outcome(restarts={child.name: 0 for child in self._children})
        self._past: dict[str, Health] = {}
        self._interrupted = False
        self._capturing = False

    def run(self) -> Outcome:
        """Run to the end of the source, to a signal or to a failure. Nothing is left behind in any case."""
        handlers = {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            Order(self._config, self._uri, os.getpid()).write(self.run_dir)
            self._control = context.socket(zmq.PULL)
            self._control.linger = 0
            self._control.bind(endpoint(self.run_dir, SUPERVISOR))
            self._relay = Outbox(context, endpoint(self.run_dir, STAGES[-1].name), queue=LIVE_QUEUE, blocking=False)
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
            if not self._captures(child):
                child.start(self.run_dir)
        while not self._interrupted:
            self._listen()
            self._start_capture_when_ready()
            for child in self._children:
                if not self._tend(child):
                    return
            if all(self._ended(row) for row in STAGES):
                return
        self._outcome.stopped = True

    def _captures(self, child: Child) -> bool:
        return any(row.reads is None for row in child.rows)

    def _start_capture_when_ready(self) -> None:
        """Capture starts last, so that no picture flows before all are ready for it."""
        if self._capturing:
            return
        others = [row.name for child in self._children if not self._captures(child) for row in child.rows]
        if all(name in self._outcome.health and self._outcome.health[name].state != "starting" for name in others):
            self._before_capture()
            self._capturing = True
            for child in self._children:
                if self._captures(child):
                    child.start(self.run_dir)

    def _listen(self) -> None:
        timeout_ms = _TURN_MS
        while self._control.poll(timeout_ms):
            timeout_ms = 0
            health = self._with_past(decode_health(self._control.recv()))
            self._outcome.health[health.stage] = health
            for child in self._children:
                if any(row.name == health.stage for row in child.rows):
                    child.heard = time.monotonic()
            self._on_health(health)
            if self._publishing():
                self._relay.send(health, lambda: True)

    def _with_past(self, health: Health) -> Health:
        """The heartbeat with what was counted before the stage was restarted."""
        past = self._past.get(health.stage)
        if past is None:
            return health
        return msgspec.structs.replace(
            health,
            received=past.received + health.received,
            sent=past.sent + health.sent,
            dropped=dict(Counter(past.dropped) + Counter(health.dropped)),
        )

    def _publishing(self) -> bool:
        last = self._outcome.health.get(STAGES[-1].name)
        return last is not None and last.state == "running"

    def _tend(self, child: Child) -> bool:
        """Restart the child if it must be; False if the run cannot go on."""
        if child.process is None:
            return True
        code = child.process.poll()
        if code is None and not child.silent(self._outcome.health):
            return True
        if code in _DELIBERATE:
            assert code is not None
            self._listen()
            return self._give_up(code, self._reason(child, f"ended with exit code {code}"))
        why = "fell silent" if code is None else f"crashed ({_how(code)})"
        if child.restarts_spent():
            line = f"{child.name}: {why} more than {RESTARTS} times in {RESTART_WINDOW_S:.0f} s"
            return self._give_up(StageError.exit_code, self._reason(child, line))
        self._restart(child)
        return True

    def _restart(self, child: Child) -> None:
        child.kill()
        self._outcome.restarts[child.name] += 1
        for row in child.rows:
            if row.name in self._outcome.health:
                self._past[row.name] = self._outcome.health.pop(row.name)
        child.start(self.run_dir)
        first = STAGES.index(child.rows[0])
        if first > 0 and self._ended(STAGES[first - 1]):
            self._repeat_end(child.rows[0])

    def _ended(self, row: Stage) -> bool:
        health = self._outcome.health.get(row.name)
        return health is not None and health.state == "ended"

    def _repeat_end(self, row: Stage) -> None:
        """The writer has gone and its `End` may have died with the reader: say it again."""
        outbox = Outbox(self._context, endpoint(self.run_dir, row.name), queue=LIVE_QUEUE, blocking=False)
        capture = self._outcome.health.get(stage("capture").name)
        seq = capture.sent if capture is not None else 0
        outbox.send(End(stream=self._config.stream, seq=seq, t_media_ns=0, t_capture_ns=time.time_ns()), lambda: True)
        outbox.close()

    def _give_up(self, code: int, line: str) -> bool:
        self._outcome.exit_code = code
        self._outcome.error = line
        return False

    def _reason(self, child: Child, otherwise: str) -> str:
        for row in child.rows:
            health = self._outcome.health.get(row.name)
            if health is not None and health.error and health.exit_code != CRASHED:
                return health.error
        log = (self.run_dir / f"{child.name}.log").read_text(errors="replace").strip().splitlines()
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
