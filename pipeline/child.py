"""A process of the run as its supervisor sees it: started, heard, restarted, or given up."""

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from pipeline.messages import Health
from pipeline.topology import RESTART_WINDOW_S, RESTARTS, START_GRACE_S, Node


class Child:
    """One process of the run and the stages in it."""

    def __init__(self, name: str, nodes: list[Node]) -> None:
        self.name = name
        self.nodes = nodes
        self.process: subprocess.Popen[bytes] | None = None
        self.heard = 0.0
        self.given_up = False
        self.starts: deque[float] = deque()

    @property
    def captures(self) -> bool:
        """Whether a source is read here."""
        return any(node.row.reads is None for node in self.nodes)

    @property
    def streams(self) -> set[str]:
        """The streams that cannot go on without this process."""
        return {stream for node in self.nodes for stream in node.streams}

    def start(self, run_dir: Path) -> None:
        """Start the process; its complaints go to a file in the run's folder."""
        now = time.monotonic()
        self.starts.append(now)
        self.heard = now
        with self.log(run_dir).open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.worker", str(run_dir), self.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )

    def log(self, run_dir: Path) -> Path:
        """Where the process complains."""
        return run_dir / f"{self.name}.log"

    def restarts_spent(self) -> bool:
        """Whether one more start would exceed the budget: so many in so many seconds."""
        horizon = time.monotonic() - RESTART_WINDOW_S
        while self.starts and self.starts[0] < horizon:
            self.starts.popleft()
        return len(self.starts) > RESTARTS

    def silent(self, health: Mapping[str, Health]) -> bool:
        """Whether a heartbeat is overdue; `health` by the name of the node."""
        states = [health[node.name].state for node in self.nodes if node.name in health]
        starting = len(states) < len(self.nodes) or "starting" in states
        limit = START_GRACE_S if starting else max(node.row.silence_s for node in self.nodes)
        return time.monotonic() - self.heard > limit

    def kill(self) -> None:
        """End the process at once."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
