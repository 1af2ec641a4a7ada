"""ZeroMQ to the edges: they never make a sender wait, and what they lose is counted on both sides.

The edge binds and the sender connects, so messages wait for an edge that is started again, up to its queue. Each has
its sender and its number there in front, so that the edge knows what it did not get.
"""

import secrets
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Literal

import msgspec
import zmq

from pipeline.bus import Outbox, endpoint
from pipeline.messages import Flowing, Frame, Public, decode_public, encode
from pipeline.packets import Taped, decode_taped
from pipeline.topology import Edge

FRAME_QUEUE: Final = 4
"""Pictures are soon overwritten in the ring: those that waited longer could not be read any more."""
PACKET_QUEUE: Final = 2_000
"""Packets and frames; of a camera with 8 Mbit/s about half a minute and 30 MB."""
_LINGER_MS: Final = 2_000
_AT_ONCE: Final = 64
_HEAD: Final = struct.Struct("<QQ")
_frames: Final = msgspec.msgpack.Decoder(Frame)


Way = Literal["messages", "frames", "packets"]
"""What an edge gets, each on a socket of its own: what is published, which pictures lie in the ring, what is taped."""


def _queue(row: Edge, way: Way) -> int:
    return {"messages": row.queue, "frames": FRAME_QUEUE, "packets": PACKET_QUEUE}[way]


def gone_path(run_dir: Path, edge: str) -> Path:
    """A file that is there once the edge was given up."""
    return run_dir / f"{edge}.gone"


class EdgeOutbox:
    """A way to one edge, for any thread. A full queue drops the message; nothing is kept for one that was given up."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", run_dir: Path, row: Edge, way: Way) -> None:
        self._socket = context.socket(zmq.PUSH)
        self._socket.set_hwm(_queue(row, way))
        self._socket.linger = 0 if way == "frames" else _LINGER_MS
        self._socket.reconnect_ivl = 20
        self._socket.connect(endpoint(run_dir, f"{row.name}.{way}"))
        self._gone = gone_path(run_dir, row.name)
        self._cause = f"edge_{row.name}"
        self._sender = secrets.randbits(64)
        self._number = 0
        self._lock = threading.Lock()
        self.dropped: Counter[str] = Counter()

    def send(self, payload: bytes) -> None:
        """Hand on an encoded message, or drop it and count it; after `close` nothing happens."""
        with self._lock:
            if self._socket.closed:
                return
            head = _HEAD.pack(self._sender, self._number)
            self._number += 1
            try:
                self._socket.send(head + payload, zmq.NOBLOCK)
            except zmq.Again:
                self.dropped[self._cause] += 1
                if self._gone.exists():
                    self._socket.close(linger=0)

    def close(self) -> None:
        """Close the socket; what was sent is still delivered, for two seconds."""
        with self._lock:
            self._socket.close(linger=0 if self._gone.exists() else None)


class WithFrames:
    """An outlet of capture that tells the edges, too, which frames there are."""

    def __init__(self, outlet: Outbox, edges: Iterable[EdgeOutbox]) -> None:
        self._outlet = outlet
        self._edges = tuple(edges)

    @property
    def dropped(self) -> Counter[str]:
        """By cause; that of an edge has its name."""
        return sum((edge.dropped for edge in self._edges), self._outlet.dropped.copy())

    def send(self, message: Flowing | Public, alive: Callable[[], bool]) -> bool:
        """Hand on one message to the reader, and a frame to the edges; False if the reader's was dropped."""
        sent = self._outlet.send(message, alive)
        if isinstance(message, Frame) and self._edges:
            payload = encode(message)
            for edge in self._edges:
                edge.send(payload)
        return sent


class EdgeInbox:
    """What an edge reads: public messages, and frames if it reads the ring."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", run_dir: Path, row: Edge) -> None:
        ways: dict[Way, bool] = {"messages": True, "frames": row.ring, "packets": row.packets}
        self._sockets = {way: _bound(context, run_dir, row, way) for way, wanted in ways.items() if wanted}
        self._poller = zmq.Poller()
        for socket in self._sockets.values():
            self._poller.register(socket, zmq.POLLIN)
        self._next: dict[tuple[str, int], int] = {}
        self.lost: Counter[str] = Counter()
        """What was dropped before it came here: `lost` public messages, `lost_packets`."""

    def wait(self, timeout_s: float) -> None:
        """Wait until there is something to be taken."""
        self._poller.poll(round(timeout_s * 1000))

    def frames(self) -> list[Frame]:
        """Pictures that came since, oldest first."""
        return [_frames.decode(data[_HEAD.size :]) for data in self._waiting("frames")]

    def messages(self) -> list[tuple[int, Public]]:
        """Some of the public messages that wait, oldest first, with their numbers."""
        return [(self._number("lost", data), decode_public(data[_HEAD.size :])) for data in self._waiting("messages")]

    def packets(self) -> list[tuple[int, Taped]]:
        """Some of the packets and frames that wait, oldest first, with their numbers."""
        taped = self._waiting("packets")
        return [(self._number("lost_packets", data), decode_taped(data[_HEAD.size :])) for data in taped]

    def _waiting(self, way: Way) -> Iterable[bytes]:
        if way not in self._sockets:
            return
        for _ in range(_AT_ONCE):
            try:
                yield self._sockets[way].recv(zmq.NOBLOCK)
            except zmq.Again:
                return

    def _number(self, kind: str, data: bytes) -> int:
        sender, number = _HEAD.unpack_from(data)
        # What came before the first of a sender went to the process that this one replaces.
        self.lost[kind] += number - self._next.get((kind, sender), number)
        self._next[kind, sender] = number + 1
        return int(number)

    def close(self) -> None:
        """Close the sockets; what was not read is lost."""
        for socket in self._sockets.values():
            socket.close()


def _bound(context: "zmq.Context[zmq.Socket[bytes]]", run_dir: Path, row: Edge, way: Way) -> "zmq.Socket[bytes]":
    socket = context.socket(zmq.PULL)
    socket.set_hwm(_queue(row, way))
    socket.linger = 0
    socket.bind(endpoint(run_dir, f"{row.name}.{way}"))
    return socket
