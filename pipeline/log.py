"""What happens in a run as one JSON object a line, for those who collect logs."""

import json
import time
from typing import IO

from pipeline.messages import Health


class JsonLog:
    """Writes a line for each change: heartbeats that say nothing new are left out.

    Every line has `t_unix_s`, `event` and what belongs to it.
    """

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._known: dict[tuple[str, str], tuple[object, ...]] = {}
        self._pids: dict[tuple[str, str], int] = {}

    def write(self, event: str, **fields: object) -> None:
        """A line."""
        line = {"t_unix_s": round(time.time(), 3), "event": event} | fields
        print(json.dumps(line, ensure_ascii=False), file=self._out, flush=True)

    def health(self, health: Health) -> None:
        """A line if a stage or edge is in another state than before, fails, or is another process."""
        of = (health.stage, health.stream)
        restarted = health.pid != self._pids.get(of, health.pid)
        self._pids[of] = health.pid
        starting = health.note if health.state == "starting" else ""  # later notes count things
        now = (health.state, health.error, starting)
        if now == self._known.get(of) and not restarted:
            return
        self._known[of] = now
        said = {"stream": health.stream, "note": health.note, "error": health.error}
        told = {name: value for name, value in said.items() if value}
        self.write("restarted" if restarted else health.state, stage=health.stage, pid=health.pid, **told)
