"""Recordings: every public message as it came, the best pose of every frame as columns, a summary."""

import contextlib
import json
import time
from array import array
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from flight.report import DiveReport, JumpReport
from pipeline.edges.output import finish, make_folder, part_of, refuse, whole_file
from pipeline.edges.poses import Best, Poses
from pipeline.edges.truth import Truth, video_errors
from pipeline.edges.versions import made_with as make_versions
from pipeline.messages import Event, Health, PoseFrame, Revision, encode


class Timing:
    """Times of provisional poses, from their stamps (monotonic clock of the host: only differences count)."""

    def __init__(self) -> None:
        self._stages: dict[str, array[float]] = {}
        self._latency = array("d")
        self._first_ns: int | None = None
        self._last_ns = 0

    def add(self, pose: PoseFrame) -> None:
        """Take the stamps of a pose; later revisions wait on purpose and say nothing of speed."""
        if not pose.stamps:
            return
        first, last = pose.stamps[0].t_in_ns, pose.stamps[-1].t_out_ns
        self._first_ns = first if self._first_ns is None else min(self._first_ns, first)
        self._last_ns = max(self._last_ns, last)
        if pose.revision != "provisional":
            return
        self._latency.append((last - first) / 1e6)
        for stamp in pose.stamps:
            self._stages.setdefault(stamp.stage, array("d")).append((stamp.t_out_ns - stamp.t_in_ns) / 1e6)

    @property
    def span_s(self) -> float:
        """From the first picture leaving the decoder to the last message handed on, seconds."""
        return 0.0 if self._first_ns is None else (self._last_ns - self._first_ns) / 1e9

    def stages_ms(self) -> dict[str, dict[str, float]]:
        """Per stage p50 and p99 of the time from taking a message to handing it on."""
        return {name: quantiles(times, (50, 99)) for name, times in self._stages.items()}

    def latency_ms(self) -> dict[str, float]:
        """Quantiles from the picture leaving the decoder to the provisional pose being published."""
        return quantiles(self._latency, (50, 95, 99))


def quantiles(times: "array[float]", percents: tuple[int, ...]) -> dict[str, float]:
    """Named percentiles, `p50` and so on, of `times` in milliseconds; empty without times."""
    if not times:
        return {}
    values = np.percentile(np.frombuffer(times), percents)
    return {f"p{percent}": round(float(value), 3) for percent, value in zip(percents, values, strict=True)}


class Recorder:
    """Writes a video's results: `poses.msgpack` while running; `poses.npz`, `summary.json` at the end.

    `poses.msgpack` holds every message added, in order, as concatenated msgpack maps. Until `close` it is
    called `poses.msgpack.part`, and it keeps that name if the run dies. `expected` is the revision that
    completes a frame. Raises OutputError from every method when the disk or the permissions refuse.
    """

    def __init__(self, folder: Path, *, source: str, expected: Revision = "final") -> None:
        make_folder(folder)
        self.folder = folder
        self._source = source
        self._expected = expected
        self._best = Best()
        self._timing = Timing()
        self._revisions: Counter[str] = Counter()
        self._events: Counter[str] = Counter()
        self._complete: set[int] = set()
        self.reports: list[DiveReport | JumpReport] = []
        """Of dives and jumps, in order."""
        self._started_s = time.monotonic()
        self._path = folder / "poses.msgpack"
        self._file = self._open()

    def _open(self) -> BinaryIO:
        for stale in ("poses.msgpack", "poses.npz", "summary.json"):
            (self.folder / stale).unlink(missing_ok=True)
        try:
            return part_of(self._path).open("wb")
        except OSError as error:
            raise refuse(self._path, error) from error

    @property
    def complete_frames(self) -> int:
        """Frames whose last expected revision has arrived."""
        return len(self._complete)

    def add(self, message: PoseFrame | Event) -> None:
        """Record a message."""
        try:
            self._file.write(encode(message))
        except OSError as error:
            raise refuse(self._path, error) from error
        if isinstance(message, Event):
            self._events[message.kind] += 1
            report = message.dive or message.jump
            self.reports += [] if report is None else [report]
            return
        self._best.add(message)
        self._timing.add(message)
        self._revisions[message.revision] += 1
        if message.revision == self._expected:
            self._complete.add(message.seq)

    def abort(self) -> None:
        """Stop writing; what came so far stays readable as `poses.msgpack.part`."""
        with contextlib.suppress(OSError):  # the reason is already on its way to the user
            self._file.close()

    def close(
        self,
        *,
        frames_in: int,
        health: Mapping[str, Health] | None = None,
        truth: Truth | None = None,
        wall_s: float | None = None,
        made_with: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Finish all files and return the summary.

        `frames_in` is what capture sent, `health` the last heartbeat of each stage, `wall_s` how long the
        whole run took (default: since this recorder was made), `made_with` the versions and weights it was made
        with (`made_with`; default: these versions and the shipped weights).
        """
        try:
            self._file.close()
        except OSError as error:
            raise refuse(self._path, error) from error
        finish(self._path)
        poses = self._best.poses()
        poses.write(self.folder / "poses.npz")
        summary = self._summary(frames_in, health or {}, poses)
        summary["wall_s"] = round(time.monotonic() - self._started_s if wall_s is None else wall_s, 3)
        if truth is not None:
            summary |= video_errors(poses, truth).as_summary()
        summary |= make_versions() if made_with is None else made_with
        with whole_file(self.folder / "summary.json") as part:
            part.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        return summary

    def _summary(self, frames_in: int, health: Mapping[str, Health], poses: Poses) -> dict[str, Any]:
        drops = {name: dict(beat.dropped) for name, beat in health.items() if beat.dropped}
        span_s = self._timing.span_s
        return {
            "source": self._source,
            "frames_in": frames_in,
            "frames_out": self.complete_frames,
            "expected_revision": self._expected,
            "drops": sum(sum(causes.values()) for causes in drops.values()),
            "drops_by_stage": drops,
            "fps": round(len(poses) / span_s, 2) if span_s > 0 else None,
            "stages_ms": self._timing.stages_ms(),
            "capture_to_publish_ms": self._timing.latency_ms(),
            "revisions": dict(self._revisions),
            "events": dict(self._events),
            "dives": [_in_short(report) for report in self.reports],
            "tracked_share": round(float(poses.tracked.mean()), 4) if len(poses) else 0.0,
            "rss_bytes": sum(beat.rss_bytes for beat in health.values()),
        }


def _in_short(report: DiveReport | JumpReport) -> dict[str, Any]:
    """A dive or a jump in a line of the summary."""
    flight_s = round(report.flight_time_s.value, 3)
    if isinstance(report, JumpReport):
        return {"take_off_s": round(report.take_off_s.value, 3), "flight_time_s": flight_s}
    best = report.numbers[0] if report.numbers else None
    return {
        "number": None if best is None else best.code,
        "probability": None if best is None else round(best.probability, 3),
        "take_off_s": round(report.take_off_s.value, 3),
        "flight_time_s": flight_s,
        "flags": [flag.key for flag in report.flags],
    }
