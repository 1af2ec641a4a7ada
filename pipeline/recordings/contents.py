"""What a recording holds, counted: `posecast recording info`."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.messages import Event, Health, PoseFrame, Public
from pipeline.recordings.reader import Recording


@dataclass
class StreamContents:
    """Of one stream: its frames' numbers, its poses by revision, its events by kind."""

    frames: set[int] = field(default_factory=set)
    revisions: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    packets: int = 0
    packet_bytes: int = 0

    @property
    def missing(self) -> int:
        """Frames between the first and the last that have no pose."""
        return max(self.frames) - min(self.frames) + 1 - len(self.frames) if self.frames else 0


@dataclass
class Contents:
    """All of one file."""

    recording: Recording
    bytes: int
    messages: int = 0
    first_unix_ns: int = 0
    last_unix_ns: int = 0
    streams: defaultdict[str, StreamContents] = field(default_factory=lambda: defaultdict(StreamContents))
    health: dict[str, Health] = field(default_factory=dict)
    """The last heartbeat of each stage and edge, by name and stream."""

    @property
    def seconds(self) -> float:
        """From the first message to the last."""
        return (self.last_unix_ns - self.first_unix_ns) * 1e-9

    @property
    def ended(self) -> str:
        """How the file ended, in words."""
        if self.recording.whole:
            return self.recording.end.get("reason", "no reason told")
        return "cut off"

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        recording = self.recording
        return {
            "file": str(recording.path),
            "bytes": self.bytes,
            "number": int(recording.file.get("number", 0)),
            "first_unix_ns": self.first_unix_ns,
            "seconds": round(self.seconds, 3),
            "messages": self.messages,
            "lost": recording.lost,
            "whole": recording.whole,
            "ended": self.ended,
            "streams": {name: self._stream(name, of) for name, of in self.streams.items()},
            "dropped": {name: dict(beat.dropped) for name, beat in self.health.items() if beat.dropped},
            "versions": recording.about.versions,
            "weights_sha256": recording.about.weights_sha256,
        }

    def _stream(self, name: str, of: StreamContents) -> dict[str, Any]:
        return {
            "source": self.recording.about.sources.get(name, ""),
            "frames": len(of.frames),
            "first_seq": min(of.frames, default=None),
            "last_seq": max(of.frames, default=None),
            "missing": of.missing,
            "poses": dict(of.revisions),
            "events": dict(of.events),
            "video_packets": of.packets,
            "video_bytes": of.packet_bytes,
        }


def contents_of(path: Path) -> Contents:
    """Read a file to its end. Raises SourceError."""
    recording = Recording(path)
    contents = Contents(recording, path.stat().st_size)
    for name in recording.about.sources:
        contents.streams[name] = StreamContents()
    for recorded in recording.messages():
        contents.first_unix_ns = contents.first_unix_ns or recorded.t_unix_ns
        contents.last_unix_ns = recorded.t_unix_ns
        message = recording.decoded(recorded)
        if message is not None:
            contents.messages += 1
            _count(contents, message)
        elif recorded.topic.startswith("video/"):
            of = contents.streams[recorded.topic.partition("/")[2]]
            of.packets += 1
            of.packet_bytes += len(recorded.data)
    return contents


def _count(contents: Contents, message: Public) -> None:
    match message:
        case PoseFrame():
            of = contents.streams[message.stream]
            of.frames.add(message.seq)
            of.revisions[message.revision] += 1
        case Event():
            contents.streams[message.stream].events[message.kind] += 1
        case Health():
            contents.health[f"{message.stage} {message.stream}".strip()] = message
