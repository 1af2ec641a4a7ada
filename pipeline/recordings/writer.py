"""One file of a recording: MCAP, written so that whatever dies, all but the last half second can be read.

Messages gather in a chunk, which is closed, compressed and handed to the system twice a second; a reader needs neither
the index nor the summary at the end.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

import msgspec
from mcap.writer import CompressionType, Writer

from pipeline.errors import OutputError
from pipeline.messages import MESSAGES, Public, encode, topic_of
from pipeline.packets import Packet, Taped
from pipeline.recordings.about import About

FLUSH_S: Final = 0.5
_CHUNK_BYTES: Final = 4_000_000
_SEQUENCES: Final = 2**32
SCHEMAS: Final = {name: MESSAGES[name] for name in ("PoseFrame", "Event", "Health", "Hello", "Frame")} | {
    "Packet": Packet
}
"""Types that are recorded; their names are those of the schemas in the file."""


class RecordingFile:
    """A file that is being written; raises OutputError from every method when it cannot go on."""

    def __init__(self, path: Path, about: About, number: int) -> None:
        """`number`: of the files that this recording has made, from 1. The file must not be there."""
        self.path = path
        self.began = time.monotonic()
        self.messages = 0
        self.lost = 0
        self._flushed = self.began
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        with self._writing():
            self._file = _Unbuffered(path)
            self._writer = Writer(
                cast(IO[bytes], self._file), chunk_size=_CHUNK_BYTES, compression=CompressionType.ZSTD
            )
            self._writer.start(profile="posecast", library=f"posecast {about.versions.get('posecast', '')}")
            now = time.time_ns()
            for name, (media_type, data) in about.attachments().items():
                self._writer.add_attachment(now, now, name, media_type, data)
            for name, values in about.metadata().items():
                self._writer.add_metadata(name, values)
            self._writer.add_metadata("file", {"number": str(number), "t_unix_ns": str(now)})
        self._whole = self.size

    @property
    def size(self) -> int:
        """Its size, less what still gathers."""
        return self._file.tell()

    def add(self, message: Public, number: int) -> None:
        """Record a message as it was published; `number` becomes its sequence."""
        self._add(topic_of(message), type(message).__name__, encode(message), number)
        self.messages += 1

    def tape(self, taped: Taped, number: int) -> None:
        """Record a packet of a source as it came, or which frame became of earlier ones."""
        kind = "video" if isinstance(taped, Packet) else "frame"
        self._add(f"{kind}/{taped.stream}", type(taped).__name__, msgspec.msgpack.encode(taped), number)

    def _add(self, topic: str, schema: str, data: bytes, number: int) -> None:
        now = time.time_ns()
        with self._writing():
            if topic not in self._channels:
                self._channels[topic] = self._writer.register_channel(topic, "msgpack", self._schema(schema))
            self._writer.add_message(self._channels[topic], now, data, now, number % _SEQUENCES)

    def _schema(self, name: str) -> int:
        if name not in self._schemas:
            schema = msgspec.json.encode(msgspec.json.schema(SCHEMAS[name]))
            self._schemas[name] = self._writer.register_schema(f"posecast.{name}", "jsonschema", schema)
        return self._schemas[name]

    def lose(self, count: int, what: str = "messages") -> None:
        """Write down that so many messages, or packets, never came."""
        self.lost += count
        with self._writing():
            self._writer.add_metadata("lost", {what: str(count), "t_unix_ns": str(time.time_ns())})

    def flush(self) -> None:
        """Hand what has gathered to the system, if it is time."""
        if time.monotonic() - self._flushed < FLUSH_S:
            return
        with self._writing():
            self._write_chunk()
        self._flushed = time.monotonic()

    def _write_chunk(self) -> None:
        self._writer.flush()  # type: ignore[no-untyped-call]
        self._whole = self.size

    def close(self, reason: str) -> None:
        """Finish the file: `reason` is why."""
        end = {
            "reason": reason,
            "messages": str(self.messages),
            "lost": str(self.lost),
            "t_unix_ns": str(time.time_ns()),
        }
        with self._writing():
            self._write_chunk()
            self._writer.add_metadata("end", end)
            self._writer.finish()  # type: ignore[no-untyped-call]
            self._file.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with contextlib.suppress(OSError, AttributeError):  # half a chunk is of no use; there may be no file at all
                self._file.cut(self._whole)
            reason = error.strerror or str(error)
            raise OutputError(
                f"{self.path}: recording stopped ({reason}); what was recorded before can be read; "
                "make room or choose another folder"
            ) from error


class _Unbuffered:
    """A file that keeps nothing back: what was written is the system's, whatever becomes of this process."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._size = 0

    def write(self, data: bytes) -> int:
        """Write all of it."""
        left = memoryview(data)
        while left:
            count = os.write(self._descriptor, left)
            self._size += count
            left = left[count:]
        return len(data)

    def tell(self) -> int:
        """Bytes written."""
        return self._size

    def flush(self) -> None:
        """There is nothing to do."""

    def cut(self, size: int) -> None:
        """Leave the first `size` bytes and close the file."""
        os.ftruncate(self._descriptor, size)
        self.close()

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)
