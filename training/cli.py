"""The verbs of training: `posecast synth`, `train`, `export`, `quantise`, registered as `posecast.commands`.

Each is a `typer.Typer`; the last three hold a single command. `posecast eval` is in `training.evaluate.cli`.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from engines.errors import EngineError
from training.errors import TrainingError, unwritable

console = Console(stderr=True)

train = typer.Typer(help="Train a network from synthetic athletes and motion capture.", add_completion=False)
export = typer.Typer(help="Write trained networks to weights/ as ONNX, proven equal.", add_completion=False)

quantise = typer.Typer(help="Write int8 variants of networks, and inputs to check engines by.", add_completion=False)

RunsOption = Annotated[Path, typer.Option(help="Folder of the training runs.")]
DataOption = Annotated[Path, typer.Option(help="Folder with crops/ and scenes/ from `posecast synth`.")]
MocapOption = Annotated[Path, typer.Option(help="Folder of motion capture files (*.npz).")]


class Refused(typer.BadParameter):
    """A command that cannot be carried out: one line, exit code 2, also under `posecast`, which prints the line."""

    def format_message(self) -> str:
        """The line."""
        return self.message


@train.command()
def train_command(
    name: Annotated[str, typer.Argument(help="backbone, align, decode, temporal or track.")],
    config: Annotated[Path | None, typer.Option(help="Settings; default configs/train/NAME.toml.")] = None,
    data: DataOption = Path("data"),
    mocap: MocapOption = Path("data/mocap"),
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/NAME.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Budget of training time, over all resumes.")] = None,
    steps: Annotated[int | None, typer.Option(min=0, help="Budget of optimiser steps, over all resumes.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the mathematics library.")] = 1,
    resume: Annotated[bool, typer.Option(help="Go on from the run folder's checkpoint, if there is one.")] = False,
    init_from: Annotated[str, typer.Option(help="Run folder whose weights are the start.")] = "",
) -> None:
    """Train the networks of recipe NAME within a budget; checkpoints and logs go to the run folder."""
    from training.loop import Options, Trainer
    from training.recipes import NAMES, build
    from training.settings import Data, read_toml, typed

    if name not in NAMES:
        raise Refused(f"recipe {name!r} unknown; have {', '.join(NAMES)}")
    try:
        path = config or Path("configs/train") / f"{name}.toml"
        tables = read_toml(path)
        given = {"minutes": minutes, "steps": steps, "init_from": init_from or None}
        loop = tables.get("loop", {}) | {key: value for key, value in given.items() if value is not None}
        if steps is not None and minutes is None:
            loop.pop("minutes", None)
        loop |= {"out": out or Path("runs") / name, "threads": threads, "resume": resume}
        options = typed(Options, loop, f"{path} [loop]")
        recipe = build(name, tables.get("recipe", {}), Data(data, mocap), options.seed)
        figures = Trainer(recipe, options).run()
    except TrainingError as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(str(unwritable(out or Path("runs") / name, error))) from None
    except KeyboardInterrupt:
        console.print(f"stopped; go on with --resume --out {out or Path('runs') / name}")
        raise typer.Exit(130) from None
    _table(f"{name}: validation", figures)


@export.command()
def export_command(
    name: Annotated[str, typer.Argument(help="A network (its file's stem in weights/), or all.")] = "all",
    runs: RunsOption = Path("runs"),
    out: Annotated[Path, typer.Option(help="Folder for the ONNX files and model cards.")] = Path("weights"),
    untrained: Annotated[bool, typer.Option(help="Write networks without a run too, with random weights.")] = False,
) -> None:
    """Export trained networks to ONNX, prove each equal to its torch model, write model cards and the manifest."""
    from training import cut
    from training.export import export_networks

    try:
        rows = [cut.export_cut(name, out)] if cut.is_cut(name, runs) else export_networks(name, runs, out, untrained)
    except TrainingError as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(str(unwritable(out, error))) from None
    table = Table("network", "MB", "error torch to onnx", "error fp16 storage", "trained", title=str(out))
    for row in rows:
        table.add_row(row.network, f"{row.size / 1e6:.2f}", f"{row.error:.1e}", f"{row.error_fp16:.1e}", row.trained)
    Console().print(table)


@quantise.command()
def quantise_command(
    name: Annotated[str, typer.Argument(help="A network, all that gain by it, or examples.")] = "all",
    data: DataOption = Path("data"),
    mocap: MocapOption = Path("data/mocap"),
    out: Annotated[Path, typer.Option(help="Folder of the networks; the variants are written beside them.")] = Path(
        "weights"
    ),
) -> None:
    """Write int8 variants of networks, scales found on rendered athletes, and say how far each is from the original.

    `examples` writes the inputs instead that every engine is checked by before it is used.
    """
    from training.quantise import quantise_networks, write_examples

    try:
        if name == "examples":
            path = write_examples(data, mocap, out)
            Console().print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", soft_wrap=True)
            return
        rows = quantise_networks(name, data, mocap, out)
    except ImportError as error:
        raise Refused(f"{error.name} is not installed; pip install 'posecast[train]'") from None
    except (TrainingError, EngineError) as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(str(unwritable(out, error))) from None
    table = Table("network", "MB", "how far from single precision", title=str(out))
    for row in rows:
        table.add_row(row.network, f"{row.size / 1e6:.2f}", "\n".join(str(part) for part in row.verdict.deviations))
    Console().print(table)


def _table(title: str, figures: dict[str, float]) -> None:
    table = Table("figure", "value", title=title)
    for key, value in figures.items():
        table.add_row(key, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)


def __getattr__(name: str) -> typer.Typer:
    """`synth` is the application of `training.synth.cli`, imported when asked for: it needs a renderer."""
    if name == "synth":
        from training.synth.cli import app

        return app
    raise AttributeError(name)
