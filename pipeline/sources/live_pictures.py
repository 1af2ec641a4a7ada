"""A live source for who wants its pictures alone, one after the other, and nothing else: calibration, for example."""

from collections.abc import Iterator
from typing import Final

from pipeline.config import Config
from pipeline.errors import SourceError
from pipeline.picture import Picture
from pipeline.sources.live import LiveSource
from pipeline.sources.opened import Opened
from pipeline.sources.reader import Shown
from pipeline.sources.source import Stop, never
from pipeline.sources.states import Change

_TURN_S: Final = 0.05


class LivePictures:
    """A `Source` of a live source that is there; what breaks off is waited for. Raises SourceError."""

    def __init__(self, uri: str, config: Config, opened: Opened | None = None) -> None:
        self._live = LiveSource(uri, config, opened, newest=False)
        self.notes = self._live.notes
        self._size: tuple[int, int] | None = None
        while self._live.info is None:
            for happened in self._live.poll(_TURN_S):
                if isinstance(happened, Change) and happened.cause is not None:
                    self._live.close()
                    raise SourceError(happened.line, happened.cause)
        self.info = self._live.info

    @property
    def reconnects(self) -> int:
        """See `Source`."""
        return self._live.reconnects

    def pictures(self, start: int = 0, stop: Stop = never, t_first_ns: int = 0) -> Iterator[Picture]:
        """See `Source`."""
        self._live.clock.begin(t_first_ns)
        try:
            while not (self._live.over or stop()):
                for happened in self._live.poll(_TURN_S):
                    if isinstance(happened, Shown):
                        yield self._of_one_size(happened.picture)
        finally:
            self._live.close()

    def close(self) -> None:
        """See `Source`. Who waits for a picture in another thread ends soon."""
        self._live.close()

    def _of_one_size(self, picture: Picture) -> Picture:
        size = (picture.width, picture.height)
        if size != (self.info.width, self.info.height):
            was, now = f"{self.info.width}x{self.info.height}", f"{picture.width}x{picture.height}"
            raise SourceError(f"{self.info.name}: pictures change from {was} to {now}; start again")
        return picture
