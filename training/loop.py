"""The one training loop: AdamW under a time budget, averaged weights, checkpoints that survive a kill, resume.

A recipe brings modules, batches, a loss and a validation; the loop brings everything else. Progress runs from
0 to 1 over the budget (minutes of training, or steps) and drives the learning rate and the recipe's own
schedule. Training time is counted across resumes, so `--minutes 90 --resume` goes on where a run of 60 minutes
ended. Whatever a step draws at random follows from (seed, step), so a run with a budget of steps has the same
losses whether it was interrupted or not. Losses and figures go to `log.csv`, `validation.csv` and, for
TensorBoard, to `events/`.
"""

import copy
import csv
import json
import math
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.tensorboard import SummaryWriter

from engines.errors import EngineError
from engines.store import MANIFEST, manifest, verify
from training import checkpoint, warmstart
from training.errors import TrainingError, unwritable

console = Console(stderr=True)


class Recipe(Protocol):
    """What is trained and how."""

    name: str
    settings: Any
    """The dataclass of its table `recipe`, stored in every checkpoint."""
    modules: nn.ModuleDict
    header: dict[str, Any]
    """Stored in every checkpoint: scale, joint order, frame rate, data and whatever else export and use must
    know."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Trainable parameters in groups; a group's `factor` multiplies the learning rate."""

    def batch(self, step: int, progress: float) -> Any:
        """Batch number `step`, on the host, for the schedule's position `progress` in 0..1."""

    def losses(self, batch: Any, progress: float) -> dict[str, Tensor]:
        """Parts of the loss; `loss` is what is minimised. Called under autocast."""

    def samples(self, batch: Any) -> int:
        """How many samples the batch holds, for the rate shown."""

    def validate(self, modules: nn.ModuleDict) -> dict[str, float]:
        """Figures of `modules` on the fixed validation split, without gradients."""

    def shipped(self) -> Mapping[str, tuple[nn.Module, Tensor | Callable[[], object] | None]]:
        """By shipped network: the module that its file can start, and inputs to settle batch statistics on (or what
        passes them through it), if any."""


@dataclass
class Options:
    """Settings of the loop; the recipe has its own."""

    out: Path
    minutes: float | None = None
    steps: int | None = None
    threads: int = 1
    seed: int = 1
    lr: float = 1e-3
    weight_decay: float = 0.02
    warmup_steps: int = 200
    clip: float = 1.0
    ema: float = 0.999
    autocast: bool = True
    checkpoint_s: float = 120.0
    validate_s: float = 300.0
    resume: bool = False
    init_from: str = ""
    """Where to start: folders of other runs (averaged weights, where names and shapes agree) or of shipped weights,
    separated by commas; of two that hold a tensor the later counts."""

    def __post_init__(self) -> None:
        for name in ("minutes", "steps", "threads"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise TrainingError(f"{name} is {value}; give a number above 0")


class Average:
    """Exponential moving average of a module's weights and buffers, with a short memory at the start."""

    def __init__(self, modules: nn.ModuleDict, decay: float) -> None:
        self.modules = copy.deepcopy(modules).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, modules: nn.ModuleDict, step: int) -> None:
        """Moves the average towards `modules` after optimiser step `step`."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for mine, theirs in zip(self.modules.state_dict().values(), modules.state_dict().values(), strict=True):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs.detach().to(mine.dtype), 1 - keep)
            else:
                mine.copy_(theirs)


def attention(device: torch.device) -> AbstractContextManager[Any]:
    """On a CPU the plain attention: for short sequences it is up to twice as fast as the fused one."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def learning_rate(step: int, progress: float, options: Options) -> float:
    """Warm-up, then a cosine down to 2 % of the peak at the end of the budget."""
    warm = min(1.0, (step + 1) / max(options.warmup_steps, 1))
    return options.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class Trainer:
    """One run of a recipe in the folder `options.out`."""

    def __init__(self, recipe: Recipe, options: Options) -> None:
        if options.minutes is None and options.steps is None:
            raise TrainingError("give the budget: --minutes or --steps")
        torch.set_num_threads(options.threads)
        torch.manual_seed(options.seed)
        self.recipe, self.options = recipe, options
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.modules = recipe.modules.to(self.device)
        self.average = Average(self.modules, options.ema)
        self.optimiser = torch.optim.AdamW(
            [{"factor": 1.0, **group} for group in recipe.parameter_groups()],
            lr=options.lr,
            weight_decay=options.weight_decay,
            betas=(0.9, 0.98),
        )
        self.step, self.elapsed_s, self.seen = 0, 0.0, 0
        self.figures: dict[str, float] = {}
        self._start()
        try:
            self.board = SummaryWriter(str(options.out / "events"), purge_step=self.step or None)
        except OSError as error:
            raise unwritable(options.out, error) from None

    def _start(self) -> None:
        last = self.options.out / checkpoint.LAST
        if self.options.resume and last.exists():
            header = checkpoint.load(last, self.modules, self.average.modules, self.optimiser, self.recipe.header)
            self.step, self.elapsed_s, self.seen = header["step"], header["elapsed_s"], header["samples"]
            self.figures = header["figures"]
            if "started_from" in header:
                self.recipe.header["started_from"] = header["started_from"]
        elif last.exists() and not self.options.resume:
            raise TrainingError(f"{last} exists: add --resume to go on, or choose another --out")
        elif self.options.init_from:
            folders = [Path(folder.strip()) for folder in self.options.init_from.split(",")]
            self.recipe.header["started_from"] = "; ".join(self._initialise(folder) for folder in folders)
            self.average.modules.load_state_dict(self.modules.state_dict())

    def _initialise(self, folder: Path) -> str:
        """Weights from a folder of shipped networks, or from another run; returns what they were, for the card."""
        if (folder / MANIFEST).exists():
            return self._from_shipped(folder)
        source = folder / checkpoint.LAST
        count = checkpoint.initialise(source, self.modules)
        console.print(f"{self.recipe.name}: {count} tensors taken from {source}")
        older = checkpoint.read_header(source)
        before = f"; before that {older['started_from']}" if "started_from" in older else ""
        data = older.get("data", "data not recorded")
        return f"{older['recipe']}, {older['step']} steps, {older['samples']} samples ({data}{before})"

    def _from_shipped(self, folder: Path) -> str:
        networks = self.recipe.shipped()
        try:
            listed = manifest(folder)
            files = {network: verify(network, folder) for network in networks if network in listed}
        except EngineError as error:
            raise TrainingError(str(error)) from None
        if not files:
            raise TrainingError(f"{folder}: holds no network that {self.recipe.name} can start from; check init_from")
        origin = json.loads((folder / MANIFEST).read_text())
        for network, file in files.items():
            count = warmstart.initialise(file, *networks[network])
            console.print(f"{self.recipe.name}: {count} tensors taken from {file}")
        words = (f"{n} {listed[n].sha256[:12]} ({origin[n].get('created_from', 'not recorded')})" for n in files)
        return "shipped weights: " + ", ".join(words)

    @property
    def progress(self) -> float:
        """Share of the budget used, 0..1."""
        shares = [self.step / self.options.steps] if self.options.steps else []
        if self.options.minutes:
            shares.append(self.elapsed_s / (60 * self.options.minutes))
        return min(1.0, max(shares))

    def run(self) -> dict[str, float]:
        """Trains to the end of the budget; returns the last validation figures."""
        saved = validated = time.monotonic()
        first = self.step
        with _bar(self.recipe.name) as bar, _ended_by_signals() as asked_to_end:
            task = bar.add_task(self.recipe.name, total=1.0, completed=self.progress, figures="")
            while self.progress < 1.0:
                if asked_to_end():
                    self.save()
                    raise KeyboardInterrupt
                begun = time.monotonic()
                parts, count = self._one()
                took = time.monotonic() - begun
                self.elapsed_s += took
                self.seen += count
                self.step += 1
                if self.step % 20 == 0 or self.step - first <= 3:
                    self._log(parts, count / took)
                    bar.update(task, figures=f"{parts['loss']:.4f}  {count / took:.0f}/s")
                bar.update(task, completed=self.progress)
                now = time.monotonic()
                if now - saved > self.options.checkpoint_s:
                    if now - validated > self.options.validate_s:
                        self.validate()
                        validated = time.monotonic()
                    self.save()
                    saved = time.monotonic()
        self.validate()
        self.save()
        self.board.close()
        return self.figures

    def _one(self) -> tuple[dict[str, float], int]:
        progress = self.progress
        batch = self.recipe.batch(self.step, progress)
        torch.manual_seed(self.options.seed * 1_000_003 + self.step)
        rate = learning_rate(self.step, progress, self.options)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        with (
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.autocast),
            attention(self.device),
        ):
            parts = self.recipe.losses(_to(batch, self.device), progress)
        loss = parts["loss"]
        if not torch.isfinite(loss):
            raise TrainingError(
                f"{self.recipe.name}: loss is {float(loss)} at step {self.step}; lower the learning rate and --resume"
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.modules.parameters(), self.options.clip)
        self.optimiser.step()
        self.average.update(self.modules, self.step)
        return {key: float(value.detach()) for key, value in parts.items()}, self.recipe.samples(batch)

    @torch.no_grad()
    def validate(self) -> None:
        """Runs the recipe's validation on the averaged weights and writes the figures to the log."""
        with attention(self.device):
            self.figures = self.recipe.validate(self.average.modules)
        shown = "  ".join(f"{key} {value:.4g}" for key, value in self.figures.items())
        console.print(f"{self.recipe.name} step {self.step} ({self.elapsed_s / 60:.1f} min): {shown}")
        self._log({f"val_{key}": value for key, value in self.figures.items()}, 0.0, "validation.csv")

    def save(self) -> None:
        """Writes the checkpoint atomically."""
        header = {
            **self.recipe.header,
            "recipe": self.recipe.name,
            "step": self.step,
            "samples": self.seen,
            "elapsed_s": self.elapsed_s,
            "figures": self.figures,
            "options": {key: str(value) for key, value in asdict(self.options).items()},
            "settings": asdict(self.recipe.settings),
            "hardware": _hardware(self.device, self.options.threads),
        }
        checkpoint.save(self.options.out / checkpoint.LAST, self.modules, self.average.modules, self.optimiser, header)

    def _log(self, row: Mapping[str, float], rate: float, name: str = "log.csv") -> None:
        values = {"step": self.step, "elapsed_s": round(self.elapsed_s, 1), "samples_per_s": round(rate, 1), **row}
        path = self.options.out / name
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(values))
            if new:
                writer.writeheader()
            writer.writerow({key: f"{v:.6g}" if isinstance(v, float) else v for key, v in values.items()})
        for key, value in row.items():
            self.board.add_scalar(key, value, self.step)


def _bar(name: str) -> Progress:
    return Progress(
        TextColumn(name), BarColumn(), "{task.percentage:.1f}%", TimeElapsedColumn(), "left", TimeRemainingColumn(),
        "{task.fields[figures]}",
        console=console, refresh_per_second=1, disable=not console.is_terminal,
    )  # fmt: skip


def _hardware(device: torch.device, threads: int) -> str:
    """What trains, for the card."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{threads} thread(s) of {name}"


@contextmanager
def _ended_by_signals() -> Iterator[Callable[[], bool]]:
    """SIGTERM asks the run to write a checkpoint and end after the step under way, as ctrl-C does at once."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGTERM, before)


def _to(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {key: _to(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_to(value, device) for value in batch))
    return batch
