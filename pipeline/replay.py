"""`posecast replay`: recorded videos through the whole pipeline, one folder of results each."""

import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from calibration.errors import CalibrationError
from pipeline.address import masked
from pipeline.config import Config, views_of
from pipeline.edges.dives import told_again, write_dives
from pipeline.edges.overlay import write_overlay
from pipeline.edges.plot import write_plot
from pipeline.edges.poses import Poses
from pipeline.edges.record import Recorder
from pipeline.edges.truth import Truth, truth_beside
from pipeline.edges.versions import made_with
from pipeline.errors import OutputError, PosecastError, SourceError
from pipeline.live import finished
from pipeline.messages import Event, Health, Hello, PoseFrame, Revision
from pipeline.recordings.reader import SUFFIX
from pipeline.recordings.replay import replay_recording
from pipeline.report import demo_table, dive_lines, next_command, starting_note, written_files
from pipeline.run_dir import new_run_dir
from pipeline.sources import open_source
from pipeline.subscribe import Subscription
from pipeline.supervisor import Outcome, Supervisor

SAMPLE: Final = Path(__file__).resolve().parent.parent / "samples" / "dive.mp4"
_READY_S: Final = 10.0
_DRAIN_S: Final = 5.0


def replay_all(
    config: Config, files: list[str], out: Path, overlay: bool, plot: bool, console: Console, errors: Console
) -> int:
    """Replay every file; the highest exit code. A file that fails does not keep the others from running."""
    worst = 0
    for file, folder in _folders(files, out).items():
        try:
            if Path(file).suffix == SUFFIX:
                worst = max(worst, replay_recording(Path(file), folder, overlay, plot, console))
            else:
                worst = max(worst, replay(config, file, folder, overlay, plot, console, errors))
        except (PosecastError, CalibrationError) as error:
            errors.print(f"posecast: {error}", style="red", soft_wrap=True, markup=False)
            worst = max(worst, getattr(error, "exit_code", 2))
    return worst


def demo(config: Config, out: Path, console: Console, errors: Console) -> int:
    """Replay the shipped sample dive and say what to type next."""
    if not SAMPLE.is_file():
        raise SourceError(f"{SAMPLE}: the sample dive is missing; run from a checkout of the project")
    code = replay_all(config, [str(SAMPLE)], out, True, True, console, errors)
    if code == 0:
        console.print(next_command(sys.argv[0]))
    return code


def _folders(files: list[str], out: Path) -> dict[str, Path]:
    """A folder for each file, named after it; files of the same name get a number."""
    folders: dict[str, Path] = {}
    taken: set[str] = set()
    for file in dict.fromkeys(files):
        stem = Path(masked(file)).stem or "source"
        name, number = stem, 2
        while name in taken:
            name, number = f"{stem}-{number}", number + 1
        taken.add(name)
        folders[file] = out if len(files) == 1 else out / name
    return folders


def replay(
    config: Config, file: str, folder: Path, overlay: bool, plot: bool, console: Console, errors: Console
) -> int:
    """Replay one file into `folder`; its exit code. Raises SourceError and OutputError."""
    frames = _examined(file, config)
    truth_path = truth_beside(Path(file))
    truth = None if truth_path is None else Truth.read(truth_path)
    with _progress(console) as progress:
        task = progress.add_task(f"poses    {_name(file)}", total=frames)
        recording = Recording(config, file, folder, progress, task)
        outcome = recording.run()
        if outcome.exit_code or outcome.stopped:
            recording.recorder.abort()
            return finished(outcome, errors) or 130
        progress.update(task, total=recording.frames_in, completed=recording.frames_in)
        summary = recording.recorder.close(
            frames_in=recording.frames_in,
            health=outcome.health,
            truth=truth,
            wall_s=recording.wall_s,
            made_with=made_with(config.engines.weights),
        )
        poses = Poses.read(folder / "poses.npz")
        told = told_again(poses, recording.recorder.reports, config, config.stream)
        dives = write_dives(told, folder, _name(file))
        if overlay:
            drawing = progress.add_task(f"overlay  {_name(file)}", total=recording.frames_in)
            write_overlay(file, poses, folder / "overlay.mp4", lambda done: progress.update(drawing, completed=done))
        if plot:
            write_plot(poses, folder / "plot.png", truth)
    console.print(demo_table(summary))
    for line in dive_lines(recording.recorder.reports, dives):
        console.print(line)
    console.print(written_files(folder))
    return finished(outcome, errors)


def _name(file: str) -> str:
    """What a recording is called in the results."""
    return Path(masked(file)).name


def _examined(file: str, config: Config) -> int | None:
    """Open the source once before anything is started; its number of pictures if known."""
    source = open_source(file, config)
    try:
        if source.info.live:
            raise SourceError(f"{source.info.name}: a live source has no end; posecast run takes it")
        # A camera file that is none, or of another camera, is told before anything is started too.
        views_of(config, config.stream).camera(source.info.width, source.info.height)
        return source.info.frames
    finally:
        source.close()


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


@dataclass
class Recording:
    """One run with a recorder listening from before the first picture to after the last message."""

    config: Config
    file: str
    folder: Path
    progress: Progress
    task: TaskID
    frames_in: int = 0
    wall_s: float = 0.0
    recorder: Recorder = field(init=False)
    _failure: list[Exception] = field(default_factory=list)

    def run(self) -> Outcome:
        """Run to the end and record. Raises OutputError if a result could not be written."""
        expected: Revision = "final" if self.config.smooth.final else "refined"
        self.recorder = Recorder(self.folder, source=_name(self.file), expected=expected)
        run_dir = new_run_dir()  # from here on the supervisor sees to it that the folder goes again
        endpoint = f"ipc://{run_dir}/poses.sock"
        publish = msgspec.structs.replace(self.config.publish, endpoint=endpoint)
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._supervisor = Supervisor(
            msgspec.structs.replace(self.config, publish=publish),
            self.file,
            on_health=self._count,
            before_capture=self._listen,
            run_dir=run_dir,
        )
        self._thread = threading.Thread(target=self._record, args=(endpoint,), name="record")
        started = time.monotonic()
        try:
            outcome = self._supervisor.run()
        finally:
            self._finish()
        self.wall_s = time.monotonic() - started
        if self._failure:
            raise self._failure[0]
        return outcome

    def _listen(self) -> None:
        """Start recording and wait until the publisher has greeted."""
        self._thread.start()
        if not self._ready.wait(_READY_S):
            raise OutputError(f"{self.folder}: the recorder got no greeting from publish within {_READY_S:.0f} s")

    def _count(self, health: Health) -> None:
        if starting_note(health):
            self.progress.console.print(starting_note(health), style="dim", soft_wrap=True)
        if health.stage == "capture":
            self.frames_in = max(self.frames_in, health.sent)
        if self._failure:
            self._supervisor.stop()

    def _record(self, endpoint: str) -> None:
        try:
            with Subscription(endpoint, ("pose/", "event/"), stop=self._stop) as subscription:
                while not (subscription.ended or self._stop.is_set()):
                    self._take(subscription.receive())
        except Exception as error:
            self._failure.append(error)

    def _take(self, message: object) -> None:
        if isinstance(message, Hello):
            self._ready.set()
        elif isinstance(message, PoseFrame | Event):
            self.recorder.add(message)
            # A capture that was killed cannot say how much it had sent: its frames' numbers can.
            self.frames_in = max(self.frames_in, message.seq + 1)
            self.progress.update(self.task, completed=self.recorder.complete_frames)

    def _finish(self) -> None:
        if self._thread.is_alive():
            self._thread.join(_DRAIN_S)
            self._stop.set()
            self._thread.join()
