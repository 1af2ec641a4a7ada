"""The inlet of `capture` for what is live: pictures as they come, changes of the source's state between them.

It waits for a camera that is not there yet, and never longer than the runner asks: heartbeats go on in every state.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from calibration.camera import CameraError
from pipeline.config import Config, views_of
from pipeline.feed import Decoded
from pipeline.messages import End, Flowing, Frame, SourceChange, SourceHealth
from pipeline.packets import OnPacket
from pipeline.picture import Picture
from pipeline.ring import Ring, slot_bytes_for
from pipeline.sources.live import LiveSource
from pipeline.sources.source import SourceInfo
from pipeline.sources.states import Change
from pipeline.stages.capture import Capture


class LiveComputation:
    """`Capture` as the runner calls it, on a ring that is made for the pictures when the first comes.

    When pictures become larger than its slots, a new ring takes its place; numbers and times go on, and readers follow
    by themselves. When they become smaller the ring stays.
    """

    batch = 1

    def __init__(self, config: Config, source: LiveSource, ring_path: Path) -> None:
        self._config, self._source, self._ring_path = config, source, ring_path
        self._ring: Ring | None = Ring.attach(ring_path) if ring_path.exists() else None
        self._capture: Capture | None = None
        self._info: SourceInfo | None = None
        self.last_seq = -1 if self._ring is None else self._ring.last_seq
        self.last_t_media_ns = -1 if self._ring is None else self._ring.last_t_media_ns

    @property
    def note(self) -> str:
        """The source in a line, and what went wrong lately."""
        return self._source.describe

    @property
    def source(self) -> SourceHealth:
        """The source in numbers."""
        return self._source.health

    def step(self, decoded: Sequence[Decoded]) -> Iterable[Frame]:
        """The pictures go into the ring, their messages on."""
        for one in decoded:
            self.last_seq, self.last_t_media_ns = one.seq, one.picture.t_media_ns
            yield self._capture_for(one.picture).step(one.picture, one.seq, one.t_capture_ns)

    def flush(self, stream: str) -> Iterable[Flowing]:
        """Nothing is held back."""
        return ()

    def close(self) -> None:
        """Let go of the ring."""
        if self._ring is not None:
            self._ring.close()

    def _capture_for(self, picture: Picture) -> Capture:
        info = self._source.info
        assert info is not None
        needed = slot_bytes_for(picture.coded_width, picture.coded_height)
        if self._ring is None or self._ring.slot_bytes < needed:
            self.close()
            self._ring = Ring.reopen(self._ring_path, self._config.capture.ring_slots, needed)
            self._capture = None
        if self._capture is None or self._info is not info:
            self._capture, self._info = Capture(self._config, self._ring, info), info
        return self._capture


class LiveInlet:
    """What a live source shows and how it is, in order. Who is slow to ask misses pictures, which are counted."""

    def __init__(self, config: Config, uri: str, ring_path: Path, on_packet: OnPacket | None = None) -> None:
        self._config = config
        self._source = LiveSource(uri, config, objection=self._objection, on_packet=on_packet)
        self.computation = LiveComputation(config, self._source, ring_path)
        self._ended = False
        self.taken_ns = 0
        self._seq = self.computation.last_seq
        if self._seq >= 0:
            self._source.clock.begin(self.computation.last_t_media_ns + 1)

    @property
    def dropped(self) -> Counter[str]:
        """Pictures that nobody took in time."""
        return Counter(superseded=self._source.superseded)

    def receive(self, timeout_s: float) -> list[Decoded | SourceChange | End]:
        """What happened since the last call, waiting so long for a picture. Raises SourceError if it cannot go on."""
        if self._ended:
            return []
        messages: list[Decoded | SourceChange | End] = []
        for happened in self._source.poll(timeout_s):
            if isinstance(happened, Change):
                self.taken_ns = time.monotonic_ns()
                messages.append(self._told(happened))
            else:
                self._seq += 1 + happened.missed
                self.taken_ns = happened.arrived_ns
                messages.append(Decoded(happened.picture, self._seq, happened.t_capture_ns, happened.arrived_ns))
        if self._source.over:
            self._ended = True
            messages.append(End(seq=self._seq + 1, **self._moment()))
        return messages

    def close(self) -> None:
        """Let go of the source and the ring, in whatever state they are."""
        self._source.close()
        self.computation.close()

    def _told(self, change: Change) -> SourceChange:
        detail = change.line
        if change.state == "live" and self._source.info is not None:
            detail = self._source.info.describe()
        return SourceChange(seq=self._seq + 1, state=change.state, cause=change.cause, detail=detail, **self._moment())

    def _moment(self) -> dict[str, Any]:
        t_media_ns = max(0, self.computation.last_t_media_ns)
        return {"stream": self._config.stream, "t_media_ns": t_media_ns, "t_capture_ns": time.time_ns()}

    def _objection(self, width: int, height: int) -> str:
        """Of a camera that was calibrated: with pictures of another shape metres would be wrong."""
        try:
            views_of(self._config, self._config.stream).camera(width, height)
        except CameraError as error:
            return str(error)
        return ""
