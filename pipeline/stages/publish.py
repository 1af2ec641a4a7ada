"""Publish: the only stage that faces the network. Topics, bytes, greetings; the runner owns the socket."""

import ipaddress
from collections.abc import Sequence
from typing import Final

import msgspec

from engines.skeleton import JOINT_NAMES, MIRROR_PAIRS, PARENTS
from pipeline.edges.versions import posecast_version
from pipeline.errors import EndpointError
from pipeline.messages import (
    End,
    Event,
    EventKind,
    Health,
    Hello,
    PoseFrame,
    SourceChange,
    SourceState,
    encode,
    moment_of,
    topic_of,
)

UNITS: Final = {
    "_ns": "nanoseconds",
    "_ms": "milliseconds",
    "_hz": "per second",
    "_deg": "degrees",
    "_px": "pixels of the picture as shown",
    "_m": "metres",
    "_cov_m2": "square metres: xx, xy, xz, yy, yz, zz",
    "_sd_m": "metres, one standard deviation per axis",
    "_conf": "0 (not measured) to 1",
    "_bytes": "bytes",
}
"""Unit by the ending of a field's name."""

FRAMES_OF_REFERENCE: Final = {
    "img": "the picture as shown, after rotation metadata: u right, v down, top-left pixel's centre (0, 0)",
    "cam": "the camera: x right, y down, z forward, origin at the camera's centre",
    "root": "relative to the pelvis, in the axes of cam",
    "world": "z up; calibrated: origin at the board's edge, x over the water; else the camera, y ahead, both level",
    "t_media": "the source's own clock, 0 at the first picture",
    "t_capture": "UNIX time when the picture left the decoder",
    "stamps": "monotonic clock of the host of the stages; compare only with one another",
}
"""What the middle part of a field's name refers to."""

REVISIONS: Final = ("provisional", "refined", "final")
"""In the order in which they supersede one another."""


_KINDS: Final[dict[SourceState, EventKind]] = {
    "connecting": "source_connecting",
    "live": "source_live",
    "stalled": "source_stalled",
    "lost": "source_lost",
    "ended": "source_ended",
}


class Publish:
    """From poses and events to topics and bytes.

    The last revision of a frame supersedes the earlier ones; every revision is published. The stamp of this
    stage must be on the message when it arrives here, because what leaves is bytes.
    """

    def __init__(self, streams: Sequence[str], version: str = "") -> None:
        """`streams`: the names of all, at least one."""
        self._streams = tuple(streams)
        self._hello = Hello(
            stream=self._streams[0],
            version=version or posecast_version(),
            joint_names=JOINT_NAMES,
            parents=PARENTS,
            mirror_pairs=MIRROR_PAIRS,
            units=UNITS,
            frames_of_reference=FRAMES_OF_REFERENCE,
            revisions=REVISIONS,
            streams=self._streams,
        )

    def step(self, message: PoseFrame | Event | SourceChange | End) -> list[tuple[str, bytes]]:
        """Topic and payload of a message.

        The public form of End is the event `stream_ended`. It comes before; where it did not, because nothing was ever
        seen of the stream or a stage died, it is made here: consumers wait for it.
        """
        match message:
            case PoseFrame():
                return [(topic_of(message), encode(message))]
            case Event():
                if message.kind == "stream_ended":
                    self._close(message.stream)
                return [(topic_of(message), encode(message))]
            case SourceChange():
                return self.step(_changed(message))
            case End():
                return self.step(_ended(message)) if message.stream in self._hello.streams else []

    def _close(self, stream: str) -> None:
        going_on = tuple(name for name in self._hello.streams if name != stream)
        self._hello = msgspec.structs.replace(self._hello, streams=going_on)

    def hello(self, topic: str) -> tuple[str, bytes]:
        """Greeting for a new subscription to the prefix `topic`, under a topic that the prefix lets through.

        A subscription to something that is never published here is greeted too: the hello names the streams.
        """
        topics = [f"{kind}/{stream}" for stream in self._streams for kind in ("hello", "pose", "event")]
        passing = (candidate for candidate in (*topics, "health/") if candidate.startswith(topic))
        return next(passing, topic), encode(self._hello)

    def health(self, health: Health) -> tuple[str, bytes]:
        """Topic and payload of a stage's heartbeat."""
        return topic_of(health), encode(health)


def _changed(change: SourceChange) -> Event:
    return Event(**moment_of(change), kind=_KINDS[change.state], detail=change.detail, cause=change.cause)


def _ended(end: End) -> Event:
    return Event(**moment_of(end), kind="stream_ended", detail="nothing more was seen of it")


def check_endpoint(endpoint: str, insecure: bool) -> None:
    """Refuse an address that reaches beyond this machine, unless `insecure`.

    Fine without: `ipc://`, `inproc://`, and `tcp://` on 127.0.0.0/8, ::1 or localhost. Raises EndpointError.
    """
    transport, separator, address = endpoint.partition("://")
    if not separator or transport not in ("tcp", "ipc", "inproc") or not address:
        raise EndpointError(f"publish.endpoint {endpoint!r}: not an address; write tcp://127.0.0.1:5599 or ipc:///path")
    if transport != "tcp":
        return
    host, colon, port = address.rpartition(":")
    if not colon or not host or not _is_port(port):
        raise EndpointError(f"publish.endpoint {endpoint!r}: host or port missing; write tcp://127.0.0.1:5599")
    if not insecure and not is_loopback(host):
        raise EndpointError(
            f"publish.endpoint {endpoint!r}: reaches beyond this machine without encryption; "
            "bind tcp://127.0.0.1:5599, or type --insecure if everybody on that network may read the poses"
        )


def _is_port(port: str) -> bool:
    return port == "*" or (port.isascii() and port.isdigit() and int(port) <= 65535)


def is_loopback(host: str) -> bool:
    """Whether a host, as ZeroMQ writes it, cannot be reached from other machines."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
