"""The whole chain on the sample dive as fast as it goes, beside mediapipe's Pose on the same clip in the same run.

    python benchmarks/chain.py [--rounds N] [--only NAME ...] [--json FILE] [--markdown FILE]

Round by round every variant runs once and mediapipe once, right after the default, so that a machine that slows down
slows down all of them; ratios are taken within a round. mediapipe lives in an environment of its own
(`--mediapipe DIR`), made by the first run from PyPI; without it its rows are left out and named.
"""

import argparse
import json
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

import msgspec  # noqa: E402

from benchmarks import page, untrained  # noqa: E402
from engines.errors import EngineError  # noqa: E402
from engines.store import folder_of  # noqa: E402
from pipeline.bench import chain, described, machine, median_of, metered  # noqa: E402
from pipeline.bench_tables import split_ms  # noqa: E402
from pipeline.config import Config, load, shipped  # noqa: E402
from pipeline.errors import PosecastError  # noqa: E402
from pipeline.meter import SKIPPED  # noqa: E402
from pipeline.replay import SAMPLE  # noqa: E402

PEER = "mediapipe"
PEER_PACKAGES = ("mediapipe==0.10.21", "numpy<2")
PEER_HOME = Path("~/.cache/posecast/mediapipe").expanduser()


@dataclass(frozen=True)
class Variant:
    """A chain that is measured: its name, what it is, and how its settings follow from the default ones.

    `quantised` names the network whose int8 file it needs.
    """

    name: str
    what: str
    settings: Callable[[Config, Path], Config]
    quantised: str = ""


class PeerError(Exception):
    """Why mediapipe could not be measured, in one line."""


def _engines(config: Config, **changes: str | bool) -> Config:
    return msgspec.structs.replace(config, engines=msgspec.structs.replace(config.engines, **changes))


def _w32(config: Config, weights: Path) -> Config:
    config = _engines(config, weights=str(weights))
    return msgspec.structs.replace(config, encode=msgspec.structs.replace(config.encode, network="w32"))


def _diffusion(config: Config, weights: Path) -> Config:
    return msgspec.structs.replace(config, decode=msgspec.structs.replace(config.decode, decoder="diffusion"))


VARIANTS = (
    Variant("default", "as shipped, precision auto", lambda config, _: config),
    Variant("bf16", "all networks in bf16", lambda config, _: _engines(config, precision="bf16")),
    Variant("diffusion", "diffusion decoder, 5 hypotheses", _diffusion),
    Variant(
        "w32",
        "HRNet-W32 at 256x192, random weights, int8",
        lambda config, weights: _engines(_w32(config, weights), precision="int8", checked=False),
        "hrnet_w32",
    ),
    Variant(
        "w32-bf16",
        "HRNet-W32 at 256x192, random weights, bf16",
        lambda config, weights: _engines(_w32(config, weights), precision="bf16", checked=False),
    ),
)


def main() -> None:
    """Measure and write."""
    options = _options()
    left_out: list[str] = []
    chains = _chains(options, left_out)
    peer = _peer(options.mediapipe, left_out) if not options.only or PEER in options.only else None
    runs = _runs(chains, peer, options, left_out)
    costs = {name: split_ms(chain(metered(chains[name]), options.clip)) for name in runs if name != PEER}
    figures = {
        "machine": machine(),
        "source": described(Config(), options.clip),
        "rounds": options.rounds,
        "runs": runs,
        "medians": {name: median_of(rounds) for name, rounds in runs.items()},
        "networks_and_rest_ms": costs,
        "left_out": left_out,
    }
    page.finish(figures, markdown, options)


def _chains(options: argparse.Namespace, left_out: list[str]) -> dict[str, Config]:
    """Settings of the variants that can be run here, by name."""
    wanted = [variant for variant in VARIANTS if not options.only or variant.name in options.only]
    weights = Path(f"{options.untrained}-w32")
    if any(variant.name.startswith("w32") for variant in wanted):
        try:
            untrained.exported("hrnet_w32", options.untrained)
            untrained.weights_with("hrnet_w32", options.untrained, weights)
        except untrained.UntrainedError as error:
            left_out.append(str(error))
            wanted = [variant for variant in wanted if not variant.name.startswith("w32")]
    default = load(shipped("live"))
    chains = {variant.name: variant.settings(default, weights) for variant in wanted}
    for variant in wanted:
        folder = folder_of(chains[variant.name].engines.weights)
        if variant.quantised and not (folder / f"{variant.quantised}.int8.onnx").is_file():
            left_out.append(f"{variant.name}: no file {variant.quantised}.int8.onnx")
            del chains[variant.name]
    return chains


def _runs(
    chains: dict[str, Config], peer: Path | None, options: argparse.Namespace, left_out: list[str]
) -> dict[str, list[page.Figures]]:
    """Figures of each round by name; a chain that fails once is left out of all."""
    runs: dict[str, list[page.Figures]] = {}
    order = list(chains)
    if peer is not None:
        order.insert(1, PEER)
    for number in range(options.rounds):
        for name in list(order):
            try:
                run = _ours(chains[name], options.clip) if name in chains else _theirs(peer, options.clip)
            except (PosecastError, EngineError) as error:
                left_out.append(f"{name}: {error}")
                order.remove(name)
                continue
            runs.setdefault(name, []).append(run)
            print(
                f"round {number + 1}  {name:10} {run['fps']:6.1f} frames/s  {run['cpu_ms']:6.1f} ms of processor",
                flush=True,
            )
    return {name: runs[name] for name in order}


def _options() -> argparse.Namespace:
    parser = page.arguments("The whole chain as fast as it goes, beside mediapipe.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each runs")
    parser.add_argument("--clip", default=str(SAMPLE), help="a video; default: the sample dive")
    names = [variant.name for variant in VARIANTS]
    parser.add_argument("--only", nargs="+", choices=[*names, PEER], default=[], help="not all of them")
    parser.add_argument("--untrained", type=Path, default=untrained.FOLDER, help="folder of random weights")
    parser.add_argument("--mediapipe", type=Path, default=PEER_HOME, help="folder of mediapipe's environment")
    return page.chosen(parser)


def _ours(config: Config, clip: str) -> page.Figures:
    """One run of a chain."""
    run = chain(config, clip)
    chosen = {name: run[name] for name in ("frames", "tracked", "fps", "first_pose_s", "memory_mb")}
    return chosen | {"cpu_ms": sum(split_ms(run))}


def _peer(home: Path, left_out: list[str]) -> Path | None:
    """Python of mediapipe's environment, made if it is not there."""
    python = home / "bin" / "python"
    try:
        if not _holds_peer(python):
            _make(home, python)
    except PeerError as error:
        left_out.append(f"{PEER}: {error}")
        return None
    return python


def _holds_peer(python: Path) -> bool:
    if not python.is_file():
        return False
    name, version = PEER_PACKAGES[0].split("==")
    found = f"from importlib.metadata import version; print(version({name!r}))"
    result = subprocess.run([str(python), "-c", found], capture_output=True, text=True, check=False)
    return result.stdout.strip() == version


def _make(home: Path, python: Path) -> None:
    print(f"making {home}: {' '.join(PEER_PACKAGES)}", file=sys.stderr)
    venv.create(home, clear=True, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PEER_PACKAGES]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise PeerError(f"could not be installed ({_last_line(result.stderr)})")


def _theirs(python: Path, clip: str) -> page.Figures:
    """One run of mediapipe. Raises PosecastError when it fails."""
    worker = Path(__file__).with_name("peer_mediapipe.py")
    command = [str(python), str(worker), clip, str(SKIPPED)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise PosecastError(f"{PEER} failed ({_last_line(result.stderr)}); run `{' '.join(command)}`")
    return json.loads(result.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "no reason given"


def ratios(runs: dict[str, list[page.Figures]], name: str) -> list[float]:
    """How many times as many frames a second a variant gave as mediapipe, round by round."""
    return [ours["fps"] / theirs["fps"] for ours, theirs in zip(runs[name], runs.get(PEER, []), strict=False)]


def markdown(figures: page.Figures) -> str:
    """The section."""
    medians = figures["medians"]
    frames = max((run["frames"] for run in medians.values()), default=0)
    samples = f"{figures['rounds']} rounds of {frames:.0f} frames, medians; the first {SKIPPED} frames are not counted"
    command = "python benchmarks/chain.py --json results/chain.json"
    rows = [_line(figures, variant.name, variant.what) for variant in VARIANTS if variant.name in medians]
    if PEER in medians:
        rows.append(_line(figures, PEER, f"{PEER_PACKAGES[0].replace('==', ' ')}, Pose, model_complexity 1"))
    head = (
        "chain",
        "frames/s",
        f"times {PEER}, each round",
        "CPU ms a frame",
        "in networks",
        "the rest",
        "frames with a pose",
    )
    facts = page.facts(figures, figures["source"], samples, command)
    return facts + "\n" + page.table(head, rows) + page.left_out(figures["left_out"])


def _line(figures: page.Figures, name: str, what: str) -> tuple[str, ...]:
    run = figures["medians"][name]
    each = " ".join(f"{ratio:.2f}" for ratio in ratios(figures["runs"], name)) if name != PEER else "1"
    split = tuple(f"{part_ms:.1f}" for part_ms in figures["networks_and_rest_ms"].get(name, ()))
    return (what, f"{run['fps']:.1f}", each, f"{run['cpu_ms']:.1f}", *(split or ("", "")), f"{run['tracked']:.0f}")


if __name__ == "__main__":
    page.guarded(main)
