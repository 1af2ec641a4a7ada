"""What every source of pictures offers, and how they wait."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from pipeline.picture import Picture, Rotation

Stop = Callable[[], bool]

_TURN_S: Final = 0.05


def never() -> bool:
    """A `stop` that never says so."""
    return False


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known before the first picture: width and height as shown, rate, and whether it runs by the clock.

    `name` carries no credentials. `frames` is what the container claims, None if it claims nothing.
    """

    name: str
    width: int
    height: int
    rate_hz: float
    rotation_deg: Rotation
    live: bool
    frames: int | None

    def describe(self) -> str:
        """One line for people."""
        turned = f", turned {self.rotation_deg} degrees" if self.rotation_deg else ""
        length = "live" if self.live else f"{self.frames} pictures" if self.frames else "length unknown"
        return f"{self.name}: {self.width}x{self.height}{turned}, {self.rate_hz:.5g} Hz, {length}"


class Source(Protocol):
    """Pictures in order of showing. `notes` collects what went wrong without ending the stream, a line each."""

    info: SourceInfo
    notes: list[str]

    @property
    def reconnects(self) -> int:
        """How often it came back after it had broken off."""
        ...

    def pictures(self, start: int = 0, stop: Stop = never, t_first_ns: int = 0) -> Iterator[Picture]:
        """Pictures with strictly growing `t_media_ns`, until the end or until `stop` says so. To be called once.

        Of a file, the first `start` pictures are skipped and times count from picture 0. A live source cannot skip;
        its first picture gets the time `t_first_ns`. Raises SourceError.
        """
        ...

    def close(self) -> None:
        """Let go of file, device or connection; safe at any time and more than once."""
        ...


def wait(seconds: float, stop: Stop) -> bool:
    """Sleep, waking often enough to hear `stop`; False if it said so."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if stop():
            return False
        time.sleep(min(left, _TURN_S))
    return not stop()
