"""What an edge is to its runner, and what an edge is given to build itself from.

An edge is an optional process beside the stages: it records, shows or draws what a run publishes. It sees every public
message, which `publish` hands it on a socket of the run itself, and if its row in `pipeline.topology.EDGES` says so the
pictures in the ring. It never slows the stages: a queue that is full drops for this edge alone, and an edge that
crashes or hangs too often is given up while the poses go on.

How to write one:

1. A module `pipeline/edges/NAME.py` with `build(host: EdgeHost) -> Consumer`. Like a stage it has no loop, no ZeroMQ
   and no signals: `pipeline.edge_runner` does that. Unlike a stage it may have files, windows and servers of its own.
2. A section of the settings called NAME in `pipeline.config.Config`, with a property `wanted`: whether the edge runs.
3. A row in `pipeline.topology.EDGES`: name, module, whether it reads the ring (`Watcher`) or may take the sources'
   packets (`Taper`), how many messages may wait for it, and after how many seconds without a heartbeat it counts as
   hung. `take`, `frame`, `tape` and `idle` must return well before.

A PosecastError that it raises is its last word: it is given up with that line. Any other exception is a crash: it is
started again, as often as a stage.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.config import Config
from pipeline.messages import Frame, Public
from pipeline.packets import Taped
from pipeline.streams import Stream

if TYPE_CHECKING:
    from pipeline.ring import Ring


class Consumer(Protocol):
    """An edge. All its methods are called in one thread."""

    @property
    def note(self) -> str:
        """In a line, what it does just now; part of its heartbeat."""
        ...

    def take(self, message: Public, number: int) -> None:
        """The next public message.

        The first is not always a hello: what was published while the edge started comes first. `number` is its place
        among all that this `publish` had for this edge: a gap is what was dropped, a smaller one a `publish` that was
        restarted.
        """
        ...

    def idle(self) -> None:
        """Called at least ten times a second, for what has to be done by the clock."""
        ...

    def close(self) -> None:
        """The run is over and everything was taken: finish, within two seconds."""
        ...


class Taper(Consumer, Protocol):
    """An edge that takes the sources' packets."""

    def tape(self, taped: Taped, number: int) -> None:
        """The next packet of a source, or the frame that became of earlier ones; `number` as in `take`."""
        ...


class Watcher(Consumer, Protocol):
    """An edge that reads the ring."""

    def frame(self, frame: Frame, ring: "Ring") -> None:
        """A picture came; `ring.reading(frame)` shows it where it lies, for some frames' time.

        The Overrun that it raises when the picture was overwritten meanwhile is counted by the runner; nothing that was
        read of it may be used then. A frame that an edge has no time for is dropped: the newest are not waited for.
        """
        ...


@dataclass(frozen=True, slots=True)
class EdgeHost:
    """What surrounds an edge: settings, and the streams with their addresses, without credentials."""

    config: Config
    streams: tuple[Stream, ...]
    say: Callable[[str], None] = lambda _: None
    """Hears what takes time while an edge is built."""
