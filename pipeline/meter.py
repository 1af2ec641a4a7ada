"""What a run costs: processor time a frame of every stage and network, and memory, from the stages' heartbeats."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import psutil

from pipeline.config import Config
from pipeline.messages import Health
from pipeline.topology import STAGES

SKIPPED: Final = 10
"""Frames at the start that are not counted: engines and caches warm up."""


@dataclass(frozen=True, slots=True)
class Calls:
    """A network during a run: calls and processor milliseconds, a frame of the source."""

    calls: float
    cpu_ms: float


class Meter:
    """Costs of a run's stages, between a heartbeat after the warm-up and the one that says the stream has ended."""

    def __init__(self, config: Config) -> None:
        self._processes = config.processes
        self._first: dict[str, Health] = {}
        self._last: dict[str, Health] = {}
        self.peak_bytes = 0

    def read(self, health: Health, pids: dict[str, int]) -> None:
        """Take a heartbeat; at those of the last stage look at the memory of all processes."""
        if health.stage == STAGES[-1].name:
            self.peak_bytes = max(self.peak_bytes, sum(_memory(pid) for pid in pids.values()))
        before = self._last.get(health.stage)
        if before is not None and before.state == "ended":
            return  # it only waits for the others
        self._last[health.stage] = health
        if health.received >= SKIPPED:
            self._first.setdefault(health.stage, health)

    def step_ms(self, stage: str) -> float:
        """Median time of one computation of a stage, by the clock."""
        return self._last[stage].step.p50_ms

    def cpu_ms(self, stage: str) -> float:
        """Processor milliseconds of a stage a frame; those of a shared process are told once, at its first stage."""
        process = self._processes[stage]
        first_of_process = next(row.name for row in STAGES if self._processes[row.name] == process)
        return self._per_frame(stage, lambda health: health.cpu_ms) if stage == first_of_process else 0.0

    def networks(self, stage: str) -> dict[str, Calls]:
        """What a stage's networks cost a frame."""
        return {network: self._network(stage, network) for network in self._last[stage].engine_calls}

    def _network(self, stage: str, network: str) -> Calls:
        return Calls(
            self._per_frame(stage, lambda health: health.engine_calls.get(network, 0)),
            self._per_frame(stage, lambda health: health.engine_cpu_ms.get(network, 0.0)),
        )

    def _per_frame(self, stage: str, value: Callable[[Health], float]) -> float:
        """By how much a value grew for each frame of the source; 0 if the run was too short to tell.

        Stages that drop frames, or write several messages a frame, see another number of messages than of frames.
        """
        first, last, frames = self._first.get(stage), self._last[stage], self._last[STAGES[0].name].sent
        if first is None or last.received <= first.received or not frames:
            return 0.0
        return (value(last) - value(first)) / (last.received - first.received) * last.received / frames


def _memory(pid: int) -> int:
    """What a process uses, pages shared with others counted in proportion."""
    try:
        return int(psutil.Process(pid).memory_full_info().pss)
    except (psutil.Error, AttributeError):
        return 0
