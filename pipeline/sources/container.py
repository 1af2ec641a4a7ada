"""Files, network streams and USB cameras through PyAV; live ones come back by themselves when they break off."""

import itertools
import threading
import time
from collections.abc import Iterator
from typing import Final

import av

from pipeline.config import Source as Settings
from pipeline.errors import SourceError
from pipeline.packets import OnPacket
from pipeline.picture import Picture, from_av, rotation_of
from pipeline.sources.opened import Opened
from pipeline.sources.source import MediaClock, SourceInfo, Stop, never, wait
from pipeline.streams import masked

_BACKOFF_S: Final = (0.5, 1.0, 2.0, 4.0)
_BACKOFF_MAX_S: Final = 5.0
_NOTES: Final = 50
_CLOSE_S: Final = 0.1


class ContainerSource:
    """A `Source` that FFmpeg can open. The first picture is decoded on construction. Raises SourceError."""

    def __init__(
        self, uri: str, settings: Settings, decoder_threads: int = 1, on_packet: OnPacket | None = None
    ) -> None:
        self._uri, self._settings, self._threads = uri, settings, decoder_threads
        self._on_packet = on_packet
        self.notes: list[str] = []
        self.reconnects = 0
        self._closed = False
        self._using = threading.Lock()
        self._opened = self._open()
        first = self._opened.first
        self._coded_size = (int(first.width), int(first.height))
        self._rotation = rotation_of(first.rotation)
        shown = self._coded_size[::-1] if self._rotation in (90, 270) else self._coded_size
        self.info = SourceInfo(
            name=masked(uri),
            width=shown[0],
            height=shown[1],
            rate_hz=self._opened.rate_hz,
            rotation_deg=self._rotation,
            live=self._opened.live,
            frames=self._opened.claimed_frames,
        )

    def pictures(self, start: int = 0, stop: Stop = never, t_first_ns: int = 0) -> Iterator[Picture]:
        """See `Source`. A live source that breaks off is opened again, for as long as it takes."""
        if self.info.live:
            return self._released(self._live(stop, t_first_ns))
        return self._released(self._recorded(start, stop))

    def close(self) -> None:
        """Let go of the file or connection. If another thread waits for a picture just now, it does it."""
        self._closed = True
        if self._using.acquire(timeout=_CLOSE_S):
            self._opened.close()
            self._using.release()

    def _released(self, pictures: Iterator[Picture]) -> Iterator[Picture]:
        try:
            yield from pictures
        finally:
            if self._closed:
                self._opened.close()

    def _recorded(self, start: int, stop: Stop) -> Iterator[Picture]:
        # Skipping decodes what it skips: only so is picture n the same one as before, whatever the container claims.
        clock = MediaClock(self.info.rate_hz)
        for index in itertools.count():
            frame = self._next()
            if frame is None or stop():
                return
            t_media_ns = clock.at(self._opened.presentation_ns(frame))
            if index >= start:
                yield self._picture(frame, t_media_ns)

    def _live(self, stop: Stop, t_first_ns: int) -> Iterator[Picture]:
        clock = MediaClock(self.info.rate_hz, t_first_ns)
        while True:
            seen_ns = time.monotonic_ns()
            while (frame := self._next()) is not None:
                if stop():
                    return
                seen_ns = time.monotonic_ns()
                yield self._picture(frame, clock.at(self._opened.presentation_ns(frame)))
            if not self._reconnected(stop):
                return
            # Media time goes on by the clock on the wall: the picture after a gap of 3 s is 3 s later.
            clock.resume(time.monotonic_ns() - seen_ns)

    def _next(self) -> av.VideoFrame | None:
        with self._using:
            return None if self._closed else self._opened.next()

    def _picture(self, frame: av.VideoFrame, t_media_ns: int) -> Picture:
        size = (int(frame.width), int(frame.height))
        if size != self._coded_size:
            was, now = (f"{width}x{height}" for width, height in (self._coded_size, size))
            remedy = "start again" if self.info.live else "split the recording there"
            raise SourceError(
                f"{self.info.name}: pictures change from {was} to {now} at {t_media_ns * 1e-9:.1f} s; {remedy}"
            )
        return from_av(frame, self._rotation, t_media_ns)

    def _reconnected(self, stop: Stop) -> bool:
        lost = time.monotonic()
        with self._using:
            self._opened.close()
        for pause_s in itertools.chain(_BACKOFF_S, itertools.repeat(_BACKOFF_MAX_S)):
            if not wait(pause_s, lambda: self._closed or stop()):
                return False
            try:
                with self._using:
                    self._opened = self._open()
            except SourceError as error:
                refusal = str(error)
                if refusal not in self.notes:
                    self._note(refusal)
                continue
            self.reconnects += 1
            self._note(f"{self.info.name}: connection lost, back after {time.monotonic() - lost:.1f} s")
            return True
        return False

    def _open(self) -> Opened:
        return Opened(self._uri, self._settings, self._threads, self._note, self._on_packet)

    def _note(self, line: str) -> None:
        self.notes.append(line)
        del self.notes[:-_NOTES]
