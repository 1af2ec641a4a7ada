"""`posecast run`: the pipeline on a source until it ends, with a table of the stages' health."""

import threading
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.live import Live

from pipeline.config import Config
from pipeline.messages import Health
from pipeline.report import health_table
from pipeline.sources import open_source
from pipeline.stages.publish import check_endpoint
from pipeline.supervisor import Outcome, Supervisor


def run_live(config: Config, uri: str, seconds: float, console: Console, errors: Console) -> int:
    """Run until the source ends, a signal comes, or `seconds` have passed (0: no limit); the exit code."""
    check_endpoint(config.publish.endpoint, config.publish.insecure)
    if Path(uri).suffix and "://" not in uri:  # a file: say what is wrong with it before anything is started
        open_source(uri, config).close()
    if not console.is_terminal:
        console.print(f"publishing on {config.publish.endpoint}; posecast subscribe {config.publish.endpoint}")
        return _watched(config, uri, seconds, lambda health: None, errors)
    known: dict[str, Health] = {}
    with Live(health_table(known), console=console, refresh_per_second=4) as live:

        def show(health: Health) -> None:
            known[health.stage] = health
            live.update(health_table(known))

        return _watched(config, uri, seconds, show, errors)


def _watched(config: Config, uri: str, seconds: float, on_health: Callable[[Health], None], errors: Console) -> int:
    supervisor = Supervisor(config, uri, on_health)
    timer = threading.Timer(seconds, supervisor.stop) if seconds > 0 else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        outcome = supervisor.run()
    finally:
        if timer is not None:
            timer.cancel()
    return finished(outcome, errors)


def finished(outcome: Outcome, errors: Console) -> int:
    """Say in one line why a run failed; its exit code."""
    if outcome.error:
        errors.print(f"posecast: {outcome.error}", style="red", soft_wrap=True, markup=False)
    for name, count in outcome.restarts.items():
        if count:
            errors.print(f"posecast: {name} was restarted {count} times", style="yellow", soft_wrap=True)
    return outcome.exit_code
