"""Reads a recording, finished or not: in the order of the file, up to where it was cut off."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from mcap.exceptions import McapError
from mcap.records import Attachment, Channel, Footer, Message, Metadata
from mcap.stream_reader import CRCValidationError, StreamReader
from zstandard import ZstdError

from pipeline.errors import SourceError
from pipeline.messages import Public
from pipeline.recordings.about import About
from pipeline.subscribe import decode_checked

SUFFIX: Final = ".mcap"
_CUT_OFF: Final = (McapError, CRCValidationError, ZstdError, struct.error, EOFError, MemoryError)
_LARGEST_RECORD: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Recorded:
    """A message of a recording: when it was recorded (UNIX), its topic, its number and its bytes."""

    t_unix_ns: int
    topic: str
    number: int
    data: bytes


class Recording:
    """One file. `about`, `lost` and `end` are complete when `messages` has come to its end."""

    def __init__(self, path: Path) -> None:
        """Raises SourceError if it is no recording of posecast."""
        self.path = path
        self.about = About()
        self.lost = 0
        self.end: dict[str, str] = {}
        """What the file says of its end; empty if it was cut off."""
        self.file: dict[str, str] = {}
        self.whole = False
        """Whether it was read to its proper end."""
        if not any(self.messages()) and not self.about.versions:
            raise SourceError(f"{path}: no recording of posecast; give a file that `posecast run --record` wrote")
        self.lost = 0

    def messages(self) -> Iterator[Recorded]:
        """The recorded messages, in the order in which they came. Raises SourceError."""
        self.lost = 0
        channels: dict[int, str] = {}
        try:
            with self.path.open("rb") as file:
                for record in StreamReader(file, validate_crcs=True, record_size_limit=_LARGEST_RECORD).records:
                    match record:
                        case Message():
                            topic = channels[record.channel_id]
                            yield Recorded(record.log_time, topic, record.sequence, record.data)
                        case Channel():
                            channels[record.id] = record.topic
                        case Attachment():
                            self._attached(record)
                        case Metadata():
                            self._told(record)
                        case Footer():
                            self.whole = True
        except OSError as error:
            raise SourceError(f"{self.path}: cannot be read ({error.strerror}); check the path") from error
        except _CUT_OFF:
            self.whole = False

    def public(self) -> Iterator[tuple[Recorded, Public]]:
        """The public messages among them, decoded. Raises SourceError and SchemaError."""
        for recorded in self.messages():
            message = self.decoded(recorded)
            if message is not None:
                yield recorded, message

    def decoded(self, recorded: Recorded) -> Public | None:
        """A public message; None for what is none. Raises SchemaError."""
        is_public = recorded.topic.partition("/")[0] in ("pose", "event", "health", "hello")
        return decode_checked(recorded.data, str(self.path)) if is_public else None

    def _attached(self, attachment: Attachment) -> None:
        try:
            self.about.attached(attachment.name, attachment.data)
        except msgspec.MsgspecError as error:
            raise SourceError(
                f"{self.path}: its {attachment.name} is of another version of posecast ({error}); "
                f"it was recorded by {self.about.versions.get('posecast', 'an unknown one')}"
            ) from error

    def _told(self, metadata: Metadata) -> None:
        self.about.told(metadata.name, metadata.metadata)
        if metadata.name == "lost":
            self.lost += sum(int(count) for what, count in metadata.metadata.items() if what in ("messages", "packets"))
        elif metadata.name == "end":
            self.end = metadata.metadata
        elif metadata.name == "file":
            self.file = metadata.metadata
