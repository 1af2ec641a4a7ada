"""`posecast top`: the table of the stages' health of a run that was started elsewhere."""

import threading

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from pipeline.messages import Health
from pipeline.report import health_table
from pipeline.subscribe import Subscription, full_address
from pipeline.topology import STAGES

_QUIET_ROUNDS = 30
"""Polls without a heartbeat, of a tenth of a second, after which the table is no longer called current."""


def watch(endpoint: str, console: Console, stop: threading.Event | None = None) -> int:
    """Show the table until Ctrl-C or `stop`; the exit code. Raises EndpointError and SchemaError."""
    stop = stop or threading.Event()
    known: dict[tuple[str, str], Health] = {}
    address = full_address(endpoint)
    quiet = 0
    try:
        with (
            Subscription(endpoint, ("health/",), stop=stop, until_ended=False) as subscription,
            Live(_shown(address, known, quiet), console=console, refresh_per_second=4) as live,
        ):
            while not stop.is_set():
                health = subscription.receive()
                quiet = 0 if health is not None else quiet + 1
                if isinstance(health, Health):
                    known[health.stage, health.stream] = health
                live.update(_shown(address, known, quiet))
    except KeyboardInterrupt:
        pass
    return 0


def _shown(address: str, known: dict[tuple[str, str], Health], quiet: int) -> Group:
    rows = {_name(of, known): health for of, health in sorted(known.items(), key=lambda item: _place(item[0]))}
    line = "no heartbeat; waiting, Ctrl-C ends" if not known or quiet > _QUIET_ROUNDS else "Ctrl-C ends"
    return Group(Text(f"{address}  {line}", style="dim"), health_table(list(rows), rows))


def _name(of: tuple[str, str], known: dict[tuple[str, str], Health]) -> str:
    """As the run calls it: with its stream where there are several."""
    stage, stream = of
    return f"{stage}.{stream}" if sum(other == stage for other, _ in known) > 1 else stage


def _place(of: tuple[str, str]) -> tuple[int, str, str]:
    """In the order of the table; edges last."""
    names = [row.name for row in STAGES]
    return (names.index(of[0]) if of[0] in names else len(names), *of)
