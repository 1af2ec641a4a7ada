"""The verbs of `posecast calibrate`. Here are only their options; what does the work is imported when one is typed."""

from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console

from pipeline.calibrate import place_cli

calibrate: Final = typer.Typer(
    help="Make, look at and import camera files: what turns pixels into metres.", no_args_is_help=True
)
console: Final = Console()

CameraOut = Annotated[Path, typer.Option("--out", "-o", help="The camera file to write.")]
Kind = Annotated[Literal["charuco", "checkerboard"], typer.Option(help="The printed board.")]
Columns = Annotated[int, typer.Option(help="Squares across.")]
Rows = Annotated[int, typer.Option(help="Squares down.")]
Markers = Annotated[Literal["4x4", "5x5", "6x6", "7x7"], typer.Option(help="Markers in the squares of charuco.")]


@calibrate.command()
def board(
    out: Annotated[Path, typer.Option("--out", "-o", help="The PDF to write.")] = Path("board.pdf"),
    kind: Kind = "charuco",
    columns: Columns = 9,
    rows: Rows = 6,
    square_mm: Annotated[float, typer.Option(help="Side of a square; 0: as large as the paper takes.")] = 0.0,
    markers: Markers = "5x5",
    paper: Annotated[Literal["a4", "a3", "a2", "a1", "a0"], typer.Option(help="Printed across.")] = "a4",
) -> None:
    """Write a calibration board as PDF, to be printed in its true size."""
    from pipeline.calibrate.board import write_board

    write_board(out, kind, (columns, rows), square_mm, markers, paper, console)


@calibrate.command()
def intrinsics(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="Videos or folders of images of the board, or one live camera."),
    ],
    out: CameraOut,
    kind: Kind = "charuco",
    columns: Columns = 9,
    rows: Rows = 6,
    square_mm: Annotated[float, typer.Option(help="Side of a square; focal lengths do not depend on it.")] = 28.0,
    markers: Markers = "5x5",
    model: Annotated[
        Literal["opencv", "fisheye"], typer.Option(help="fisheye: for lenses wider than about 100 degrees.")
    ] = "opencv",
    name: Annotated[str, typer.Option(help="Name of the camera; empty: that of the file.")] = "",
    start: Annotated[float, typer.Option("--from", help="Begin a recording at this second.")] = 0.0,
    end: Annotated[float, typer.Option("--to", help="End a recording at this second; 0: at its end.")] = 0.0,
    seconds: Annotated[float, typer.Option(help="Watch a live camera at most so long; 0: until it will do.")] = 0.0,
) -> None:
    """Find focal length, centre and distortion of a camera from views of a printed board.

    Sharp views that differ are chosen by themselves. Beside CAMERA.toml a CAMERA.png shows how good it is; while a live
    camera is watched, CAMERA.coverage.png shows what is still to be filmed.
    """
    from calibration.board import Pattern
    from pipeline.calibrate.intrinsics import Wanted, calibrate_intrinsics
    from pipeline.calibrate.watching import Span

    pattern = Pattern(kind, columns, rows, square_mm, markers)
    wanted = Wanted(tuple(sources), out, pattern, model, name or out.stem, Span(start, end, seconds))
    calibrate_intrinsics(wanted, console)


@calibrate.command()
def show(
    camera: Annotated[Path, typer.Argument(metavar="CAMERA", help="A camera file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Draw it to this PNG.")] = None,
) -> None:
    """Say what is in a camera file, and draw it: frames of reference, view, board and water."""
    from pipeline.calibrate.show import show_camera

    show_camera(camera, out, console)


@calibrate.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Of OpenCV (YAML, XML), Qualisys, Pose2Sim, Sports2D, FreeMoCap, Anipose."),
    ],
    out: CameraOut,
    name: Annotated[str, typer.Option(help="Which camera of a file with several.")] = "",
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the picture where the file does not say it.")] = "",
) -> None:
    """Make a camera file from another program's calibration; the format is recognised by what is in it."""
    from pipeline.calibrate.imported import import_camera

    import_camera(file, out, name, size, console)


calibrate.command()(place_cli.extrinsics)
calibrate.command()(place_cli.gravity)
