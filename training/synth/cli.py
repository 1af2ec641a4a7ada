"""`posecast synth`: synthetic athletes for training, contact sheets, and the sample dive."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.errors import TrainingError, unwritable

if TYPE_CHECKING:
    from training.synth.athletes import Sources
    from training.synth.generate import Job, Kind

app = typer.Typer(
    no_args_is_help=True,
    help="Synthetic athletes: render training crops and tracker scenes, look at them, make the sample dive.",
)

Out = Annotated[Path, typer.Option("--out", help="Folder for the shards (made if missing).")]
Count = Annotated[int, typer.Option("--count", min=1, help="Number of pictures; 1000 to a shard.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same bytes. 7001 is reserved.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes to render with.")]
MocapDir = Annotated[
    Path | None,
    typer.Option(
        "--mocap",
        help="Folder of .npz motion capture (pos17 [F,17,3], metres, z up). Without: random poses and dives.",
    ),
]
HdriDir = Annotated[
    Path | None,
    typer.Option("--hdri", help="Folder of equirectangular pictures (.hdr, .exr, .jpg): backgrounds and their light."),
]

TextureDir = Annotated[
    Path | None,
    typer.Option("--textures", help="Folder of cloth pictures by MakeHuman's layout. Without: painted cloth only."),
]


def _fail(error: Exception) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(2)


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # looked up anew: a progress bar puts itself in the way of sys.stderr


def _sources(mocap: Path | None, hdri: Path | None, textures: Path | None) -> Sources:
    """The sources of these folders: one that cannot be used is told before anything is drawn or any worker starts."""
    from training.synth import athletes, material, motion, panorama

    try:
        return athletes.read_sources(mocap, hdri, textures)
    except (motion.MocapError, panorama.PanoramaError, material.MaterialError) as error:
        raise _fail(error) from None
    except OSError as error:
        place, reason = error.filename or "the sources", error.strerror or error
        raise _fail(TrainingError(f"{place}: cannot be read ({reason}); give a folder that can")) from None


def _shards(job: Job, workers: int) -> None:
    from training.synth import generate, render

    columns = (
        TextColumn(job.kind),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    _sources(job.mocap, job.hdri, job.textures)
    try:
        with Progress(*columns) as bar:
            task = bar.add_task(job.kind, total=job.count, rate="")

            def tell(done: int) -> None:
                speed = bar.tasks[0].speed
                bar.update(task, completed=done, rate=f"{speed:.0f}/s" if speed else "")

            kept, made = generate.run(job, workers, tell, _say)
    except OSError as error:
        raise _fail(unwritable(job.out, error)) from None
    except (TrainingError, render.NoGraphicsError) as error:
        raise _fail(error) from None
    typer.echo(f"{job.out}: {made} shards rendered, {kept} were there already")


def _job(
    kind: Kind, out: Path, count: int, seed: int, mocap: Path | None, hdri: Path | None, textures: Path | None
) -> Job:
    from training.synth import generate

    try:
        return generate.Job(kind, seed, count, out, mocap, hdri, textures)
    except generate.SeedError as error:
        raise _fail(error) from None


@app.command()
def crops(
    out: Out,
    count: Count = 1000,
    seed: Seed = 1,
    workers: Workers = 2,
    mocap: MocapDir = None,
    hdri: HdriDir = None,
    textures: TextureDir = None,
) -> None:
    """Render crops of one athlete (288x288) with 2D and 3D joints, as tar shards of 1000.

    Complete shards are kept, so an interrupted run goes on where it stopped.
    """
    _shards(_job("crops", out, count, seed, mocap, hdri, textures), workers)


@app.command()
def scenes(
    out: Out,
    count: Count = 1000,
    seed: Seed = 1,
    workers: Workers = 2,
    mocap: MocapDir = None,
    hdri: HdriDir = None,
    textures: TextureDir = None,
) -> None:
    """Render tracker pictures (256x256): a subject of 6-90 % of the side somewhere, 18 % without one."""
    _shards(_job("scenes", out, count, seed, mocap, hdri, textures), workers)


@app.command()
def preview(
    out: Annotated[Path, typer.Option("--out", help="Picture to write (.png).")],
    kind: Annotated[str, typer.Option("--kind", help="crops or scenes.")] = "crops",
    seed: Seed = 0,
    groups: Annotated[int, typer.Option("--groups", min=1, max=20, help="Rows of ten pictures.")] = 3,
    mocap: MocapDir = None,
    hdri: HdriDir = None,
    textures: TextureDir = None,
    beside: Annotated[
        Path | None, typer.Option("--beside", help="Folder of real pictures to stand beside the renders, for the eye.")
    ] = None,
) -> None:
    """Draw a contact sheet with joints and boxes: the quick look before a long run."""
    from training.synth import render, sheet

    sources = _sources(mocap, hdri, textures)
    try:
        sheet.write(out, kind, seed, groups, sources, beside)
    except OSError as error:
        raise _fail(unwritable(out, error)) from None
    except (render.NoGraphicsError, ValueError) as error:
        raise _fail(error) from None
    typer.echo(f"{out}: written")


@app.command()
def dive(
    out: Annotated[Path, typer.Option("--out", help="Folder for dive.mp4 and dive.truth.json.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Body, colours, water, splash, camera.")] = 7001,
    code: Annotated[str, typer.Option("--code", help="Dive number, like 107C, 5253B or 626C.")] = "103C",
    height: Annotated[float, typer.Option("--height", help="Board or platform: 1, 3, 5, 7.5 or 10 m.")] = 3.0,
    camera: Annotated[str, typer.Option("--camera", help="static, follow, zoom or random.")] = "static",
    stand: Annotated[
        str, typer.Option("--stand", help="Place of the camera: side, quarter, front, level, low or random.")
    ] = "side",
) -> None:
    """Render a dive: 1080p50 video and the exact truth of every frame.

    The camera rests, follows the diver as an operator would, or zooms while it follows. The truth file holds camera
    (frame by frame for one that moves), events, joints in world and picture, and every quantity of the dive report.
    """
    from training.synth import clip, render, shots
    from training.synth.dive import DiveError, Plan

    try:
        for path in clip.write(out, seed, Plan.of(code, height), shots.Shot(camera, stand)):
            typer.echo(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    except OSError as error:
        raise _fail(unwritable(out, error)) from None
    except (DiveError, shots.ShotError, render.NoGraphicsError) as error:
        raise _fail(error) from None
