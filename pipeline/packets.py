"""Compressed pictures on their way from capture to an edge that records them: as the source sent them."""

import io
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.messages import Frame

if TYPE_CHECKING:
    import av

    from pipeline.edge_bus import EdgeOutbox

_KNOWN: Final = 4
"""Connections of a source that are told apart: the present one, and those whose threads were left behind."""
OnPacket = Callable[["av.Packet[av.VideoStream]"], None]


class Packet(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="packet"):
    """One packet of a source: of `codec` as FFmpeg names it, `data` as the container had it.

    `pts`, `dts` and `duration` count in `time_base`. A decoder can begin at a `key` packet; with it come `extradata`,
    the codec's global header as FFmpeg has it, and `parameters`, a NUT file that has those of the stream and no
    picture. `connection` is the UNIX time in ns of the first packet since the source was opened.
    """

    stream: str
    t_unix_ns: int
    connection: int
    codec: str
    width: int
    height: int
    key: bool
    pts: int | None
    dts: int | None
    duration: int
    time_base: tuple[int, int]
    extradata: bytes = b""
    parameters: bytes = b""
    data: bytes


Taped = Packet | Frame
"""What is recorded of pictures: packets, and which frame became of which."""

decode_taped: Final = msgspec.msgpack.Decoder(Taped).decode


def presentation_ns(pts: int | None, time_base: Fraction | None) -> int | None:
    """When a picture is shown by its source's clock; None if the source does not say."""
    return None if pts is None or not time_base else pts * time_base.numerator * 1_000_000_000 // time_base.denominator


class Tap:
    """What capture calls with each packet of a source, before it is decoded."""

    def __init__(self, stream: str, edges: "Iterable[EdgeOutbox]") -> None:
        self._stream = stream
        self._edges = tuple(edges)
        self._opened: deque[_Connection] = deque(maxlen=_KNOWN)
        self._lock = threading.Lock()

    def __call__(self, packet: "av.Packet[av.VideoStream]") -> None:
        """Hand it on to the edges."""
        if not packet.size or not self._edges:
            return
        connection = self._connection_of(packet.stream)
        context, base = packet.stream.codec_context, packet.time_base
        message = Packet(
            stream=self._stream,
            t_unix_ns=time.time_ns(),
            connection=connection.began_unix_ns,
            codec=context.name,
            width=context.width,
            height=context.height,
            key=packet.is_keyframe,
            pts=packet.pts,
            dts=packet.dts,
            duration=packet.duration or 0,
            time_base=(base.numerator, base.denominator),
            extradata=(context.extradata or b"") if packet.is_keyframe else b"",
            parameters=connection.parameters if packet.is_keyframe else b"",
            data=bytes(packet),
        )
        payload = msgspec.msgpack.encode(message)
        for edge in self._edges:
            edge.send(payload)

    def _connection_of(self, stream: "av.VideoStream") -> "_Connection":
        """A thread that reads from a connection which was left may still be about when the next is there."""
        with self._lock:
            for known in self._opened:
                if known.stream is stream:
                    return known
            self._opened.append(_Connection(stream, time.time_ns(), _parameters_of(stream)))
            return self._opened[-1]


@dataclass(frozen=True, slots=True)
class _Connection:
    stream: object
    began_unix_ns: int
    parameters: bytes


def _parameters_of(stream: "av.VideoStream") -> bytes:
    """A container that others can take a stream's parameters from. NUT alone takes any codec and changes nothing."""
    import av  # who hands over packets has loaded it

    file = io.BytesIO()
    with av.open(file, "w", format="nut") as container:
        made = container.add_stream_from_template(stream)
        nothing = av.Packet(b"\0")  # the reader looks for one
        nothing.pts = nothing.dts = 0
        nothing.is_keyframe, nothing.stream = True, made
        container.mux(nothing)
    return file.getvalue()
