"""ZeroMQ between the stages: one endpoint a reader, one frame a message, every queue bounded, every drop counted.

The reader binds and the writer connects, so a writer keeps what it could not yet deliver while a reader restarts.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import zmq

from pipeline.messages import End, Flowing, Health, Inbound, Public, SourceChange, decode, encode

LIVE_QUEUE: Final = 16
REPLAY_QUEUE: Final = 2
_LINGER_MS: Final = 2_000
_SILENT_S: Final = 0.5
"""A stream that has sent nothing for so long is not waited for any more."""
_TURN_S: Final = 0.1
"""A blocked call returns to its caller this often, so that heartbeats go on and a stop is heard."""


def endpoint(run_dir: Path, node: str) -> str:
    """Address of a node's inbox, or of the supervisor's, inside the run's own folder."""
    return f"ipc://{run_dir / node}.sock"


class Inbox:
    """The one queue a stage reads, for all its streams.

    A stream keeps its order and its turn; what comes of it after its `End` is dropped and counted.
    """

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", address: str, *, queue: int, newest: bool) -> None:
        self._socket = context.socket(zmq.PULL)
        self._socket.set_hwm(queue)
        self._socket.linger = 0
        self._socket.bind(address)
        self._newest = newest
        self._batch, self._wait_s = 1, 0.0
        self._waiting: deque[Inbound] = deque()
        self._heard: dict[str, float] = {}
        self._ended: set[str] = set()
        self.taken_ns = 0
        self.dropped: Counter[str] = Counter()

    def gather(self, batch: int, wait_s: float) -> None:
        """From now on hand out up to `batch` messages at once, and wait so long for those of other streams."""
        self._batch, self._wait_s = batch, wait_s

    def receive(self, timeout_s: float) -> list[Inbound]:
        """What has arrived, oldest first; with `newest` all of a stream but its newest is dropped and counted.

        The first message waits for others until there are a batch, or one of every stream that is not silent.
        """
        if self._waiting:
            self.taken_ns = time.monotonic_ns()
        self._take(0.0 if self._waiting else timeout_s)
        until = time.monotonic() + self._wait_s
        while self._awaits_others() and (left_s := until - time.monotonic()) > 0:
            self._take(left_s)
        return [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]

    def _take(self, timeout_s: float) -> None:
        """Wait for a message and take it and those behind it: all where the newest counts, else up to a batch."""
        self._socket.rcvtimeo = math.ceil(timeout_s * 1000)
        while self._newest or len(self._waiting) < self._batch:
            try:
                data = self._socket.recv()
            except zmq.Again:
                return
            self.taken_ns = time.monotonic_ns()
            self._socket.rcvtimeo = 0
            self._put(decode(data))

    def _put(self, message: Inbound) -> None:
        if isinstance(message, Health):
            self._waiting.append(message)
        elif message.stream in self._ended:
            self.dropped["ended"] += not isinstance(message, End)
        elif isinstance(message, End):
            self._ended.add(message.stream)
            self._heard.pop(message.stream, None)
            self._waiting.append(message)
        else:
            self._heard[message.stream] = time.monotonic()
            self._append(message)

    def _append(self, message: Flowing) -> None:
        """Behind the others, or in the place of the one it supersedes: who is slow to be read keeps its turn."""
        if not self._newest or isinstance(message, SourceChange):
            self._waiting.append(message)
            return
        for at in reversed(range(len(self._waiting))):
            waiting = self._waiting[at]
            if isinstance(waiting, End | Health) or waiting.stream != message.stream:
                continue
            if isinstance(waiting, SourceChange):
                break  # what came after the change is not told before it
            self._waiting[at] = message
            self.dropped["superseded"] += 1
            return
        self._waiting.append(message)

    def _awaits_others(self) -> bool:
        if not 0 < len(self._waiting) < self._batch:
            return False
        since = time.monotonic() - _SILENT_S
        here = {message.stream for message in self._waiting}
        return any(heard > since and stream not in here for stream, heard in self._heard.items())

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
