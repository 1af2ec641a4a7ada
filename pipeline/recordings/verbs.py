"""`posecast recording`: what is in a recording."""

import datetime
import json as json_
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.errors import SourceError
from pipeline.recordings.contents import Contents, contents_of
from pipeline.recordings.reader import Recording


def info(files: list[Path], json: bool, console: Console) -> None:
    """Print what each recording holds. Raises SourceError."""
    found = [contents_of(file) for file in files]
    if json:
        print(json_.dumps([contents.as_dict() for contents in found], indent=2))
        return
    for contents in found:
        console.print(Text(str(contents.recording.path), style="bold"))
        console.print(_table(contents))


def extract(file: Path, out: Path, stream: str, console: Console) -> None:
    """Write the video of a recording into a container. Raises SourceError, OutputError."""
    from pipeline.recordings.video import write_video  # FFmpeg, which listing does without

    recording = Recording(file)
    streams = list(recording.about.sources)
    if not stream and len(streams) > 1:
        raise SourceError(f"{file}: of which camera? say --stream {', '.join(streams)}")
    count = write_video(recording, stream or streams[0], out)
    console.print(f"{out}: {count} packets as they came", soft_wrap=True)


def _table(contents: Contents) -> Table:
    about = contents.recording.about
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    began = _utc(contents.first_unix_ns)
    table.add_row("recorded", f"{contents.seconds:.1f} s from {began}, {contents.bytes / 1e6:.1f} MB")
    whole = contents.recording.whole
    table.add_row(
        "ended", Text(contents.ended if whole else "cut off; the rest can be read", "" if whole else "yellow")
    )
    lost = contents.recording.lost
    table.add_row("messages", Text(f"{contents.messages}, {lost} lost", style="yellow" if lost else ""))
    for name, of in contents.streams.items():
        poses = ", ".join(f"{count} {revision}" for revision, count in of.revisions.items()) or "no poses"
        table.add_row(name, about.sources.get(name, ""))
        table.add_row("", f"{len(of.frames)} frames, {of.missing} missing between them; {poses}")
        if of.packets:
            table.add_row("", f"video: {of.packets} packets, {of.packet_bytes / 1e6:.1f} MB")
        if of.events:
            table.add_row("", ", ".join(f"{count} {kind}" for kind, count in of.events.items()))
    for name, beat in contents.health.items():
        if any(beat.dropped.values()):
            causes = ", ".join(f"{count} {cause}" for cause, count in beat.dropped.items())
            table.add_row("dropped", Text(f"{name}: {causes}", style="yellow"))
    table.add_row("made with", f"posecast {about.versions.get('posecast', '?')}")
    return table


def _utc(t_unix_ns: int) -> str:
    return f"{datetime.datetime.fromtimestamp(t_unix_ns * 1e-9, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
