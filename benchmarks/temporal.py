"""What a live pose may be made of: error and processor time of the temporal network over different parts of its window.

    python benchmarks/temporal.py [--mocap FOLDER] [--count N] [--json FILE] [--markdown FILE]

Times are of OpenVINO on one thread, as in the live chain, options in turn. Errors are those of the suite `lookahead`
(`posecast eval lookahead`): held-out motion capture and generated dives with noise and drop-outs, nine frames of each,
every pose from a window of its own, fitted as the live chain does it. Without --mocap (and without data/mocap) only
times are measured. Needs the extra `train`.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

# Python puts this file's folder first, where `engines.py` would be taken for the package `engines`.
ROOT: Final = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from benchmarks import page  # noqa: E402
from engines import openvino_backend  # noqa: E402
from engines.codecs import fitted  # noqa: E402
from engines.contracts import FEATURE, LIVE_READ, LIVE_WINDOW, TOKEN, WINDOW, Contract, J  # noqa: E402
from engines.contracts import Tensor as Port  # noqa: E402
from engines.errors import EngineError  # noqa: E402
from models.exportable import example_inputs  # noqa: E402
from models.layers import key_mask  # noqa: E402
from models.temporal import MPM  # noqa: E402
from pipeline.bench import machine  # noqa: E402
from training import export, metrics, warmstart  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.evaluate.networks import Networks  # noqa: E402
from training.evaluate.poses3d import sequence_row  # noqa: E402
from training.evaluate.result import Request  # noqa: E402
from training.evaluate.windows import frame_features, held_out_windows, per_frame_poses  # noqa: E402
from training.sequences import RATE_HZ, Windows  # noqa: E402

Array = np.ndarray[Any, Any]

SPAN: Final = 9
REVISIONS: Final = {"provisional": 0, "refined": 13}
"""Published revisions, and how many frames later."""
WANTED: Final = slice(WINDOW - 1, WINDOW - 1 + SPAN)
ROUNDS, CALLS, BATCH = 9, 12, 32


@dataclass(frozen=True)
class Option:
    """A way to make live poses: of which frames (how far behind the newest), how many tokens leave each layer, how
    often, and whether a frame sees older ones only."""

    name: str
    behind: tuple[int, ...]
    leave: tuple[int, ...] = ()
    every: int = 1
    causal: bool = False


def newest(frames: int, *, leave: tuple[int, ...] = (), then: int = 0) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The newest `frames`, of the older ones every `then`-th; of the last layer only what is read leaves."""
    behind = (*range(frames), *(range(frames, WINDOW, then) if then else ()))
    return behind, leave or (*[len(behind)] * 3, min(LIVE_READ, len(behind)))


OPTIONS: Final = (
    Option("all 243, as for final poses", tuple(range(WINDOW)), (WINDOW,) * 4),
    Option("all 243, every 2nd frame", tuple(range(WINDOW)), (WINDOW,) * 4, every=2),
    Option("all 243, last layer of what is read", *newest(WINDOW)),
    Option("newest 61, older every 3rd", *newest(61, then=3)),
    Option("newest 61, older every 6th", *newest(61, then=6)),
    Option("newest 121", *newest(121)),
    Option("newest 121, narrowing to 61 and 40", *newest(121, leave=(61, 40, 40, 40))),
    Option("newest 81", *newest(81)),
    Option("newest 61", *newest(61)),
    Option("newest 41", *newest(41)),
    Option("newest 27", *newest(27)),
    Option("older frames only, keys and values kept", tuple(range(WINDOW)), (WINDOW,) * 4, causal=True),
)


class Pruned(nn.Module):
    """The window part of an `MPM` over some of its frames, newest first."""

    def __init__(self, model: MPM, option: Option) -> None:
        super().__init__()
        self.model, self.leave, self.causal = model, option.leave, option.causal
        self.register_buffer("at", torch.tensor([WINDOW - 1 - behind for behind in option.behind]))

    def forward(self, features: Tensor, seen: Tensor, lookahead: Tensor) -> Tensor:
        """[B,n,309], [B,n], [B] -> joints [B,leave,17,3]."""
        model = self.model
        frames = torch.where(seen.unsqueeze(-1) > 0.5, features[..., :TOKEN], 0.0)
        tokens = frames + model.temporal.position[self.at] + model.lookahead(lookahead).unsqueeze(1)
        for layer, leave in zip(model.temporal.layers, self.leave, strict=True):
            mask = key_mask(seen[:, : tokens.shape[1]])
            if self.causal:
                mask = mask + model.later
            tokens = layer(tokens, mask, slice(leave))
        kept = self.leave[-1]
        return model.poses(tokens, features[:, :kept], seen[:, :kept])


class OneFrame(nn.Module):
    """The newest frame alone, beside the kept keys and values of the others: what a frame costs that never changes."""

    def __init__(self, model: MPM) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, seen: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B,1,309], [B,243], [B,4,243,256] twice -> joints [B,1,17,3], new keys and values [B,4,1,256]."""
        model = self.model
        x = features[..., :TOKEN] + model.temporal.position[-1:] + model.lookahead.weight[0]
        new_keys, new_values = [], []
        for at, layer in enumerate(model.temporal.layers):
            normed, attention = layer.norm1(x), layer.attention
            new_keys.append(attention.key(normed))
            new_values.append(attention.value(normed))
            kept = (torch.cat([old[:, at, 1:], new[-1]], 1) for old, new in ((keys, new_keys), (values, new_values)))
            parts = (
                part.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for part in (attention.query(normed), *kept)
            )
            y = functional.scaled_dot_product_attention(*parts, attn_mask=key_mask(seen))
            x = x + attention.out(y.transpose(1, 2).flatten(2))
            x = x + layer.fc2(functional.relu(layer.fc1(layer.norm2(x))))
        return model.poses(x, features, seen[:, -1:]), torch.stack(new_keys, 1), torch.stack(new_values, 1)


def main() -> None:
    """Measure, print, write."""
    options = _options()
    torch.set_num_threads(1)
    try:
        model = _model(options.weights)
        times = cpu_times(model)
        errors, counted = measured_errors(model, options) if options.mocap.is_dir() else ({}, {})
    except (EngineError, TrainingError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    rows = [asdict(option) | {"cpu_ms": times[option.name], "errors": errors.get(option.name)} for option in OPTIONS]
    figures = {
        "machine": machine(),
        "count": options.count,
        "rows": rows,
        "sequences": counted,
        "per frame": errors.get("per frame"),
        "rounds": ROUNDS,
    }
    page.finish(figures, markdown, options)


def _options() -> argparse.Namespace:
    parser = page.arguments("Error and time of the temporal network over parts of its window.")
    parser.add_argument("--mocap", type=Path, default=Path("data/mocap"), help="folder of motion capture")
    parser.add_argument("--count", type=int, default=60, help="sequences of each kind")
    parser.add_argument("--weights", type=Path, default=ROOT / "weights", help="folder of the networks")
    return page.chosen(parser)


def _model(weights: Path) -> MPM:
    model = MPM().eval()
    warmstart.initialise(weights / "temporal_window.onnx", model)
    return model


def cpu_times(model: MPM) -> dict[str, float]:
    """Processor milliseconds a frame by option: medians over rounds in which each is called in turn."""
    runners = {option.name: _runner(model, option) for option in OPTIONS}
    spent: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(ROUNDS):
        for option in OPTIONS:
            runner, inputs = runners[option.name]
            runner.infer(inputs)
            before = time.process_time_ns()
            for _ in range(CALLS):
                runner.infer(inputs)
            spent[option.name].append((time.process_time_ns() - before) / 1e6 / CALLS / option.every)
    return {name: float(np.median(times)) for name, times in spent.items()}


def _runner(model: MPM, option: Option) -> tuple[Any, dict[str, Array]]:
    module, contract = (OneFrame(model), _one_frame()) if option.causal else (Pruned(model, option), _pruned(option))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        path.write_bytes(export.half_stored(export.to_onnx(module.eval(), contract)).SerializeToString())
        runner = openvino_backend.loaded(path, "auto", 1)
        inputs = {name: value.numpy() for name, value in example_inputs(contract, {"B": 1}).items()}
        runner.prepare({name: value.shape for name, value in inputs.items()})
    return runner, inputs


def _pruned(option: Option) -> Contract:
    frames = len(option.behind)
    ports = (("features", ("B", frames, FEATURE)), ("seen", ("B", frames)))
    inputs = (*(Port(name, shape, "float32", "") for name, shape in ports), Port("lookahead", ("B",), "int64", ""))
    return Contract("pruned", inputs, (Port("joints", ("B", option.leave[-1], J, 3), "float32", ""),))


def _one_frame() -> Contract:
    kept, new = ("B", 4, WINDOW, TOKEN), ("B", 4, 1, TOKEN)
    inputs = {"features": ("B", 1, FEATURE), "seen": ("B", WINDOW), "keys": kept, "values": kept}
    outputs = {"joints": ("B", 1, J, 3), "new_keys": new, "new_values": new}
    ports = [tuple(Port(n, shape, "float32", "") for n, shape in side.items()) for side in (inputs, outputs)]
    return Contract("one_frame", *ports)


def measured_errors(model: MPM, options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, int]]:
    """By option, kind of motion and revision: MPJPE in mm and error of acceleration in mm a frame squared."""
    latest = max(REVISIONS.values()) + max(option.every for option in OPTIONS)
    request = Request(options.mocap.parent, options.mocap, options.weights)
    kinds = held_out_windows(
        request, options.count, clean=False, frames=WINDOW - 1 + SPAN + latest, ahead=latest + SPAN // 2
    )
    networks = Networks(options.weights)
    errors: dict[str, Any] = {}
    counted = {}
    for kind, windows in kinds.items():
        features, seen, alone, truth = _material(networks, windows)
        poses = Poses(features, seen, alone)
        counted[kind] = len(truth)
        errors.setdefault("per frame", {})[kind] = {revision: _row(alone, truth) for revision in REVISIONS}
        for option in OPTIONS:
            network = Pruned(model, option)
            errors.setdefault(option.name, {})[kind] = {
                revision: _row(poses.published(network, option, behind), truth)
                for revision, behind in REVISIONS.items()
            }
            print(f"{option.name}, {kind}: done", file=sys.stderr, flush=True)
    return errors, counted


def _material(networks: Networks, windows: Windows) -> tuple[Array, Array, Array, Array]:
    whole = (windows.seen[:, WANTED] > 0).all(1) & (windows.missing[:, WANTED].amin(2) < 1).all(1)
    keypoints, missing, seen, truth, box = (x[whole].numpy() for x in windows)
    alone = per_frame_poses(networks, keypoints[:, WANTED], missing[:, WANTED], box[:, WANTED])
    return frame_features(networks, keypoints, missing, box), seen, alone, truth[:, WANTED]


class Poses:
    """What a network makes of the windows of one kind of motion; a window is computed once, options share them."""

    def __init__(self, features: Array, seen: Array, alone: Array) -> None:
        self._features, self._seen, self._alone = features, seen, alone
        self._made: dict[tuple[Any, ...], Array] = {}

    def published(self, network: Pruned, option: Option, behind: int) -> Array:
        """Poses (N, SPAN, J, 3) as the live chain publishes them, which reads all from windows asked for the newest.

        With `every` above 1 the frames between take the per-frame decoder's pose, and refined ones wait a frame longer.
        """
        poses = []
        for at in range(WANTED.start, WANTED.stop):
            late = -(at + behind) % option.every
            if late and not behind:
                poses.append(self._alone[:, at - WANTED.start])
            else:
                windows = self._windows(network, option, at + behind + late)
                poses.append(np.stack([fitted(each, len(each) - 1 - behind - late) for each in windows]))
        return np.stack(poses, axis=1)

    @torch.no_grad()
    def _windows(self, network: Pruned, option: Option, end: int) -> Array:
        """Poses (N, read, J, 3), the newest last, of the windows that end with frame `end`."""
        key = (option.behind, option.leave[:-1], option.causal, end)
        if key not in self._made:
            cells = end - np.array(option.behind)
            found = []
            for rows in (slice(start, start + BATCH) for start in range(0, len(self._seen), BATCH)):
                batch = torch.from_numpy(self._features[rows][:, cells]), torch.from_numpy(self._seen[rows][:, cells])
                joints = network(*batch, torch.zeros(len(batch[1]), dtype=torch.int64))
                found.append(joints[:, :LIVE_READ].flip(1).numpy())
            self._made[key] = np.concatenate(found)
        return self._made[key]


def _row(predicted: Array, truth: Array) -> dict[str, float]:
    flat, right = (poses.reshape(-1, *poses.shape[2:]) for poses in (predicted, truth))
    acceleration = sequence_row(predicted, truth, RATE_HZ)["acceleration mm/frame2"]
    return {"mpjpe_mm": metrics.mpjpe(flat, right), "acceleration_mm": acceleration}


def markdown(figures: dict[str, Any]) -> str:
    """The section for the page."""
    kinds = list(figures["sequences"])
    columns = [(kind, revision) for kind in kinds for revision in REVISIONS]
    head = ["poses from", "CPU ms a frame", *(f"{kind}, {revision}" for kind, revision in columns)]
    rows = [[_named(row), f"{row['cpu_ms']:.2f}", *_cells(row["errors"], columns)] for row in figures["rows"]]
    if figures["per frame"]:
        rows.append(["one frame alone (MLP decoder)", "", *_cells(figures["per frame"], columns)])
    counted = ", ".join(f"{count} of {kind}" for kind, count in figures["sequences"].items())
    facts = page.facts(
        figures,
        "held-out motion as the suite `lookahead` has it; processor time on one thread",
        f"{SPAN} frames of each sequence ({counted or 'none'}); MPJPE mm / error of acceleration, mm a frame squared",
        f"python benchmarks/temporal.py --mocap FOLDER --count {figures['count']}",
    )
    return f"{facts}\n{page.table(head, rows)}"


def _named(row: dict[str, Any]) -> str:
    live = list(row["behind"]) == list(range(LIVE_WINDOW)) and row["every"] == 1
    return f"**{row['name']}** (temporal_live)" if live else row["name"]


def _cells(errors: Any, columns: Sequence[tuple[str, str]]) -> list[str]:
    found = [errors[kind][revision] for kind, revision in columns] if errors else []
    return [f"{row['mpjpe_mm']:.1f} / {row['acceleration_mm']:.1f}" for row in found]


if __name__ == "__main__":
    main()
