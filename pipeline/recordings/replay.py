"""A recording taken through what follows the poses: the same folder of results as the replay of a video."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console

from pipeline.config import Config
from pipeline.edges.dives import told_again, write_dives
from pipeline.edges.overlay import draw_overlay
from pipeline.edges.plot import write_plot
from pipeline.edges.poses import Poses
from pipeline.edges.record import Recorder
from pipeline.errors import SourceError
from pipeline.messages import Event, Health, PoseFrame, Revision
from pipeline.recordings.reader import Recording
from pipeline.recordings.video import pictures_of
from pipeline.report import demo_table, dive_lines, written_files
from pipeline.topology import STAGES


class Results:
    """The results of one stream of a recording."""

    def __init__(self, recording: Recording, stream: str, folder: Path) -> None:
        final = recording.about.settings.smooth.final
        expected: Revision = "final" if final else "refined"
        self.stream = stream
        self.folder = folder
        self.recorder = Recorder(folder, source=f"{recording.path.name}, {stream}", expected=expected)
        self._recording = recording
        self._seqs: set[int] = set()
        self._health: dict[str, Health] = {}
        self._video = False

    def saw(self, topic: str) -> None:
        """Learn from its topic what else there is."""
        self._video = self._video or topic == f"video/{self.stream}"

    def add(self, message: object) -> None:
        """Take a message of the recording; those of other streams are none of its business."""
        match message:
            case PoseFrame() | Event() if message.stream == self.stream:
                self.recorder.add(message)
                if isinstance(message, PoseFrame):
                    self._seqs.add(message.seq)
            case Health() if message.stream in ("", self.stream) and message.stage in {row.name for row in STAGES}:
                # What an edge missed is missing there, not in the poses.
                dropped = {cause: n for cause, n in message.dropped.items() if not cause.startswith("edge_")}
                self._health[message.stage] = msgspec.structs.replace(message, dropped=dropped)

    def write(self, config: Config, seconds: float, overlay: bool, plot: bool, console: Console) -> None:
        """Finish the files and say what is in them. Raises OutputError."""
        about = self._recording.about
        summary = self.recorder.close(
            frames_in=max(self._seqs) - min(self._seqs) + 1 if self._seqs else 0,
            health=self._health,
            wall_s=seconds,
            made_with={"versions": about.versions, "weights_sha256": about.weights_sha256},
        )
        poses = Poses.read(self.folder / "poses.npz")
        told = told_again(poses, self.recorder.reports, config, self.stream)
        dives = write_dives(told, self.folder, self._recording.path.name)
        if overlay and self._video:
            draw_overlay(pictures_of(self._recording, self.stream), poses, self.folder / "overlay.mp4")
        if plot:
            write_plot(poses, self.folder / "plot.png")
        console.print(demo_table(summary))
        for line in dive_lines(self.recorder.reports, dives):
            console.print(line)
        console.print(written_files(self.folder))


def replay_recording(path: Path, folder: Path, overlay: bool, plot: bool, console: Console) -> int:
    """Write the results of a recording into `folder`, of several streams into a folder each; the exit code.

    An overlay needs the video to have been recorded. Raises SourceError and OutputError.
    """
    recording = Recording(path)
    streams = list(recording.about.sources)
    results = [Results(recording, stream, folder / stream if len(streams) > 1 else folder) for stream in streams]
    first = last = None
    poses = 0
    for recorded in recording.messages():
        first, last = first or recorded.t_unix_ns, recorded.t_unix_ns
        message = recording.decoded(recorded)
        poses += isinstance(message, PoseFrame)
        for result in results:
            result.saw(recorded.topic) if message is None else result.add(message)
    if not poses:
        for result in results:
            result.recorder.abort()
        raise SourceError(f"{path}: not one pose was recorded")
    if not recording.whole:
        console.print(f"{path.name}: cut off; what was recorded before is shown", style="yellow", soft_wrap=True)
    with _with_cameras(recording) as config:
        for result in results:
            result.write(config, ((last or 0) - (first or 0)) * 1e-9, overlay, plot, console)
    return 0


@contextmanager
def _with_cameras(recording: Recording) -> Iterator[Config]:
    """The settings of the recorded run, with the camera files that were recorded with it."""
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for stream, data in recording.about.cameras.items():
            file = Path(folder) / f"{stream}.toml"
            file.write_bytes(data)
            files[stream] = str(file)
        settings = recording.about.settings
        yield msgspec.structs.replace(settings, camera=msgspec.structs.replace(settings.camera, file="", files=files))
