"""What a run measures of itself, for Prometheus: from heartbeats, from the stamps on poses, and from events."""

import time
from collections import Counter as Count
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pipeline.messages import Event, Health, PoseFrame, Public
from pipeline.viewer.state import Hearts

_BUCKETS_S: Final = (0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0)
_RATE_OVER_S: Final = 5.0
_OF: Final = ("stage", "stream")


class Gauges:
    """Filled by the edge's thread, read by the server's."""

    def __init__(self, streams: Sequence[str], stages: Sequence[str]) -> None:
        self.registry = CollectorRegistry()
        self.hearts = Hearts(streams, stages)
        self._arrivals: dict[str, deque[float]] = {name: deque() for name in streams}
        self._poses = self._counter("posecast_poses", "Poses published.", "stream", "revision")
        self._untracked = self._counter("posecast_frames_without_subject", "Frames in which nobody was.", "stream")
        self._events = self._counter("posecast_events", "Events published.", "stream", "kind")
        self._stages = self._histogram("posecast_stage_seconds", "Time a frame spends in a stage.", *_OF)
        self._queues = self._histogram("posecast_queue_seconds", "Time a frame waits before a stage.", *_OF)
        self._ages = self._histogram(
            "posecast_pose_age_seconds", "From the decoded picture to the published pose.", "stream", "revision"
        )
        self.registry.register(_Beats(self.hearts, self.rates_hz))

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=_BUCKETS_S, registry=self.registry)

    def take(self, message: Public) -> None:
        """Count a message."""
        match message:
            case PoseFrame():
                self._pose(message)
            case Event():
                self._events.labels(message.stream, message.kind).inc()
            case Health():
                self.hearts.take(message)

    def _pose(self, pose: PoseFrame) -> None:
        self._poses.labels(pose.stream, pose.revision).inc()
        age_s = (time.time_ns() - pose.t_capture_ns) / 1e9
        self._ages.labels(pose.stream, pose.revision).observe(max(0.0, age_s))
        if pose.revision != "provisional":
            return  # its stamp of smooth tells how long it waited for later frames, on purpose
        self._arrivals.setdefault(pose.stream, deque()).append(time.monotonic())
        self._forget_old(pose.stream)
        if not pose.tracked:
            self._untracked.labels(pose.stream).inc()
        handed_on = None
        for stamp in pose.stamps:
            self._stages.labels(stamp.stage, pose.stream).observe((stamp.t_out_ns - stamp.t_in_ns) / 1e9)
            if handed_on is not None:
                self._queues.labels(stamp.stage, pose.stream).observe(max(0.0, (stamp.t_in_ns - handed_on) / 1e9))
            handed_on = stamp.t_out_ns

    def _forget_old(self, stream: str) -> None:
        arrivals = self._arrivals[stream]
        while arrivals and arrivals[0] < time.monotonic() - _RATE_OVER_S:
            arrivals.popleft()

    def rates_hz(self) -> dict[str, float]:
        """Frames with a pose a second, of each stream, over the last seconds."""
        since = time.monotonic() - _RATE_OVER_S
        return {
            stream: sum(at >= since for at in tuple(arrivals)) / _RATE_OVER_S
            for stream, arrivals in self._arrivals.items()
        }

    def text(self, watching: int, dropped: Count[str]) -> bytes:
        """All of it in Prometheus' text format, with what the server itself has to tell."""
        viewers = CollectorRegistry()
        viewers.register(_Watching(watching, dropped))
        return generate_latest(self.registry) + generate_latest(viewers)


class _Beats(Collector):
    """What heartbeats tell: they count since the start of the run, so their numbers are taken as they are."""

    def __init__(self, hearts: Hearts, rates_hz: Callable[[], dict[str, float]]) -> None:
        self._hearts = hearts
        self._rates_hz = rates_hz

    def collect(self) -> Iterator[Metric]:
        yield _gauge("posecast_pose_rate_hz", "Frames with a pose a second.", ["stream"], self._rates_hz())
        last = dict(self._hearts.last)
        for name, text, value in _COUNTED:
            family = CounterMetricFamily(name, text, labels=_OF)
            for of, beat in last.items():
                family.add_metric(of, value(beat))
            yield family
        for name, text, value in _SHOWN:
            yield _gauge(name, text, _OF, {of: value(beat) for of, beat in last.items()})
        yield _gauge("posecast_stage_up", "1: it runs and its heart beats.", _OF, self._hearts.up())
        restarts = CounterMetricFamily("posecast_stage_restarts", "How often it was started again.", labels=_OF)
        for of, count in dict(self._hearts.restarts).items():
            restarts.add_metric(of, count)
        yield restarts
        yield from _by_cause(last)
        yield from _sources(last)


def _gauge(name: str, text: str, labels: Sequence[str], values: dict[Any, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for of, value in values.items():
        family.add_metric([of] if isinstance(of, str) else of, value)
    return family


_Value = Callable[[Health], float]
_COUNTED: Final[tuple[tuple[str, str, _Value], ...]] = (
    ("posecast_stage_received", "Messages taken.", lambda beat: beat.received),
    ("posecast_stage_sent", "Messages handed on; of capture, frames of the source.", lambda beat: beat.sent),
    ("posecast_stage_cpu_seconds", "Processor time of its process.", lambda beat: beat.cpu_ms / 1000),
)
_SHOWN: Final[tuple[tuple[str, str, _Value], ...]] = (
    ("posecast_stage_step_p50_seconds", "Median of its computations, lately.", lambda beat: beat.step.p50_ms / 1000),
    ("posecast_stage_step_p99_seconds", "99 of 100 computations, lately.", lambda beat: beat.step.p99_ms / 1000),
    ("posecast_stage_resident_bytes", "Memory of its process.", lambda beat: beat.rss_bytes),
)


def _by_cause(last: dict[tuple[str, str], Health]) -> Iterator[Metric]:
    dropped = CounterMetricFamily("posecast_stage_dropped", "Messages dropped.", labels=(*_OF, "cause"))
    engine = GaugeMetricFamily("posecast_engine_info", "What a stage runs on.", labels=(*_OF, "engine"))
    for of, beat in last.items():
        for cause, count in beat.dropped.items():
            dropped.add_metric((*of, cause), count)
        if beat.note and of[0] in ("track", "encode", "decode", "smooth"):
            engine.add_metric((*of, beat.note), 1)
    yield dropped
    yield engine


_SOURCE_COUNTS: Final = ("attempts", "reconnects", "stalls", "damaged", "missing", "jumps")
_SOURCE_GAUGES: Final = ("drift_ppm", "jitter_ms", "clock_ahead_ms")


def _sources(last: dict[tuple[str, str], Health]) -> Iterator[Metric]:
    """How live sources are, where capture's heartbeat tells it."""
    sources = {of[1]: source for of, beat in last.items() if (source := beat.source) is not None}
    state = GaugeMetricFamily("posecast_source_state", "1 for the state it is in.", labels=("stream", "state"))
    for stream, source in sources.items():
        state.add_metric((stream, source.state), 1)
    yield state
    for name in _SOURCE_COUNTS:
        family = CounterMetricFamily(f"posecast_source_{name}", f"Since the start: {name}.", labels=["stream"])
        for stream, source in sources.items():
            family.add_metric([stream], getattr(source, name))
        yield family
    for name in _SOURCE_GAUGES:
        known = {stream: value for stream, source in sources.items() if (value := getattr(source, name)) is not None}
        yield _gauge(f"posecast_source_{name}", f"Clock of the source: {name}.", ["stream"], known)


class _Watching(Collector):
    def __init__(self, watching: int, dropped: Count[str]) -> None:
        self._watching = watching
        self._dropped = dropped

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("posecast_view_browsers", "Browsers that look.", value=self._watching)
        dropped = CounterMetricFamily("posecast_view_dropped", "What slow browsers did not get.", labels=["cause"])
        for cause, count in self._dropped.items():
            dropped.add_metric([cause], count)
        yield dropped
