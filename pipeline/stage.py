"""What a stage is to the runner, and what a stage is given to build itself from."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engines.contracts import Contract
from engines.session import EngineSettings, Session, open_session
from pipeline.config import Config
from pipeline.messages import Flowing

if TYPE_CHECKING:
    from pipeline.ring import Ring


def ring_path(run_dir: Path) -> Path:
    """Where the ring of pictures of a run lies."""
    return run_dir / "ring"


class Computation(Protocol):
    """A stage's computation: no socket, no clock, no file. Its input is what its inlet gives."""

    @property
    def note(self) -> str:
        """In a line, what the stage runs on."""
        ...

    def step(self, message: Any) -> Iterable[Flowing]:
        """Messages that follow from one message, in order; often none or one."""
        ...

    def flush(self) -> Iterable[Flowing]:
        """What is still held back when the stream ends."""
        ...


@dataclass(frozen=True, slots=True)
class Host:
    """What surrounds a stage: settings, the run's folder, the share of the machine."""

    config: Config
    run_dir: Path
    cores: int

    def session(self, contract: Contract, threads: int, hypotheses: int = 1) -> Session:
        """An engine for `contract`, one subject at a time; `threads` unless the settings say otherwise."""
        engines = self.config.engines
        settings = EngineSettings(
            backend=engines.backend,
            precision=engines.precision,
            weights=engines.weights,
            threads=engines.threads or min(threads, self.cores),
        )
        return open_session(contract, settings, self.cores, axes={"B": 1, "H": hypotheses})

    def ring(self) -> "Ring":
        """The ring of pictures, attached as its reader. It exists before the first `Frame` arrives."""
        from pipeline.ring import Ring  # loads OpenCV, which most stages do without

        return Ring.attach(self.ring_path)

    @property
    def ring_path(self) -> Path:
        """Where capture lays its ring."""
        return ring_path(self.run_dir)
