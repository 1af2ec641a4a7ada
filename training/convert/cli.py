"""`posecast data` and `posecast import`: a user's own data sets and checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from training.convert.run import DataSet, convert
from training.errors import TrainingError, unwritable

console = Console(stderr=True)

data = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Turn your own data sets into training shards (docs/data.md)."
)
import_ = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Start from a checkpoint of another project (docs/data.md)."
)

FolderArgument = Annotated[Path, typer.Argument(help="Folder of the data set, as docs/data.md shows it.")]
FlatOut = Annotated[Path, typer.Option(help="Folder for the shards; data/photos is what `train backbone` reads.")]
SolidOut = Annotated[Path, typer.Option(help="Folder for the shards; data/crops is what `train backbone` reads.")]
WorkersOption = Annotated[int, typer.Option(min=1, help="Processes that cut crops.")]
EveryOption = Annotated[int, typer.Option(min=1, help="Take every so many-th frame.")]


class Refused(typer.BadParameter):
    """A command that cannot be carried out: one line, exit code 2, also under `posecast`, which prints the line."""

    def format_message(self) -> str:
        """The line."""
        return self.message


@data.callback()
def _data() -> None:
    """Turn your own data sets into training shards."""


@data.command()
def photos(folder: FolderArgument, out: FlatOut = Path("data/photos"), workers: WorkersOption = 1) -> None:
    """Photographs with 14 joints: crops/*.jpg beside joints.npz."""
    from training.convert.photos import read

    _convert(lambda: read(folder), out, workers)


@data.command()
def coco(
    folder: FolderArgument,
    out: FlatOut = Path("data/photos"),
    split: Annotated[str, typer.Option(help="Part of the data set.")] = "train2017",
    workers: WorkersOption = 1,
) -> None:
    """COCO person keypoints: annotations/person_keypoints_SPLIT.json beside SPLIT/*.jpg."""
    from training.convert.coco import read

    _convert(lambda: read(folder, split), out, workers)


@data.command()
def lsp(folder: FolderArgument, out: FlatOut = Path("data/photos"), workers: WorkersOption = 1) -> None:
    """Leeds Sports Pose or its extension: joints.mat beside images/."""
    from training.convert.lsp import read

    _convert(lambda: read(folder), out, workers)


@data.command()
def h36m(
    folder: FolderArgument,
    out: SolidOut = Path("data/crops"),
    subjects: Annotated[str, typer.Option(help="Subjects, by commas; S9 and S11 are for testing.")] = "S1,S5,S6,S7,S8",
    every: EveryOption = 5,
    workers: WorkersOption = 1,
) -> None:
    """Human3.6M: S1/Directions-1/annot.h5 or .npz beside imageSequence/CAMERA/ or CAMERA.mp4."""
    from training.convert.h36m import read

    chosen = tuple(name.strip() for name in subjects.split(",") if name.strip())
    _convert(lambda: read(folder, chosen, every), out, workers)


@data.command(name="mpi-inf-3dhp")
def mpi_inf_3dhp(
    folder: FolderArgument, out: SolidOut = Path("data/crops"), every: EveryOption = 5, workers: WorkersOption = 1
) -> None:
    """MPI-INF-3DHP: S1/Seq1/annot.mat beside imageSequence/video_0.avi."""
    from training.convert.mpi_inf_3dhp import read

    _convert(lambda: read(folder, every), out, workers)


def _convert(read: Callable[[], DataSet], out: Path, workers: int) -> None:
    try:
        if console.is_terminal:  # elsewhere the only line is the one that says what went wrong
            console.print("reading the annotations and verifying checksums")
        found = read()
        with _bar(found.name) as bar:
            task = bar.add_task(found.name, total=len(found.athletes))
            count = convert(found, out, workers, lambda done: bar.update(task, completed=done))
            bar.update(task, total=count)
    except TrainingError as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(str(unwritable(out, error))) from None
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on")
        raise typer.Exit(130) from None
    typer.echo(f"{out}: {count} athletes of {found.name}, {len(found.athletes) - count} left out (too few joints)")


def _bar(name: str) -> Progress:
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, refresh_per_second=1, disable=not console.is_terminal)


@import_.callback()
def _import() -> None:
    """Start from a checkpoint of another project."""


@import_.command()
def hrnet(
    file: Annotated[Path, typer.Argument(help="State dict of HRNet's authors or of mmpose (.pth, .safetensors).")],
    variant: Annotated[str, typer.Option(help="w18_small_v2, w32 or w48; default: what the file holds.")] = "",
    joints: Annotated[str, typer.Option(help="What its heat maps mean: coco, mpii or h36m; default: by number.")] = "",
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/hrnet_VARIANT.")] = None,
) -> None:
    """HRNet weights as a run that `train backbone --init-from` and `export` accept."""
    from training.convert.hrnet import import_hrnet

    try:
        imported = import_hrnet(file, variant, out, joints)
    except TrainingError as error:
        raise Refused(str(error)) from None
    table = Table("", "tensors", "", title=str(imported.checkpoint))
    report = imported.report
    table.add_row("taken", str(len(report.taken)), f"HRNet {imported.variant}")
    table.add_row("joints taken", str(len(report.joints)), ", ".join(report.joints) or "none: no head of COCO or MPII")
    table.add_row("new, to be trained", str(len(report.new)), _shown(report.new))
    table.add_row("joints new", str(len(report.joints_new)), ", ".join(report.joints_new))
    table.add_row("in the file, not used", str(len(report.unused)), _shown(report.unused))
    Console().print(table)
    typer.echo(f"go on with: posecast train backbone --init-from {imported.checkpoint.parent}")


def _shown(names: tuple[str, ...], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
