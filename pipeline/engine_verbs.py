"""`posecast engines`: the engines that this machine has built, made and checked before the event instead of at it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from engines import store
from engines.cache import Cache, Kept, default_folder
from engines.choice import Candidate, candidates
from engines.contracts import ENCODERS, SHIPPED, Contract, encoder
from engines.errors import EngineError, WeightsError
from engines.opening import Opening, Refused
from engines.trust import Verdict
from pipeline.config import Config, engine_settings
from pipeline.stage import Host
from pipeline.topology import STAGES


def show(config: Config, console: Console) -> None:
    """Print every engine in the cache: for what, how large, and how far it was from single precision."""
    cache = Cache(_folder(config))
    table = _table("network", "on", "precision", "by", "checked", "MB")
    kept = cache.kept()
    for engine in kept:
        facts = engine.facts
        row = [facts.get(name, "") for name in ("device", "precision", "library")] if facts else ["", "", "damaged"]
        table.add_row(engine.network, *row, _verdict_of(engine), f"{engine.size_bytes / 1e6:.1f}")
    console.print(table if kept else "no engine built yet; posecast engines build")
    console.print(f"{len(kept)} in {cache.folder}", style="dim", soft_wrap=True)


def build(config: Config, console: Console) -> None:
    """Build and check what the stages of a configuration need, so that the next start finds it ready."""
    table = _table("stage", "engine", "s")
    for row in STAGES:
        make = getattr(import_module(row.module), "build", None)
        if make is None:
            continue
        start = time.monotonic()
        with console.status(row.name) as status:
            host = Host.of(row, config, Path(), say=_saying(status.update))
            computation = make(host)
        table.add_row(row.name, computation.note, f"{time.monotonic() - start:.1f}")
    console.print(table)


def check(config: Config, console: Console) -> None:
    """Compare every engine this machine can run with ONNX Runtime in single precision, anew, and print how far it is.

    Raises EngineError if a network has no engine that may be used.
    """
    table = _table("network", "engine", "half within", "nine tenths within", "allowed", "")
    useless = []
    for contract in _contracts(config):
        verdicts = [_checked(config, contract, candidate, table, console) for candidate in _ways(config, contract)]
        if not any(verdicts):
            useless.append(contract.network)
    console.print(table)
    if useless:
        raise EngineError(f"{', '.join(useless)}: no engine here may be used; set engines.precision to fp32")


def clean(config: Config, console: Console) -> None:
    """Remove every built engine. Raises EngineError if the folder does not let them go."""
    cache = Cache(_folder(config))
    try:
        count, size = cache.clean()
    except OSError as error:
        raise EngineError(f"{cache.folder}: cannot be emptied ({error.strerror}); remove it by hand") from error
    console.print(f"removed {count} files, {size / 1e6:.0f} MB, from {cache.folder}", soft_wrap=True)


def _folder(config: Config) -> Path:
    return Path(config.engines.cache).expanduser() if config.engines.cache else default_folder()


def _contracts(config: Config) -> Iterator[Contract]:
    """The shipped networks, and encoders that lie in the folder of weights beside them."""
    yield from SHIPPED
    for variant in ENCODERS:
        if encoder(variant) not in SHIPPED and store.has(encoder(variant).network, config.engines.weights):
            yield encoder(variant)


def _ways(config: Config, contract: Contract) -> list[Candidate]:
    asked = engine_settings(config, threads=1)
    return candidates(contract.network, replace(asked, precision="auto"))


def _checked(config: Config, contract: Contract, candidate: Candidate, table: Table, console: Console) -> bool:
    """Check one engine and add its rows; whether it may be used."""
    asked = engine_settings(config, threads=1)
    name = f"{candidate.backend} {candidate.precision}, {candidate.device}"
    axes = {"B": 1, "H": config.decode.hypotheses}
    with console.status(f"{contract.network}: {name}") as status:
        try:
            verdict = Opening(contract, candidate, asked, axes, _saying(status.update)).checked()
        except (Refused, WeightsError) as error:
            table.add_row(contract.network, name, "", "", "", f"cannot be built: {error}")
            return False
    for deviation in verdict.deviations:
        table.add_row(
            f"{contract.network} {deviation.output}",
            name,
            f"{deviation.median:.3g} {deviation.unit}",
            f"{deviation.p90:.3g} {deviation.unit}",
            f"{deviation.bound:g} {deviation.unit}",
            "good" if deviation.ok else "not used",
        )
    return verdict.ok


def _verdict_of(engine: Kept) -> str:
    if not engine.note:
        return ""
    verdict = Verdict.from_json(engine.note)
    worst = max(verdict.deviations, key=lambda deviation: deviation.median / deviation.bound, default=None)
    if worst is None:
        return "single precision"
    return f"{worst.median:.2g} of {worst.bound:g} {worst.unit}" if verdict.ok else f"not used: {worst.output}"


def _saying(update: Callable[[str], None]) -> Callable[[str], None]:
    return lambda text: update(text)


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in ("MB", "s") else "left")
    return table
