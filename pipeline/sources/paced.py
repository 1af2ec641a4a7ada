"""A recording played by the clock, as if a camera were filming it."""

import time
from collections.abc import Iterator
from dataclasses import replace

from pipeline.picture import Picture
from pipeline.sources.source import Source, Stop, never, wait


class Paced:
    """The pictures of `source` at their own times, the first at once.

    With a `speed` other than one its times and its rate are those of a camera that had filmed it so fast.
    """

    def __init__(self, source: Source, speed: float) -> None:
        self._source, self._speed = source, speed
        self.info = replace(source.info, rate_hz=source.info.rate_hz * speed)
        self.notes = source.notes

    @property
    def reconnects(self) -> int:
        """See `Source`."""
        return self._source.reconnects

    def pictures(self, start: int = 0, stop: Stop = never, t_first_ns: int = 0) -> Iterator[Picture]:
        """See `Source`."""
        began: float | None = None
        first_ns = 0
        for picture in self._source.pictures(start, stop, t_first_ns):
            if began is None:
                began, first_ns = time.monotonic(), picture.t_media_ns
            due = began + (picture.t_media_ns - first_ns) * 1e-9 / self._speed
            if not wait(due - time.monotonic(), stop):
                return
            yield picture.at(round(picture.t_media_ns / self._speed))

    def close(self) -> None:
        """See `Source`."""
        self._source.close()
