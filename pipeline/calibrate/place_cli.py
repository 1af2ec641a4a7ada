"""Options of `posecast calibrate extrinsics` and `gravity`; what does the work is imported when one is typed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from calibration.errors import CalibrationError

if TYPE_CHECKING:  # loaded only when a verb is typed
    from calibration.templates import Template

console: Final = Console()

_Metres = Annotated[float | None, typer.Option(help="Measured there, metres; else as the rules say.")]


def extrinsics(
    cameras: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CAMERA]", help="A camera file; with --several NAME=POSES,CAMERA for each camera."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The camera file to write; with --several a folder.")
    ] = None,
    template: Annotated[str, typer.Option(help="A board as the rules build it, such as platform-10; see --list.")] = "",
    points: Annotated[
        Path, typer.Option(help="CSV with name, u, v in pixels; x, y, z in metres for points of your own.")
    ] = Path("points.csv"),
    click: Annotated[
        str, typer.Option(metavar="VIDEO", help="Write a picture, a page to click in, and the list to fill in.")
    ] = "",
    at: Annotated[float, typer.Option(help="Second of the video for --click and --over.")] = 0.0,
    over: Annotated[
        str, typer.Option(metavar="VIDEO", help="Draw the result over this; else over the picture of --click.")
    ] = "",
    show_list: Annotated[bool, typer.Option("--list", help="Print the template's points, or all templates.")] = False,
    ground: Annotated[bool, typer.Option(help="All points lie in one level plane below the camera; four do.")] = False,
    level: Annotated[
        float, typer.Option(help="z of that plane: 0 for a floor, -10 for the water under a 10 m platform.")
    ] = 0.0,
    focal: Annotated[bool, typer.Option("--focal", help="Find the focal length too: the file's is a guess.")] = False,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT instead of a camera file; finds the focal length too.")] = "",
    name: Annotated[str, typer.Option(help="Name of the camera; empty: that of the file.")] = "",
    height: _Metres = None,
    width: _Metres = None,
    length: _Metres = None,
    thickness: _Metres = None,
    overhang: _Metres = None,
    several: Annotated[
        bool, typer.Option("--several", help="Several cameras, from the athlete they saw at the same time.")
    ] = False,
) -> None:
    """Find where a camera stands, from points of known places, or from an athlete whom several cameras saw.

    One camera, from points of its board:

      posecast calibrate extrinsics --template platform-10 --click dive.mp4
      (open points.html, click what you see, save the list as points.csv)
      posecast calibrate extrinsics camera.toml --template platform-10 --out placed.toml

    Six points do, not all in one plane; more are better, for one that is clicked wrongly is then found and left out.
    Beside placed.toml a PNG shows the board drawn over the picture.

    From the floor, a deck or marks at the water's edge, four points with x and y measured:

      posecast calibrate extrinsics camera.toml --ground --points floor.csv --out placed.toml

    Several resting cameras, from what posecast replay has made of the same dives; their clocks need not agree:

      posecast calibrate extrinsics --several left=left/poses.npz,left.toml right=right/poses.npz,right.toml
      --out placed
    """
    chosen = _template(template, (height, width, length, thickness, overhang))
    if several:
        from pipeline.calibrate.several import calibrate_several

        calibrate_several(cameras or [], _given(out), console)
        return
    from pipeline.calibrate.extrinsics import Wanted, calibrate_extrinsics, list_template, prepare_clicking

    if show_list:
        list_template(chosen, console)
    elif click:
        prepare_clicking(click, at, chosen, points, level if ground else None, console)
    else:
        file = _one(cameras or [], size)
        wanted = Wanted(file, points, _given(out), chosen, size, focal, ground, level, over, at, name)
        calibrate_extrinsics(wanted, console)


def gravity(
    files: Annotated[
        list[str], typer.Argument(metavar="CAMERA [POSES...]", help="A camera file, and poses.npz of replays.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The camera file to write.")],
    dives: Annotated[
        list[str] | None,
        typer.Option(metavar="POSES", help="poses.npz of posecast replay, of dives before this camera."),
    ] = None,
) -> None:
    """Find which way is down before a camera that rests, from the flights it has seen; no board, no known point.

    Record a few dives without moving the camera, then:

      posecast replay dives/*.mp4 --out results
      posecast calibrate gravity camera.toml --dives results/*/poses.npz --out with-gravity.toml

    Five dives from 3 m or higher do as a rule; low boards need more. With it a fall tells metres, but not yet where the
    board is: that is calibrate extrinsics. Refused when the joints seen do not give the centre of gravity, for the
    middle of a turning body's box swings, and when the direction stays uncertain by more than 3 degrees.
    """
    from pipeline.calibrate.gravity import calibrate_gravity

    # A shell's * gives --dives its first file and puts the others behind.
    calibrate_gravity(Path(files[0]), [Path(file) for file in [*(dives or []), *files[1:]]], out, console)


def _template(name: str, measures_m: tuple[float | None, ...]) -> "Template | None":
    from calibration.templates import template

    if not name:
        if any(measure is not None for measure in measures_m):
            raise CalibrationError("--height, --width and so on are measures of a --template; say which")
        return None
    return template(name).measured(*measures_m)


def _given(out: Path | None) -> Path:
    if out is None:
        raise CalibrationError("--out is missing; say which camera file to write")
    return out


def _one(cameras: list[str], size: str) -> Path | None:
    if len(cameras) > 1:
        raise CalibrationError(f"one camera file at a time, got {len(cameras)}; or --several")
    if cameras and size:
        raise CalibrationError("--size is for pictures without a camera file; leave one of them out")
    return Path(cameras[0]) if cameras else None
