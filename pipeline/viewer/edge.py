"""The edge `view`: what is published and the pictures of it, to every browser that looks."""

import secrets
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from pipeline.config import camera_of
from pipeline.edge import EdgeHost
from pipeline.edges.versions import posecast_version
from pipeline.messages import Event, Frame, Health, Hello, PoseFrame, Public
from pipeline.topology import STAGES
from pipeline.viewer import wire
from pipeline.viewer.access import checked
from pipeline.viewer.browsers import Browsers
from pipeline.viewer.gauges import Gauges
from pipeline.viewer.memory import Memory
from pipeline.viewer.pictures import jpeg, shrunk
from pipeline.viewer.server import Server

if TYPE_CHECKING:
    from pipeline.picture import Picture
    from pipeline.ring import Ring

_WAIT_S: Final = 1.0
"""A picture whose pose has not come for so long is shown without."""
_WAITING: Final = 128
"""Pictures of a stream that wait for their poses at most."""
_EARLY: Final = 0.9
"""A picture may be shown this part of the interval after the last."""


def build(host: EdgeHost) -> "View":
    """The edge, serving."""
    return View(host)


class View:
    """Sends each pose at once, and the picture it belongs to right behind it: never a skeleton on another picture."""

    def __init__(self, host: EdgeHost) -> None:
        settings = host.config.view
        self._settings = settings
        self._waiting: dict[str, deque[tuple[Frame, Picture, float]]] = {}
        self._shown_ns: dict[str, int] = {}
        names = tuple(stream.name for stream in host.streams)
        self._memory = Memory()
        self._gauges = Gauges(names, [row.name for row in STAGES])
        greetings = {
            name: wire.ViewHello(
                run=secrets.token_hex(4),
                version=posecast_version(),
                streams=names,
                stream=name,
                venue=wire.venue(camera_of(host.config, name)),
            )
            for name in names
        }
        self._browsers = Browsers(greetings, self._memory)
        self._server = Server(settings, checked(settings), self._browsers, self._gauges)
        self._server.start()

    @property
    def note(self) -> str:
        """Where, and who looks."""
        count = self._browsers.count
        return f"{self._server.address.url} · {count} browser{'' if count == 1 else 's'}"

    @property
    def dropped(self) -> Counter[str]:
        """What browsers that were too slow did not get."""
        return self._browsers.dropped

    def take(self, message: Public, number: int) -> None:
        """Hand it on."""
        match message:
            case PoseFrame():
                self._pose(message)
            case Event():
                self._event(message)
            case Health():
                self._memory.health(message)
                self._browsers.tell(wire.text(message), "")
            case Hello():
                return
        self._gauges.take(message)

    def _pose(self, message: PoseFrame) -> None:
        pose = wire.pose(message, time.time_ns())
        self._memory.pose(pose)
        if self._browsers.watched(message.stream):
            self._browsers.tell(wire.text(pose), message.stream)
        if message.revision == "provisional":
            self._show_up_to(message.stream, message.seq)

    def _event(self, message: Event) -> None:
        self._browsers.tell(wire.text(wire.event(message)), message.stream)
        if message.dive is not None:
            dive = wire.text(wire.dive(message, message.dive, self._memory.poses_of(message.stream, message.dive)))
            self._memory.dive(message.stream, dive)
            self._browsers.tell(dive, message.stream)

    def frame(self, frame: Frame, ring: "Ring") -> None:
        """Keep it, small, until its pose comes; nothing where nobody looks."""
        if not self._browsers.watched(frame.stream):
            self._waiting.pop(frame.stream, None)
            return
        with ring.reading(frame) as picture:
            small = shrunk(picture, self._settings.height_px)
        waiting = self._waiting.setdefault(frame.stream, deque(maxlen=_WAITING))
        waiting.append((frame, small, time.monotonic()))

    def _show_up_to(self, stream: str, seq: int) -> None:
        """Show the picture of a frame whose pose has come; those before it have none."""
        waiting = self._waiting.get(stream)
        while waiting and waiting[0][0].seq <= seq:
            frame, small, _ = waiting.popleft()
            if frame.seq == seq:
                self._show(frame, small)

    def _show(self, frame: Frame, small: "Picture") -> None:
        since_ns = frame.t_media_ns - self._shown_ns.get(frame.stream, -(10**12))
        if 0 <= since_ns < _EARLY * 1e9 / self._settings.rate_hz:
            return
        self._shown_ns[frame.stream] = frame.t_media_ns
        data = jpeg(small, self._settings.quality)
        size = (frame.width, frame.height)
        t_ms = frame.t_media_ns / 1e6
        self._browsers.show(wire.picture(frame.stream, frame.seq, t_ms, frame.t_capture_ns, size, data), frame.stream)

    def idle(self) -> None:
        """Show what waits for a pose that does not come."""
        before = time.monotonic() - _WAIT_S
        for waiting in self._waiting.values():
            while waiting and waiting[0][2] < before:
                self._show(*waiting.popleft()[:2])

    def close(self) -> None:
        """The run is over: browsers are told, and try again until there is another."""
        self._server.stop()
