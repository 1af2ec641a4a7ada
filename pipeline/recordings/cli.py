"""`posecast recording`: the verbs for recordings of runs."""

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

recording: Final = typer.Typer(help="Look at recordings of runs.", no_args_is_help=True)


@recording.command("info")
def recording_info(
    files: Annotated[list[Path], typer.Argument(help="Recordings (.mcap).")],
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what recordings hold: how long, what of which stream, what was lost, and whether they ended properly."""
    from pipeline.recordings.verbs import info

    info(files, json, Console())


@recording.command("video")
def recording_video(
    file: Annotated[Path, typer.Argument(help="A recording with video (posecast run --record-video).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the video goes: .mkv or .mp4.")],
    stream: Annotated[str, typer.Option(help="Of several cameras, which.")] = "",
) -> None:
    """Take the video out of a recording, as the camera sent it; nothing is encoded again."""
    from pipeline.recordings.verbs import extract

    extract(file, out, stream, Console())
