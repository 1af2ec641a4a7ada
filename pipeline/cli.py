"""The command line: `posecast run`, `replay`, `subscribe`, `check`, `doctor`, `bench`, and the verbs of training.

Every error a user can cause ends as one line on stderr and exit code 2; a run that cannot go on ends with 3.
"""

import re
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from calibration.errors import CalibrationError
from engines.errors import EngineError
from pipeline import config as settings
from pipeline.calibrate.cli import calibrate
from pipeline.errors import PosecastError
from pipeline.recordings.cli import recording

app: Final = typer.Typer(
    help="Live 3D skeletons of athletes from one camera, diving first.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
console: Final = Console()
errors: Final = Console(stderr=True, highlight=False)

engines: Final = typer.Typer(help="Build, check, list and remove the engines of this machine.", no_args_is_help=True)
app.add_typer(engines, name="engines")
app.add_typer(recording, name="recording")
app.add_typer(calibrate, name="calibrate")

DEFAULT_VIEW: Final = "127.0.0.1:8088"
_HOST_AND_PORT: Final = re.compile(r"(?!usb:)[^/=]*:\d+")

ConfigOption = Annotated[
    str, typer.Option("--config", "-c", help="A TOML file, or a shipped one: live, broadcast, replay.")
]


CameraOption = Annotated[
    list[str] | None,
    typer.Option("--camera", help="Camera file (posecast calibrate); NAME=FILE for one of several streams; repeat."),
]


@app.command()
def run(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="rtsp://, http(s)://, a file, a folder of images, usb:0 or /dev/video0; NAME=SOURCE names its stream.",
        ),
    ],
    config: ConfigOption = "live",
    endpoint: Annotated[str, typer.Option(help="Where poses are published; empty: as configured.")] = "",
    insecure: Annotated[bool, typer.Option("--insecure", help="Allow an address beyond this machine.")] = False,
    camera: CameraOption = None,
    paced: Annotated[bool, typer.Option("--paced", help="Play a file at its own speed, as a camera would.")] = False,
    seconds: Annotated[float, typer.Option(help="Stop after so many seconds; 0: at the end of the source.")] = 0.0,
    record: Annotated[str, typer.Option(help="Folder to record into everything that is published; empty: none.")] = "",
    record_video: Annotated[
        bool, typer.Option("--record-video", help="Record the cameras' video, too, as it comes (needs --record).")
    ] = False,
    view: Annotated[
        str, typer.Option(metavar="[HOST:PORT]", help=f"A page to watch the run on, http://{DEFAULT_VIEW}/ by default.")
    ] = "",
    view_token: Annotated[
        str,
        typer.Option(envvar="POSECAST_VIEW_TOKEN", help="What a browser must know; needed beyond this machine."),
    ] = "",
    view_tls: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="CERT KEY", help="Files in PEM; needed beyond this machine."),
    ] = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="One JSON object a line instead of a table.")] = False,
) -> None:
    """Watch one or several cameras and publish poses until they end or Ctrl-C.

    See them with [bold]--view[/] in a browser, or with [bold]posecast subscribe[/].
    Example: posecast run rtsp://192.0.2.7/stream --view
    """
    from pipeline.live import run_live

    loaded = settings.with_cameras(settings.load(settings.shipped(config)), camera or [])
    chosen = settings.changed(
        loaded,
        endpoint=endpoint,
        insecure=insecure,
        paced=paced,
        record=record,
        video=record_video,
        view=view,
        token=view_token,
        tls=view_tls,
    )
    raise typer.Exit(run_live(chosen, sources, seconds, console, errors, log_json))


@app.command()
def replay(
    files: Annotated[list[str], typer.Argument(help="Videos, folders of images, or recordings (.mcap).")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the results; one folder a video inside.")
    ] = None,
    config: ConfigOption = "replay",
    camera: CameraOption = None,
    overlay: Annotated[bool, typer.Option(help="Write overlay.mp4, the skeleton over the picture.")] = True,
    plot: Annotated[bool, typer.Option(help="Write plot.png, the motion at a glance.")] = True,
    speed: Annotated[
        float, typer.Option(help="Publish recordings again, so many times as fast as they were; inf: no waiting.")
    ] = 0.0,
    endpoint: Annotated[str, typer.Option(help="Where they are published; empty: as configured.")] = "",
) -> None:
    """Take recorded videos through the whole pipeline; nothing is dropped.

    Writes poses.msgpack (every revision), poses.npz (the best of each frame), summary.json, overlay.mp4, plot.png, and
    for every dive a report: dive-1.html to read, dive-1.json and dive-1.csv for programs.
    Where NAME.truth.json lies beside a video, the summary says how far the poses are from it.

    A recording of a run ([bold]posecast run --record[/]) gives the same files from the poses in it. With --speed it is
    published again, for consumers under development.
    """
    from pipeline.recordings.publishing import publish_all
    from pipeline.replay import replay_all

    chosen = settings.with_cameras(settings.load(settings.shipped(config)), camera or [])
    if speed:
        publish_all(files, settings.changed(chosen, endpoint=endpoint).publish, speed, console)
    elif out is None:
        raise PosecastError("replay: no --out; name a folder for the results, or --speed to publish recordings again")
    if out is not None:
        raise typer.Exit(replay_all(chosen, files, out, overlay, plot, console, errors))


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.")] = Path("results/demo"),
) -> None:
    """Replay the sample dive that comes with the project, and compare the poses with its exact truth."""
    from pipeline.replay import demo as show

    raise typer.Exit(show(settings.load(settings.shipped("replay")), out, console, errors))


@app.command()
def subscribe(
    endpoint: Annotated[str, typer.Argument(help="Address of a running posecast.")] = "tcp://127.0.0.1:5599",
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    topic: Annotated[list[str] | None, typer.Option(help="Only topics that begin so: pose/, event/, health/.")] = None,
    count: Annotated[int, typer.Option(help="Stop after so many messages; 0: never.")] = 0,
) -> None:
    """Print poses, events and heartbeats as they are published."""
    from pipeline.subscribe import subscribe as listen

    raise typer.Exit(listen(endpoint, json=json, topics=tuple(topic or ("pose/", "event/")), count=count))


@app.command()
def top(
    endpoint: Annotated[str, typer.Argument(help="Address of a running posecast.")] = "tcp://127.0.0.1:5599",
) -> None:
    """Show how the stages of a running posecast are, until Ctrl-C."""
    from pipeline.top import watch

    raise typer.Exit(watch(endpoint, console))


@app.command()
def check(
    config: Annotated[str, typer.Argument(help="A TOML file, or a shipped one: live, broadcast, replay.")],
) -> None:
    """Validate a configuration and print it merged with the defaults."""
    print(settings.as_toml(settings.load(settings.shipped(config))), end="")


@app.command()
def doctor() -> None:
    """Say what is wrong with this machine before the event does, with a fix beside each failure."""
    from pipeline.doctor import examine

    raise typer.Exit(examine(console))


@app.command()
def bench(
    source: Annotated[str, typer.Argument(help="A video; empty: the sample dive.")] = "",
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file too.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of the whole chain; medians are printed.")] = 3,
    config: ConfigOption = "live",
) -> None:
    """Measure every engine and the whole chain on this machine."""
    from pipeline.bench import measure

    raise typer.Exit(measure(settings.load(settings.shipped(config)), source, json, rounds, console))


@engines.command("list")
def list_engines(config: ConfigOption = "live") -> None:
    """Show every engine in the cache: for what, how large, and how far it was from single precision."""
    from pipeline import engine_verbs

    engine_verbs.show(settings.load(settings.shipped(config)), console)


@engines.command("build")
def build_engines(config: ConfigOption = "live") -> None:
    """Build and check what a configuration needs, so that the next start finds it ready."""
    from pipeline import engine_verbs

    engine_verbs.build(settings.load(settings.shipped(config)), console)


@engines.command("check")
def check_engines(config: ConfigOption = "live") -> None:
    """Compare every engine this machine can run with single precision, anew; exit code 2 if a network has none."""
    from pipeline import engine_verbs

    engine_verbs.check(settings.load(settings.shipped(config)), console)


@engines.command("clean")
def clean_engines(config: ConfigOption = "live") -> None:
    """Remove every built engine; they are built again when they are needed."""
    from pipeline import engine_verbs

    engine_verbs.clean(settings.load(settings.shipped(config)), console)


def _register(verb: EntryPoint) -> None:
    """A verb whose libraries the live path must not import: it is loaded only when typed."""

    @app.command(
        verb.name,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        help=f"{_VERBS.get(verb.name, 'An extension')} (needs the extra: pip install 'posecast\\[train]').",
    )
    def forward(context: typer.Context) -> None:
        try:
            code = verb.load()(args=context.args, prog_name=f"posecast {verb.name}", standalone_mode=False)
        except ImportError as error:
            raise PosecastError(
                f"{verb.name}: {error.name or error} is not installed; pip install 'posecast[train]'"
            ) from error
        raise typer.Exit(code if isinstance(code, int) else 0)


_VERBS: Final = {
    "synth": "Make synthetic athletes",
    "train": "Train a network",
    "export": "Export trained networks to ONNX",
    "quantise": "Write int8 variants of networks",
    "eval": "Measure networks on validation data",
}


def with_address(words: Sequence[str]) -> list[str]:
    """What was typed, `--view` without an address with the usual one: an option of typer has a value or has none."""
    pairs = zip(words, [*words[1:], ""], strict=True)
    return [
        f"--view={DEFAULT_VIEW}" if word == "--view" and not _HOST_AND_PORT.fullmatch(after) else word
        for word, after in pairs
    ]


def main() -> int:
    """Entry point of `posecast`."""
    for verb in sorted(entry_points(group="posecast.commands"), key=lambda entry: entry.name):
        _register(verb)
    try:
        code = app(args=with_address(sys.argv[1:]), standalone_mode=False)
    except (PosecastError, EngineError, CalibrationError) as error:
        errors.print(f"posecast: {error}", style="red", soft_wrap=True, markup=False)
        return getattr(error, "exit_code", 2)
    except typer.Abort:
        return 130
    except Exception as error:
        if hasattr(error, "format_message"):
            if error.format_message():  # a verb without words has printed its help instead
                errors.print(f"posecast: {error.format_message()}", style="red", soft_wrap=True, markup=False)
            return 2
        raise
    return int(code or 0)


if __name__ == "__main__":
    sys.exit(main())
