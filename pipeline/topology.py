"""The table of contents of the program: one row a stage. Supervisor, runner, documents and tests read it.

Data flows down the table and never back. `queue` is what the live policy does when a stage cannot keep up: `newest`
drops everything but the newest message, `fifo` keeps order and lets the sender drop when the queue is full. Replay
ignores it: there every queue blocks. `rate_hz` is what the stage must sustain (the tests and `bench` read it),
`silence_s` how long it may be quiet before it is restarted.
"""

from dataclasses import dataclass
from typing import Final, Literal

QueuePolicy = Literal["newest", "fifo"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One row: who computes what from what."""

    name: str
    module: str
    reads: str | None
    writes: tuple[str, ...]
    rate_hz: float
    queue: QueuePolicy
    silence_s: float
    process: str


STAGES: Final = (
    #      name       module                      reads          writes                 Hz   queue     s   process
    Stage("capture", "pipeline.stages.capture", None, ("Frame", "End"), 30, "newest", 20, "capture"),
    Stage("track", "pipeline.stages.track", "Frame", ("Track",), 30, "newest", 8, "track"),
    Stage("encode", "pipeline.stages.encode", "Track", ("Observation",), 30, "newest", 8, "encode"),
    Stage("decode", "pipeline.stages.decode", "Observation", ("Hypotheses",), 30, "fifo", 8, "decode"),
    Stage("smooth", "pipeline.stages.smooth", "Hypotheses", ("PoseFrame", "Event"), 30, "fifo", 8, "smooth"),
    Stage("publish", "pipeline.stages.publish", "PoseFrame", ("Hello",), 30, "fifo", 8, "publish"),
)

START_GRACE_S: Final = 60.0
"""A stage may be this long in state `starting` (engines compile) before it counts as silent."""
RESTARTS: Final = 5
RESTART_WINDOW_S: Final = 60.0
STOP_WITHIN_S: Final = 5.0


def stage(name: str) -> Stage:
    """The row called `name`. Raises KeyError with the names there are."""
    for row in STAGES:
        if row.name == name:
            return row
    raise KeyError(f"no stage {name!r}; have {', '.join(row.name for row in STAGES)}")


def reader_of(row: Stage) -> Stage | None:
    """The stage that reads what `row` writes; None for the last."""
    position = STAGES.index(row) + 1
    return STAGES[position] if position < len(STAGES) else None
