"""`posecast eval`: measure networks on data they have not seen."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from training.errors import TrainingError
from training.evaluate.result import Request, Result

app = typer.Typer(help="Measure the shipped networks on data they have not seen.", add_completion=False)

Compare = Annotated[
    list[str] | None,
    typer.Option("--compare", metavar="NAME=FOLDER", help="For ablation: a folder of weights or of runs; repeat."),
]


class Refused(typer.BadParameter):
    """A command that cannot be carried out: one line, exit code 2, also under `posecast`, which prints the line."""

    def format_message(self) -> str:
        """The line."""
        return self.message


@app.command()
def eval_command(
    name: Annotated[str, typer.Argument(help="A suite, or all; see docs/accuracy.md.")] = "all",
    data: Annotated[Path, typer.Option(help="Folder of the data, or what a suite measures on (photos, lift).")] = Path(
        "data"
    ),
    mocap: Annotated[Path | None, typer.Option(help="Folder of motion capture; default DATA/mocap.")] = None,
    weights: Annotated[Path, typer.Option(help="Folder of the networks.")] = Path("weights"),
    encoder: Annotated[Literal["w18_small_v2", "w32", "w48"], typer.Option(help="Which HRNet.")] = "w18_small_v2",
    precision: Annotated[
        Literal["fp32", "bf16", "int8"],
        typer.Option(help="What OpenVINO computes in; int8 where there is a file."),
    ] = "fp32",
    peers: Annotated[
        Path | None, typer.Option(help="Folder of reference networks; default: `peers` in or beside DATA.")
    ] = None,
    runs: Annotated[Path | None, typer.Option(help="Folder of training runs, for networks not shipped.")] = None,
    compare: Compare = None,
    suite: Annotated[list[str] | None, typer.Option(help="For ablation: a suite to compare on; repeat.")] = None,
    split: Annotated[Literal["validation", "all"], typer.Option(help="Which photographs.")] = "validation",
    limit: Annotated[int, typer.Option(min=0, help="Samples at most per suite; 0: as many as it thinks right.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one network.")] = 1,
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file too.")] = None,
    report: Annotated[Path | None, typer.Option(help="Replace the suites' sections in this Markdown file.")] = None,
) -> None:
    """Measure the networks in `weights` and print tables. Example: posecast eval photos --data sport_photos."""
    try:
        request = Request(
            data, mocap or data / "mocap", weights, encoder, precision, peers or _peers(data), runs,
            _pairs(compare or []), tuple(suite or ()), split, limit,
        )  # fmt: skip
        _measure(name, request, threads, json, report)
    except TrainingError as error:
        raise Refused(str(error)) from None


def _measure(name: str, request: Request, threads: int, json: Path | None, report: Path | None) -> None:
    import torch

    from training.evaluate.report import write_report
    from training.evaluate.show import print_result, write_json
    from training.evaluate.suites import measure, measure_all

    torch.set_num_threads(threads)
    results: list[Result]
    results, skipped = measure_all(request) if name == "all" else ([measure(name, request)], {})
    for result in results:
        print_result(result, Console())
    for suite, reason in skipped.items():
        Console(stderr=True).print(f"{suite} skipped: {reason}", style="yellow", markup=False)
    if json is not None:
        write_json(json, results, skipped)
    if report is not None:
        write_report(report, results, _command(request))


def _peers(data: Path) -> Path | None:
    """The folder of reference networks where it is usually kept."""
    near = (data / "peers", data.resolve().parent / "peers")
    return next((folder for folder in near if (folder / "peers_tflite.py").is_file()), None)


def _pairs(compare: list[str]) -> tuple[tuple[str, Path], ...]:
    for pair in compare:
        if not all(pair.partition("=")):
            raise TrainingError(f"--compare {pair}: expected NAME=FOLDER")
    return tuple((pair.partition("=")[0], Path(pair.partition("=")[2])) for pair in compare)


def _command(request: Request) -> str:
    """How to run this again; folders by their last part, since they lie elsewhere on another machine."""
    words = ["posecast eval SUITE --data", request.data.name]
    if request.mocap != request.data / "mocap":
        words += ["--mocap", request.mocap.name]
    if request.encoder != "w18_small_v2":
        words += ["--encoder", request.encoder]
    if request.precision != "fp32":
        words += ["--precision", request.precision]
    if request.peers is not None:
        words += ["--peers", request.peers.name]
    if request.runs is not None:
        words += ["--runs", request.runs.name]
    words += [f"--compare {name}={folder.name}" for name, folder in request.compare]
    words += [f"--suite {name}" for name in request.suites]
    if request.split != "validation":
        words += ["--split", request.split]
    if request.limit:
        words += ["--limit", str(request.limit)]
    return " ".join(words)
