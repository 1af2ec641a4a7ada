"""The table of contents of the program: one row a stage. Supervisor, runner, documents and tests read it.

Data flows down the table and never back. `queue` is what the live policy does when a stage cannot keep up: `newest`
drops everything but the newest message of each stream, `fifo` keeps order and lets the sender drop when the queue is
full. Replay ignores it: there every queue blocks. `rate_hz` is what the stage must sustain for a stream (the tests and
`bench` read it), `silence_s` how long it may be quiet before it is restarted. `per` says whether a run of several
cameras has the stage once for each stream or once for all, `threads` how many one of its networks may use: six
processes share the cores.

A second table has the edges: optional processes beside the stages that record, show or draw what is published
(`pipeline.edge` says how to write one).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

QueuePolicy = Literal["newest", "fifo"]
Per = Literal["stream", "run"]


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
    per: Per
    threads: int


CAPTURED: Final = ("Frame", "SourceChange", "End")
STAGES: Final = (
    # name, module, reads, writes, Hz, queue, s, process, per, threads
    Stage("capture", "pipeline.stages.capture", None, CAPTURED, 30, "newest", 20, "capture", "stream", 1),
    Stage("track", "pipeline.stages.track", "Frame", ("Track",), 30, "newest", 8, "track", "stream", 1),
    Stage("encode", "pipeline.stages.encode", "Track", ("Observation",), 30, "newest", 8, "encode", "run", 2),
    Stage("decode", "pipeline.stages.decode", "Observation", ("Hypotheses",), 30, "fifo", 8, "decode", "run", 1),
    Stage("smooth", "pipeline.stages.smooth", "Hypotheses", ("PoseFrame", "Event"), 30, "fifo", 8, "smooth", "run", 1),
    Stage("publish", "pipeline.stages.publish", "PoseFrame", ("Hello",), 30, "fifo", 8, "publish", "run", 1),
)


@dataclass(frozen=True, slots=True)
class Edge:
    """One row: who takes what is published.

    `ring`: it reads pictures, too; `packets`: and what the source sends, where its settings ask for `video`; `queue`:
    messages that may wait for it.
    """

    name: str
    module: str
    ring: bool
    packets: bool
    queue: int
    silence_s: float


EDGES: Final = (
    # name, module, ring, packets, queue, s
    Edge("record", "pipeline.recordings.edge", False, True, 20_000, 10),
    Edge("view", "pipeline.viewer.edge", True, False, 2_000, 10),
)

START_GRACE_S: Final = 60.0
"""A stage may be this long in state `starting` (engines compile) before it counts as silent."""
RESTARTS: Final = 5
RESTART_WINDOW_S: Final = 60.0
STOP_WITHIN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Node:
    """A stage in a run: the streams it serves, the process it is in. `name` is also that of its inbox."""

    row: Stage
    name: str
    streams: tuple[str, ...]
    process: str

    @property
    def stream(self) -> str:
        """The stream it serves; empty if there are several."""
        return self.streams[0] if len(self.streams) == 1 else ""


class Layout:
    """The stages of a run of one or several streams, in the order of the table.

    With one stream a node and its process are called as the table and `processes` (stage to process) say. With several
    those of one stream have its name behind theirs, `track.cam1`; a process that also holds a shared stage is one.
    """

    def __init__(self, streams: Sequence[str], processes: Mapping[str, str]) -> None:
        shared = {processes[row.name] for row in STAGES if row.per == "run"}
        self.streams = tuple(streams)
        self.nodes = tuple(
            Node(
                row,
                _named(row.name, of, streams),
                of,
                processes[row.name] if processes[row.name] in shared else _named(processes[row.name], of, streams),
            )
            for row in STAGES
            for of in ([(stream,) for stream in streams] if row.per == "stream" else [self.streams])
        )

    def reader(self, node: Node) -> Node | None:
        """Who reads what `node` writes; None for the last."""
        row = reader_of(node.row)
        return None if row is None else self.node(row.name, node.streams[0])

    def writer(self, node: Node, stream: str) -> Node | None:
        """Who writes what `node` reads of a stream; None for the first."""
        position = STAGES.index(node.row)
        return self.node(STAGES[position - 1].name, stream) if position else None

    def node(self, stage: str, stream: str = "") -> Node:
        """The node of a stage that serves `stream`; empty: the shared one. Raises KeyError when there is none."""
        for node in self.nodes:
            if node.row.name == stage and (stream in node.streams or not (stream or node.stream)):
                return node
        raise KeyError(f"no stage {stage!r} for stream {stream!r}")


def _named(name: str, streams: Sequence[str], all_streams: Sequence[str]) -> str:
    return name if len(streams) == len(all_streams) else f"{name}.{streams[0]}"


def reader_of(row: Stage) -> Stage | None:
    """The stage that reads what `row` writes; None for the last."""
    position = STAGES.index(row) + 1
    return STAGES[position] if position < len(STAGES) else None
