"""What a stage is to the runner, and what a stage is given to build itself from."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from engines.contracts import Contract
from engines.session import Session, open_session
from pipeline.config import Config, engine_settings
from pipeline.messages import Flowing
from pipeline.metered import Metered, Spent
from pipeline.topology import Stage

if TYPE_CHECKING:
    from pipeline.ring import Ring


def ring_path(run_dir: Path, stream: str) -> Path:
    """Where the ring of a stream's pictures lies in a run's folder."""
    return run_dir / f"ring.{stream}"


class Computation(Protocol):
    """A stage's computation: no socket, no clock, no file. Its input is what its inlet gives.

    A shared stage is asked for several streams; it keeps what it remembers of each apart.
    """

    @property
    def note(self) -> str:
        """In a line, what the stage runs on."""
        ...

    @property
    def batch(self) -> int:
        """How many messages it is worth taking at once; it is given no more."""
        ...

    def step(self, messages: Sequence[Any]) -> Iterable[Flowing]:
        """Messages that follow from these, in order for each stream; often one from each.

        Each goes on before the next is asked for, so what nobody waits for is best done last.
        """
        ...

    def flush(self, stream: str) -> Iterable[Flowing]:
        """What is still held back of a stream when it ends."""
        ...


@dataclass(frozen=True, slots=True)
class Host:
    """What surrounds a stage: settings, the run's folder, its share of the machine (threads of a network, of `cores`,
    and how many calls share them), the largest batch to gather, what its networks have cost."""

    config: Config
    run_dir: Path
    cores: int
    threads: int = 1
    calls: int = 1
    gathered: int = 1
    spent: Spent = field(default_factory=Spent)
    say: Callable[[str], None] = lambda _: None
    """Hears what takes time while a stage is built."""

    @classmethod
    def of(cls, row: Stage, config: Config, run_dir: Path, streams: int = 1, **more: Any) -> Self:
        """What surrounds a stage of the table in a run of so many streams.

        Live, all its threads work on one picture, which is to be through soon. In a replay each works on a picture of
        its own: two of them do more so, as none waits for the other.
        """
        calls = 1 if config.policy == "live" else row.threads
        gathered = config.batch.size if streams > 1 else calls
        return cls(config, run_dir, os.cpu_count() or 1, row.threads, calls, gathered, **more)

    def session(self, contract: Contract, hypotheses: int = 1) -> Session:
        """An engine for `contract`, one subject at a time."""
        asked = engine_settings(self.config, min(self.threads, self.cores), self.calls)
        session = open_session(contract, asked, self.cores, axes={"B": 1, "H": hypotheses}, say=self.say)
        return Metered(session, self.spent) if self.config.engines.metered else session

    def batch(self, *sessions: Session) -> int:
        """How many messages to take at once: what all the sessions gain from, and no more than is gathered."""
        return min(self.gathered, *(session.batch for session in sessions))

    def ring(self) -> "Ring":
        """The ring of pictures, attached as its reader. It exists before the first `Frame` arrives."""
        from pipeline.ring import Ring  # loads OpenCV, which most stages do without

        return Ring.attach(self.ring_path)

    @property
    def ring_path(self) -> Path:
        """Where capture lays its ring."""
        return ring_path(self.run_dir, self.config.stream)
