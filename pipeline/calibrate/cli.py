"""The verbs of `posecast calibrate`. Only their options are here: what does the work is imported when a verb is typed."""

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

calibrate: Final = typer.Typer(
    help="Make, look at and import camera files: what turns pixels into metres.", no_args_is_help=True
)
console: Final = Console()

CameraOut = Annotated[Path, typer.Option("--out", "-o", help="The camera file to write.")]


@calibrate.command()
def show(
    camera: Annotated[Path, typer.Argument(metavar="CAMERA", help="A camera file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Draw it to this PNG.")] = None,
) -> None:
    """Say what is in a camera file, and draw it: frames of reference, view, board and water."""
    from pipeline.calibrate.show import show_camera

    show_camera(camera, out, console)
