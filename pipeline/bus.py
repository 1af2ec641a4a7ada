"""ZeroMQ between the stages: one endpoint a reader, one frame a message, every queue bounded, every drop counted.

The reader binds and the writer connects, so a writer keeps what it could not yet deliver while a reader restarts.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import zmq

from pipeline.messages import End, Flowing, Health, Inbound, Public, decode, encode

LIVE_QUEUE: Final = 16
REPLAY_QUEUE: Final = 2
_LINGER_MS: Final = 2_000
_TURN_S: Final = 0.1
"""A blocked call returns to its caller this often, so that heartbeats go on and a stop is heard."""


def endpoint(run_dir: Path, stage: str) -> str:
    """Address of a stage's inbox, or of the supervisor's, inside the run's own folder."""
    return f"ipc://{run_dir / stage}.sock"


class Inbox:
    """The one queue a stage reads."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", address: str, *, queue: int, newest: bool) -> None:
        self._socket = context.socket(zmq.PULL)
        self._socket.set_hwm(queue)
        self._socket.linger = 0
        self._socket.bind(address)
        self._newest = newest
        self.taken_ns = 0
        self.dropped: Counter[str] = Counter()

    def receive(self, timeout_s: float) -> list[Inbound]:
        """What has arrived, oldest first; with `newest` all that flows but its newest is dropped and counted."""
        self._socket.rcvtimeo = int(timeout_s * 1000)
        try:
            taken = [self._socket.recv()]
        except zmq.Again:
            return []
        while self._newest:
            try:
                taken.append(self._socket.recv(zmq.NOBLOCK))
            except zmq.Again:
                break
        self.taken_ns = time.monotonic_ns()
        return self._without_superseded([decode(data) for data in taken])

    def _without_superseded(self, messages: list[Inbound]) -> list[Inbound]:
        flowing = [at for at, message in enumerate(messages) if not isinstance(message, End | Health)]
        superseded = set(flowing[:-1]) if self._newest else set()
        self.dropped["superseded"] += len(superseded)
        return [message for at, message in enumerate(messages) if at not in superseded]

    def close(self) -> None:
        """Close the socket; what was not read is lost."""
        self._socket.close()


class Outbox:
    """The way to one reader's inbox."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", address: str, *, queue: int, blocking: bool) -> None:
        self._socket = context.socket(zmq.PUSH)
        self._socket.set_hwm(queue)
        self._socket.linger = _LINGER_MS
        self._socket.reconnect_ivl = 20
        self._socket.connect(address)
        self._blocking = blocking
        self.dropped: Counter[str] = Counter()

    def send(self, message: Flowing | Public, alive: Callable[[], bool]) -> bool:
        """Hand on one message; a full queue drops it (live) or is waited for as long as `alive()` (replay)."""
        data = encode(message)
        while True:
            try:
                self._socket.send(data, zmq.NOBLOCK)
                return True
            except zmq.Again:
                if not (self._blocking or isinstance(message, End)):
                    self.dropped["queue_full"] += 1
                    return False
            if not alive():
                self.dropped["stopped"] += 1
                return False
            self._socket.poll(int(_TURN_S * 1000), zmq.POLLOUT)

    def close(self, *, discard: bool = False) -> None:
        """Close the socket; what was sent is still delivered unless `discard`."""
        self._socket.close(linger=0 if discard else None)


class PublicSocket:
    """The only socket that faces the network: XPUB, so that subscriptions are seen and answered.

    Subscriptions take effect when they are read here, not before: a greeting sent then is a subscriber's first message.
    """

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", address: str, *, queue: int, lossless: bool) -> None:
        self._socket = context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.XPUB_MANUAL, 1)
        self._socket.setsockopt(zmq.XPUB_NODROP, int(lossless))
        self._socket.sndhwm = queue
        self._socket.linger = _LINGER_MS
        self._socket.bind(address)

    def subscriptions(self) -> Iterator[str]:
        """Topics subscribed to since the last call, one by one; what is sent between reaches the subscriber."""
        while self._socket.poll(0):
            kind, topic = (data := self._socket.recv())[:1], data[1:]
            if kind == b"\x01":
                self._socket.setsockopt(zmq.SUBSCRIBE, topic)
                yield topic.decode("utf-8", "replace")
            elif kind == b"\x00":
                self._socket.setsockopt(zmq.UNSUBSCRIBE, topic)

    def send(self, topic: str, payload: bytes, alive: Callable[[], bool]) -> bool:
        """Publish; a slow subscriber loses its own messages, or is waited for when the socket is lossless."""
        while True:
            try:
                self._socket.send_multipart((topic.encode(), payload), zmq.NOBLOCK)
                return True
            except zmq.Again:
                if not alive():
                    return False
                time.sleep(0.002)

    def close(self) -> None:
        """Close after what was published is delivered."""
        self._socket.close()
