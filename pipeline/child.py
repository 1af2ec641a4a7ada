"""A process of the run as its supervisor sees it: started, heard, restarted, or given up."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import CRASHED, DELIBERATE, StageError
from pipeline.messages import Health
from pipeline.topology import RESTART_WINDOW_S, RESTARTS, START_GRACE_S, Edge, Node


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a process: the exit code with which it is given up and why; 0: it is started again."""

    code: int = 0
    line: str = ""


class Child:
    """One process of the run; `hearts` are the names under which it tells how it is, `silence_s` how often it must."""

    def __init__(self, name: str, hearts: tuple[str, ...], silence_s: float) -> None:
        self.name = name
        self.hearts = hearts
        self.process: subprocess.Popen[bytes] | None = None
        self.heard = 0.0
        self.given_up = False
        self._silence_s = silence_s
        self._starts: deque[float] = deque()

    def start(self, run_dir: Path) -> None:
        """Start the process; its complaints go to a file in the run's folder."""
        now = time.monotonic()
        self._starts.append(now)
        self.heard = now
        with self._log(run_dir).open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.worker", str(run_dir), self.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )

    def _log(self, run_dir: Path) -> Path:
        return run_dir / f"{self.name}.log"

    @property
    def exited(self) -> bool:
        """Whether it was started and has ended."""
        return self.process is not None and self.process.poll() is not None

    def fault(self, run_dir: Path, health: Mapping[str, Health]) -> Fault | None:
        """What is wrong with a process that was started and not given up; `health` by the name of the heart."""
        if self.process is None or self.given_up:
            return None
        code = self.process.poll()
        if code is None and not self._silent(health):
            return None
        if code is not None and code in DELIBERATE:
            return Fault(code, self._reason(run_dir, health, f"ended with exit code {code}"))
        why = "fell silent" if code is None else f"crashed ({_how(code)})"
        if not self._restarts_spent():
            return Fault()
        line = f"{self.name}: {why} more than {RESTARTS} times in {RESTART_WINDOW_S:.0f} s"
        return Fault(StageError.exit_code, self._reason(run_dir, health, line))

    def _restarts_spent(self) -> bool:
        """Whether one more start would exceed the budget: so many in so many seconds."""
        horizon = time.monotonic() - RESTART_WINDOW_S
        while self._starts and self._starts[0] < horizon:
            self._starts.popleft()
        return len(self._starts) > RESTARTS

    def _silent(self, health: Mapping[str, Health]) -> bool:
        states = [health[heart].state for heart in self.hearts if heart in health]
        starting = len(states) < len(self.hearts) or "starting" in states
        return time.monotonic() - self.heard > (START_GRACE_S if starting else self._silence_s)

    def _reason(self, run_dir: Path, health: Mapping[str, Health], otherwise: str) -> str:
        for told in (health[heart] for heart in self.hearts if heart in health):
            if told.error and told.exit_code != CRASHED:
                return told.error
        log = self._log(run_dir).read_text(errors="replace").strip().splitlines()
        return f"{otherwise}: {log[-1]}" if log else otherwise

    def terminate(self) -> None:
        """Ask a process that runs to end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def kill_after(self, deadline: float) -> None:
        """Wait for its end until `deadline` (monotonic seconds), then end it at once."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process at once."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class StageChild(Child):
    """A process with one or several stages in it."""

    def __init__(self, name: str, nodes: list[Node]) -> None:
        super().__init__(name, tuple(node.name for node in nodes), max(node.row.silence_s for node in nodes))
        self.nodes = nodes

    @property
    def captures(self) -> bool:
        """Whether a source is read here."""
        return any(node.row.reads is None for node in self.nodes)

    @property
    def streams(self) -> set[str]:
        """The streams that cannot go on without this process."""
        return {stream for node in self.nodes for stream in node.streams}


class EdgeChild(Child):
    """The process of an edge, which the stages can do without."""

    def __init__(self, row: Edge) -> None:
        super().__init__(row.name, (row.name,), row.silence_s)

    def unfinished(self, run_dir: Path, health: Mapping[str, Health]) -> Fault | None:
        """What kept it from finishing, when it has ended because it was told to."""
        code = self.process.poll() if self.process is not None else None
        if not code:
            return None
        line = self._reason(run_dir, health, f"ended with {_how(code)}")
        return Fault(code if code in DELIBERATE else StageError.exit_code, line)


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
