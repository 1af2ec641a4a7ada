"""The consumer's side of `publish`: an iterator of public messages, and the verb `posecast subscribe`."""

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final, Self, TextIO

import msgspec
import zmq
from rich.console import Console
from rich.text import Text

from pipeline.errors import EndpointError, PosecastError
from pipeline.messages import SCHEMA, Event, Health, Hello, PoseFrame, Public, decode_public

DEFAULT_TOPICS: Final = ("hello/", "pose/", "event/")
SILENCE_S: Final = 5.0
"""How long nothing may come before the listener is told that nobody publishes there."""
POLL_MS: Final = 100


class SchemaError(PosecastError):
    """The publisher speaks a newer version of the wire, or none at all."""


class _Head(msgspec.Struct):
    schema: int


_head: Final = msgspec.msgpack.Decoder(_Head)


def decode_checked(payload: bytes, endpoint: str) -> Public:
    """A public message. Raises SchemaError when it is of a higher schema than ours or no message of ours."""
    try:
        schema = _head.decode(payload).schema
        if schema > SCHEMA:
            raise SchemaError(
                f"{endpoint}: publishes schema {schema}, this posecast reads {SCHEMA}; upgrade posecast here"
            )
        return decode_public(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SchemaError(f"{endpoint}: publishes something else than posecast messages ({error})") from error


def full_address(endpoint: str) -> str:
    """`host:port` as `tcp://host:port`; anything with a transport as it is."""
    return endpoint if "://" in endpoint else f"tcp://{endpoint}"


class Subscription:
    """A subscriber's socket; iterate over it once for its public messages, in order.

    The iteration ends after the event `stream_ended` of every stream asked for (unless `until_ended` is off), or when
    `stop` is set. `event/` is always subscribed, because the end is an event; events are yielded if asked for, and a
    hello only when it tells something new. At most `queue` messages wait at this end (0: as many as memory holds).
    """

    def __init__(
        self,
        endpoint: str,
        topics: Sequence[str] = DEFAULT_TOPICS,
        *,
        stop: threading.Event | None = None,
        queue: int = 0,
        until_ended: bool = True,
    ) -> None:
        self.endpoint = full_address(endpoint)
        self.ended = False
        self._topics = tuple(topics) or ("",)
        self._stop = stop or threading.Event()
        self._until_ended = until_ended
        self._hello: Hello | None = None
        self._open: set[str] = set()
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, queue)
        self._connect()

    def _connect(self) -> None:
        try:
            for topic in {*self._topics, "event/"}:
                self._socket.setsockopt_string(zmq.SUBSCRIBE, topic)
            self._socket.connect(self.endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise EndpointError(f"{self.endpoint}: not an address ({error}); write tcp://HOST:5599") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect at once; harmless when called twice."""
        self._socket.close(linger=0)

    def receive(self, timeout_ms: int = POLL_MS) -> Public | None:
        """The next message asked for; None when none came in time. Raises SchemaError."""
        if not self._socket.poll(timeout_ms):
            return None
        parts = self._socket.recv_multipart()
        if len(parts) != 2:
            raise SchemaError(f"{self.endpoint}: publishes something else than posecast messages ({len(parts)} parts)")
        message = decode_checked(parts[1], self.endpoint)
        if isinstance(message, Event) and message.kind == "stream_ended":
            self._open.discard(message.stream)
            self.ended = not self._open
        wanted = self._wants(parts[0].decode("utf-8", "replace"))
        return message if wanted and not self._known(message) else None

    def _wants(self, topic: str) -> bool:
        return any(topic.startswith(prefix) for prefix in self._topics)

    def _known(self, message: Public) -> bool:
        """Whether this hello was heard: one comes for every topic, and whenever another subscriber joins."""
        if not isinstance(message, Hello):
            return False
        known, self._hello = message == self._hello, message
        if not known:
            of_mine = {name for name in message.streams if self._wants(f"pose/{name}") or self._wants(f"event/{name}")}
            self._open = of_mine or set(message.streams)
        return known

    def __iter__(self) -> Iterator[Public]:
        while not self._stop.is_set() and not (self.ended and self._until_ended):
            message = self.receive()
            if message is not None:
                yield message


def subscribe(
    endpoint: str,
    *,
    json: bool = False,
    topics: Sequence[str] = DEFAULT_TOPICS,
    count: int = 0,
    stop: threading.Event | None = None,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Print what `endpoint` publishes until the stream ends, `stop` is set, or `count` poses and events came.

    One line a message to `out` (default stdout), JSON when `json`; remarks go to `err` (default stderr).
    `count` 0 is no limit. Returns the exit code 0, also on SIGINT. Raises EndpointError and SchemaError.
    """
    printer = _JsonLines(out or sys.stdout) if json else _HumanLines(out or sys.stdout)
    remarks = Console(file=err or sys.stderr, highlight=False, soft_wrap=True)
    stop = stop or threading.Event()
    try:
        with Subscription(endpoint, topics, stop=stop) as subscription:
            _listen(subscription, printer, remarks, count, stop)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _listen(
    subscription: Subscription,
    printer: "_JsonLines | _HumanLines",
    remarks: Console,
    count: int,
    stop: threading.Event,
) -> None:
    told, heard, printed = False, False, 0
    deadline = time.monotonic() + SILENCE_S
    while not stop.is_set() and not subscription.ended:
        message = subscription.receive()
        if message is None:
            if not heard and not told and time.monotonic() > deadline:
                remarks.print(_nobody(subscription.endpoint))
                told = True
            continue
        heard = True
        printer.write(message)
        printed += isinstance(message, PoseFrame | Event)
        if count and printed >= count:
            return


def _nobody(endpoint: str) -> str:
    return (
        f"{endpoint}: nobody has published anything for {SILENCE_S:.0f} s; still waiting. "
        "Is `posecast run SOURCE` running there, with this endpoint? (Ctrl-C ends)"
    )


class _JsonLines:
    """One JSON object a line, the fields of docs/messages.md."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._encoder = msgspec.json.Encoder()

    def write(self, message: Public) -> None:
        self._out.write(self._encoder.encode(message).decode() + "\n")
        self._out.flush()


class _HumanLines:
    """One line a message, for eyes."""

    _COLOURS: Final = {"provisional": "yellow", "refined": "cyan", "final": "green"}

    def __init__(self, out: TextIO) -> None:
        self._console = Console(file=out, highlight=False, soft_wrap=True)
        self._width = 0

    def write(self, message: Public) -> None:
        match message:
            case PoseFrame():
                self._console.print(self._pose(message))
            case Event():
                detail = f": {message.detail}" if message.detail else ""
                line = self._of(message).append(f"{message.kind}{detail}")
                line.stylize("bold")
                self._console.print(line)
            case Hello():
                if len(message.streams) > 1:
                    self._width = max(map(len, message.streams))
                names = f"streams {', '.join(message.streams)}" if self._width else f"stream {message.stream}"
                about = f"{names}, schema {message.schema}"
                self._console.print(Text(f"hello from posecast {message.version}, {about}"))
            case Health():
                counts = f"{message.sent} out, {sum(message.dropped.values())} dropped"
                who = f"{message.stage:>8}  {self._name(message.stream)}"
                self._console.print(Text(f"{who}{message.state}, {counts}", style="dim"))

    def _name(self, stream: str) -> str:
        """The stream, where there are several."""
        return f"{stream:<{self._width}}  " if self._width else ""

    def _of(self, message: PoseFrame | Event) -> Text:
        return Text(f"{message.seq:>8}  {self._name(message.stream)}")

    def _pose(self, pose: PoseFrame) -> Text:
        line = self._of(pose)
        line.append(f"{pose.revision:<11}", style=self._COLOURS[pose.revision])
        line.append(f"  {(time.time_ns() - pose.t_capture_ns) / 1e6:7.0f} ms old")
        if not pose.tracked:
            return line.append("  no subject", style="dim")
        confidence = sum(pose.joints_conf) / len(pose.joints_conf) if pose.joints_conf else 0.0
        line.append(f"  subject {pose.subject}  confidence {confidence:.2f}")
        if pose.root_cam_m is not None:
            x, y, z = pose.root_cam_m
            line.append(f"  pelvis {x:+.2f} {y:+.2f} {z:+.2f} m")
        return line
