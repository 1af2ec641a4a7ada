"""smooth: the sliding window over time, and the revisions of every frame: provisional, refined, final.

A later revision replaces an earlier one. Provisional poses come from the newest frames the window holds, refined ones
look a quarter of a second ahead, final ones (replay) have the window centred on them. Each is placed in the world
(`pipeline.world`), and a dive that is over is told as an event.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from calibration.venue import Calibration
from engines.codecs import fitted
from engines.contracts import TEMPORAL_FRAME, TEMPORAL_LIVE, TEMPORAL_WINDOW, WINDOW
from engines.session import Session
from engines.skeleton import PELVIS, J
from engines.view import View
from flight.analysis import Told
from flight.report import DiveReport
from pipeline.config import Config, camera_of
from pipeline.messages import Event, EventKind, Hypotheses, Point3, PoseFrame, Revision, moment_of
from pipeline.stage import Host
from pipeline.window import Look, Measured, Window
from pipeline.world import World

Array = npt.NDArray[np.float32]

_FINAL_BLOCK: Final = 27
"""Final poses are read from one centred window in blocks of so many cells."""


@dataclass(slots=True)
class Held:
    """A frame whose later revisions are still to come."""

    message: Hypotheses
    cell: int
    decoded: Array | None
    view: View | None


class Smooth:
    """Turns hypotheses into poses in time, and tells what happens to the subject."""

    def __init__(
        self,
        config: Config,
        frame_session: Session,
        live_session: Session,
        window_session: Session | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        """`window_session` makes the final poses; without those it is not needed. `calibration`: where the camera is
        known."""
        self._settings = config.smooth
        self._world = World(config, calibration, "final" if config.smooth.final else "refined")
        self._sessions = (frame_session, live_session, window_session)
        self._window: Window | None = None
        self._recent: deque[Held] = deque(maxlen=3)
        self._to_refine: deque[Held] = deque()
        self._to_finish: deque[Held] = deque()
        self._subject = 0
        self._looks: deque[Look] = deque(maxlen=2)
        self._frames = 0
        self._last: Hypotheses | None = None
        self.note = live_session.device

    def step(self, message: Hypotheses) -> Iterable[PoseFrame | Event]:
        """The revisions that this frame makes possible, and events, in order."""
        yield from self._events(message)
        if self._window is None or self._began_again(message):
            yield from self._tail()
            self._window = Window(*self._sessions, message.rate_hz)
            self._world.forget()
            self._looks.clear()
        elif self._is_another(message):
            # First what is still owed of the former subject: the window cannot tell whose its frames are.
            yield from self._tail()
            self._window.forget()
            self._world.forget()
        self._take(message, self._window)
        self._look(self._window)
        yield from self._provisional()
        yield from self._refined(self._window, self._window.newest - self._settings.refined)
        yield from self._final(self._window, self._window.newest - self._settings.final_lookahead)
        yield from (_told(message, self._subject, told) for told in self._world.told())
        self._last = message

    def flush(self) -> Iterable[PoseFrame | Event]:
        """The window's tail: what is still to be refined and finished, then the end of the stream."""
        yield from self._tail()
        if self._last is not None:
            yield _event(self._last, "stream_ended", self._subject, f"{self._frames} frames")

    def _tail(self) -> Iterator[PoseFrame | Event]:
        if self._window is not None:
            yield from self._refined(self._window, self._window.newest)
            yield from self._final(self._window, self._window.newest)
        if self._last is not None:
            yield from (_told(self._last, self._subject, told) for told in self._world.told(ended=True))

    def _began_again(self, message: Hypotheses) -> bool:
        return self._last is not None and message.t_media_ns < self._last.t_media_ns

    def _is_another(self, message: Hypotheses) -> bool:
        return self._last is not None and message.subject != self._last.subject and message.subject > 0

    def _events(self, message: Hypotheses) -> Iterator[Event]:
        if self._last is None:
            yield _event(message, "stream_started", 0, f"{message.width}x{message.height} {message.rate_hz:.2f} Hz")
        elif self._began_again(message):
            yield _event(message, "stream_restarted", self._subject, "the source began again")
        subject = message.subject if message.state != "none" else 0
        if subject != self._subject:
            if self._subject:
                yield _event(message, "subject_lost", self._subject)
            if subject:
                yield _event(message, "subject_acquired", subject)
        self._subject = subject

    def _take(self, message: Hypotheses, window: Window) -> None:
        decoded = _mean(message)
        view = self._world.view_of(message)
        held = Held(message, window.push(message.t_media_ns, self._measured(message, decoded, view)), decoded, view)
        self._frames += 1
        self._recent.append(held)
        self._to_refine.append(held)
        if self._settings.final:
            self._to_finish.append(held)

    def _measured(self, message: Hypotheses, decoded: Array | None, view: View | None) -> Measured | None:
        if view is None:
            return None
        missing = np.asarray(message.joints_conf, np.float32) < self._settings.min_confidence
        fused = None if decoded is None else view.view_from_cam(decoded - decoded[PELVIS])
        return Measured(view.keypoints(message.joints_img_px), missing.astype(np.float32), view.box, fused)

    def _look(self, window: Window) -> None:
        """A look at the window; provisional and refined poses are both read from it."""
        if self._frames % self._settings.every == 0:
            self._looks.append(Look(window, window.newest, self._settings.provisional))

    def _provisional(self) -> Iterator[PoseFrame]:
        behind = self._settings.provisional
        if len(self._recent) > behind:
            frame = self._recent[-1 - behind]
            yield self._publish(frame, "provisional", behind, self._read(frame))

    def _refined(self, window: Window, until: int) -> Iterator[PoseFrame]:
        while self._to_refine and self._to_refine[0].cell <= until:
            frame = self._to_refine.popleft()
            yield self._publish(frame, "refined", self._settings.refined, self._read(frame))

    def _final(self, window: Window, until: int) -> Iterator[PoseFrame]:
        """Whole blocks as soon as their window is complete, the rest when `until` is the newest cell."""
        flushing = until == window.newest
        while self._to_finish and (flushing or self._to_finish[0].cell + _FINAL_BLOCK <= until):
            first = self._to_finish[0].cell
            centre = first + _FINAL_BLOCK // 2
            end = min(window.newest, centre + self._settings.final_lookahead)
            poses = window.poses(end, end - centre)
            while self._to_finish and self._to_finish[0].cell < first + _FINAL_BLOCK:
                frame = self._to_finish.popleft()
                pose = frame.decoded
                if poses is not None and frame.view is not None:
                    pose = frame.view.cam_from_view(fitted(poses, WINDOW - 1 + frame.cell - end))
                lookahead = min(self._settings.final_lookahead, window.newest - frame.cell)
                yield self._publish(frame, "final", lookahead, pose)

    def _read(self, frame: Held) -> Array | None:
        """The frame's pose by the last look that reaches it: behind a gap, by the one before the gap."""
        if frame.view is None:
            return None
        pose = next((look.pose(frame.cell) for look in reversed(self._looks) if look.reaches(frame.cell)), None)
        return frame.decoded if pose is None else frame.view.cam_from_view(pose)

    def _publish(self, frame: Held, revision: Revision, lookahead: int, pose: Array | None) -> PoseFrame:
        message = frame.message
        tracked = bool(message.joints_img_px) and pose is not None
        return PoseFrame(
            **moment_of(message),
            width=message.width,
            height=message.height,
            rate_hz=message.rate_hz,
            revision=revision,
            lookahead=lookahead,
            subject=message.subject,
            tracked=tracked,
            presence=message.presence,
            box_img_px=message.box_img_px,
            joints_img_px=message.joints_img_px,
            joints_conf=message.joints_conf,
            joints_root_m=_points(pose) if tracked and pose is not None else (),
            joints_sd_m=_spread(message),
            **self._world.fields(message, pose if tracked else None, revision),
        )


class SmoothStreams:
    """A `Smooth` for each stream, made when its first frame comes, around the same networks."""

    batch = 1

    def __init__(self, smooth: Callable[[str], Smooth], note: str) -> None:
        self._make = smooth
        self._streams: dict[str, Smooth] = {}
        self.note = note

    def step(self, messages: Sequence[Hypotheses]) -> Iterable[PoseFrame | Event]:
        """The revisions that these frames make possible, and events, in order for each stream."""
        for message in messages:
            if message.stream not in self._streams:
                self._streams[message.stream] = self._make(message.stream)
            yield from self._streams[message.stream].step(message)

    def flush(self, stream: str) -> Iterable[PoseFrame | Event]:
        """The tail of the stream's window; nothing of a stream that had no frame."""
        smooth = self._streams.pop(stream, None)
        return () if smooth is None else smooth.flush()


def _event(message: Hypotheses, kind: EventKind, subject: int, detail: str = "") -> Event:
    return Event(
        **moment_of(message),
        kind=kind,
        subject=subject,
        detail=detail,
    )


def _told(message: Hypotheses, subject: int, told: Told) -> Event:
    """What a dive or a jump was, at the frame by which it was known."""
    if isinstance(told.report, DiveReport):
        code = told.report.numbers[0].code if told.report.numbers else "a dive"
        return Event(**moment_of(message), kind="dive", subject=subject, detail=code, dive=told.report)
    detail = f"{told.report.flight_time_s.value:.2f} s"
    return Event(**moment_of(message), kind="jump", subject=subject, detail=detail, jump=told.report)


def _hypotheses(message: Hypotheses) -> Array | None:
    if message.joints_root_m is None or message.count == 0:
        return None
    return np.frombuffer(message.joints_root_m, "<f4").reshape(message.count, J, 3)


def _mean(message: Hypotheses) -> Array | None:
    hypotheses = _hypotheses(message)
    return None if hypotheses is None else hypotheses.mean(axis=0)


def _spread(message: Hypotheses) -> tuple[float, ...]:
    """Per joint the standard deviation over the hypotheses, sqrt(tr S / 3); nothing to say from a single one."""
    hypotheses = _hypotheses(message)
    if hypotheses is None or len(hypotheses) < 2:
        return ()
    return tuple(float(value) for value in np.sqrt(hypotheses.var(axis=0, ddof=1).mean(axis=-1)))


def _points(pose: Array) -> tuple[Point3, ...]:
    return tuple((x, y, z) for x, y, z in (pose - pose[PELVIS]).tolist())


def build(host: Host) -> SmoothStreams:
    """The stage on this host."""
    frame, live = (host.session(contract) for contract in (TEMPORAL_FRAME, TEMPORAL_LIVE))
    window = host.session(TEMPORAL_WINDOW) if host.config.smooth.final else None
    config = host.config

    def smooth(stream: str) -> Smooth:
        return Smooth(config, frame, live, window, camera_of(config, stream))

    return SmoothStreams(smooth, live.device)
