"""A recording, or whatever else has an end, through PyAV."""

import itertools
import threading
from collections.abc import Iterator
from typing import Final

import av

from pipeline.errors import SourceError
from pipeline.picture import Picture, from_av
from pipeline.sources.clock import MediaClock
from pipeline.sources.opened import Opened
from pipeline.sources.source import Stop, never

_CLOSE_S: Final = 0.1


class ContainerSource:
    """A `Source` of an opened container that ends by itself."""

    reconnects = 0

    def __init__(self, opened: Opened, notes: list[str]) -> None:
        """`notes`: where `opened` notes what went wrong."""
        self.notes = notes
        self._closed = False
        self._using = threading.Lock()
        self._opened = opened
        self._coded_size = (int(opened.first.width), int(opened.first.height))
        self.info = opened.info

    def pictures(self, start: int = 0, stop: Stop = never, t_first_ns: int = 0) -> Iterator[Picture]:
        """See `Source`."""
        try:
            yield from self._pictures(start, stop)
        finally:
            if self._closed:
                self._opened.close()

    def close(self) -> None:
        """Let go of the file or connection. If another thread waits for a picture just now, it does it."""
        self._closed = True
        if self._using.acquire(timeout=_CLOSE_S):
            self._opened.close()
            self._using.release()

    def _pictures(self, start: int, stop: Stop) -> Iterator[Picture]:
        # Skipping decodes what it skips: only so is picture n the same one as before, whatever the container claims.
        clock = MediaClock(self.info.rate_hz)
        for index in itertools.count():
            frame = self._next()
            if frame is None or stop():
                return
            t_media_ns = clock.at(self._opened.presentation_ns(frame))
            if index >= start:
                yield self._picture(frame, t_media_ns)

    def _next(self) -> av.VideoFrame | None:
        with self._using:
            return None if self._closed else self._opened.next()

    def _picture(self, frame: av.VideoFrame, t_media_ns: int) -> Picture:
        size = (int(frame.width), int(frame.height))
        if size != self._coded_size:
            was, now = (f"{width}x{height}" for width, height in (self._coded_size, size))
            raise SourceError(
                f"{self.info.name}: pictures change from {was} to {now} at {t_media_ns * 1e-9:.1f} s; "
                "split the recording there"
            )
        return from_av(frame, self.info.rotation_deg, t_media_ns)
