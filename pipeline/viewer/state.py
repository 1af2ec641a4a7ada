"""How a run is, from its heartbeats: what has none, or an old one, is not well."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from pipeline.messages import Health
from pipeline.topology import EDGES, STAGES

_SILENCE_S: Final = {row.name: row.silence_s for row in STAGES} | {row.name: row.silence_s for row in EDGES}
_SILENT_BY_DEFAULT_S: Final = 10.0
Of = tuple[str, str]
"""Stage and stream; no stream where a stage serves several."""


class Hearts:
    """The last heartbeat of every stage and edge, when it came, and how often each was started again."""

    def __init__(self, streams: Sequence[str], stages: Sequence[str]) -> None:
        self._streams = tuple(streams)
        self._stages = tuple(stages)
        self.last: dict[Of, Health] = {}
        self.restarts: Counter[Of] = Counter()
        self._heard: dict[Of, float] = {}

    def take(self, health: Health) -> None:
        """A heartbeat. Another process under the same name is one that was started again."""
        of = (health.stage, health.stream)
        before = self.last.get(of)
        if before is not None and health.pid and before.pid and before.pid != health.pid:
            self.restarts[of] += 1
        self.restarts.setdefault(of, 0)
        self._heard[of] = time.monotonic()
        self.last[of] = health

    def up(self) -> dict[Of, float]:
        """1 for what runs and was heard of lately, else 0."""
        return {of: float(not self._wrong(of, beat)) for of, beat in dict(self.last).items()}

    def _wrong(self, of: Of, beat: Health) -> str:
        if beat.state != "running":
            return beat.error or beat.state
        silent_s = time.monotonic() - self._heard[of]
        if silent_s > _SILENCE_S.get(of[0], _SILENT_BY_DEFAULT_S):
            return f"silent for {silent_s:.0f} s"
        if beat.source is not None and beat.source.state != "live":
            return f"source {beat.source.state}"
        return ""

    def report(self) -> tuple[bool, dict[str, Any]]:
        """Whether all is well, and what is not, by stage; an edge that was given up does not harm the poses."""
        last = dict(self.last)
        edges = {row.name for row in EDGES}
        wrong = {
            f"{of[0]} {of[1]}".strip(): why
            for of, beat in last.items()
            if of[0] not in edges and (why := self._wrong(of, beat))
        }
        heard = {stage for stage, _ in last}
        wrong |= {stage: "not heard of yet" for stage in self._stages if stage not in heard}
        return not wrong, {"status": "failing" if wrong else "ok", "reasons": wrong, "streams": self._streams}
