"""`posecast run`: the pipeline on one or several sources until they end, with a table of the stages' health."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live

from pipeline.config import Config, camera_of, edges_of
from pipeline.errors import ConfigError
from pipeline.log import JsonLog
from pipeline.messages import Health
from pipeline.recordings.folder import checked
from pipeline.report import health_table, source_line, starting_note
from pipeline.sources import open_source
from pipeline.stages.publish import check_endpoint
from pipeline.streams import Stream, named
from pipeline.supervisor import Outcome, Supervisor
from pipeline.topology import Layout
from pipeline.viewer import access


def run_live(
    config: Config,
    sources: Sequence[str],
    seconds: float,
    console: Console,
    errors: Console,
    log_json: bool = False,
) -> int:
    """Run until the sources end, a signal comes, or `seconds` have passed (0: no limit); the exit code."""
    streams = named(sources, config.stream)
    check_endpoint(config.publish.endpoint, config.publish.insecure)
    if config.record.wanted:
        checked(Path(config.record.folder))
    page = access.checked(config.view).url if config.view.wanted else ""
    _examine_video(config, streams)
    for stream in streams:
        camera_of(config, stream.name)  # a camera file that is none is told before anything is started
        if Path(stream.uri).suffix and "://" not in stream.uri:  # a file: say what is wrong before anything is started
            open_source(stream.uri, config).close()
    if log_json:
        log = JsonLog(console.file)
        log.write("publishing", endpoint=config.publish.endpoint, streams=[one.name for one in streams], view=page)
        return _watched(config, streams, seconds, log.health, lambda line: log.write("loss", reason=line), errors)

    def lost(line: str) -> None:
        _complain(errors, line)

    if page:
        console.print(f"watch it on {page}", soft_wrap=True)
    if not console.is_terminal:
        names = f" {', '.join(stream.name for stream in streams)}" if len(streams) > 1 else ""
        address = config.publish.endpoint
        console.print(f"publishing{names} on {address}; posecast subscribe {address}", soft_wrap=True)
        return _watched(config, streams, seconds, _Told(console).hear, lost, errors)
    layout = Layout([stream.name for stream in streams], config.processes)
    edges = [row.name for row in edges_of(config)]
    rows = [*(node.name for node in layout.nodes), *edges]
    known: dict[str, Health] = {}
    with Live(health_table(rows, known), console=console, refresh_per_second=4) as live:

        def show(health: Health) -> None:
            known[health.stage if health.stage in edges else layout.node(health.stage, health.stream).name] = health
            live.update(health_table(rows, known))

        return _watched(config, streams, seconds, show, lost, errors)


def _examine_video(config: Config, streams: Sequence[Stream]) -> None:
    """Refuse to record video where there will be none."""
    if not config.record.video:
        return
    if not config.record.wanted:
        raise ConfigError("--record-video: into which folder? say --record DIR, too")
    for stream in streams:
        if Path(stream.uri).is_dir():
            raise ConfigError(f"--record-video: {stream.uri} is a folder of images, which are no video; leave it out")


def _watched(
    config: Config,
    streams: Sequence[Stream],
    seconds: float,
    on_health: Callable[[Health], None],
    on_loss: Callable[[str], None],
    errors: Console,
) -> int:
    supervisor = Supervisor(config, streams, on_health, on_loss=on_loss)
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


class _Told:
    """What is said in lines where there is no terminal: what takes time at the start, and every change of a source."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._sources: dict[str, str] = {}

    def hear(self, health: Health) -> None:
        """A heartbeat."""
        if starting_note(health):
            self._console.print(starting_note(health), style="dim", soft_wrap=True)
        line = source_line(health)
        if line and self._sources.get(health.stream) != line:
            self._sources[health.stream] = line
            self._console.print(line, soft_wrap=True, markup=False, highlight=False)


def finished(outcome: Outcome, errors: Console) -> int:
    """Say in one line why a run failed; its exit code."""
    if outcome.error:
        _complain(errors, outcome.error)
    for name, count in outcome.restarts.items():
        if count:
            errors.print(f"posecast: {name} was restarted {count} times", style="yellow", soft_wrap=True)
    return outcome.exit_code


def _complain(errors: Console, line: str) -> None:
    errors.print(f"posecast: {line}", style="red", soft_wrap=True, markup=False)
