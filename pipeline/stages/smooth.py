"""smooth: the sliding window over time, and the revisions of every frame: provisional, refined, final.

A later revision replaces an earlier one. Provisional poses come from the newest frames the window holds, refined ones
look a quarter of a second ahead, final ones (replay) have the window centred on them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from calibration.camera import Camera
from calibration.root import root_from_joints
from engines.codecs import Crop, box_token, fitted, normalised_keypoints
from engines.contracts import TEMPORAL_FRAME, TEMPORAL_LIVE, TEMPORAL_WINDOW, WINDOW
from engines.session import Session
from engines.skeleton import PELVIS, J
from pipeline.config import Config
from pipeline.messages import Event, EventKind, Hypotheses, Point3, PoseFrame, Revision, moment_of
from pipeline.stage import Host
from pipeline.window import Look, Measured, Window

Array = npt.NDArray[np.float32]

_FINAL_BLOCK: Final = 27
"""Final poses are read from one centred window in blocks of so many cells."""


@dataclass(slots=True)
class Held:
    """A frame whose later revisions are still to come."""

    message: Hypotheses
    cell: int
    decoded: Array | None


class Smooth:
    """Turns hypotheses into poses in time, and tells what happens to the subject."""

    def __init__(
        self, config: Config, frame_session: Session, live_session: Session, window_session: Session | None = None
    ) -> None:
        """`window_session` makes the final poses; without those it is not needed."""
        self._settings = config.smooth
        self._fov_deg = config.camera.vertical_fov_deg
        self._camera: Camera | None = None
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
            self._looks.clear()
        elif self._is_another(message):
            # First what is still owed of the former subject: the window cannot tell whose its frames are.
            yield from self._tail()
            self._window.forget()
        self._take(message, self._window)
        self._look(self._window)
        yield from self._provisional()
        yield from self._refined(self._window, self._window.newest - self._settings.refined)
        yield from self._final(self._window, self._window.newest - self._settings.final_lookahead)
        self._last = message

    def flush(self) -> Iterable[PoseFrame | Event]:
        """The window's tail: what is still to be refined and finished, then the end of the stream."""
        yield from self._tail()
        if self._last is not None:
            yield _event(self._last, "stream_ended", self._subject, f"{self._frames} frames")

    def _tail(self) -> Iterator[PoseFrame]:
        if self._window is not None:
            yield from self._refined(self._window, self._window.newest)
            yield from self._final(self._window, self._window.newest)

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
        held = Held(message, window.push(message.t_media_ns, self._measured(message, decoded)), decoded)
        self._frames += 1
        self._recent.append(held)
        self._to_refine.append(held)
        if self._settings.final:
            self._to_finish.append(held)

    def _measured(self, message: Hypotheses, decoded: Array | None) -> Measured | None:
        if not message.joints_img_px or message.crop_img_px is None:
            return None
        u, v, height_px = message.crop_img_px
        crop = Crop((u, v), height_px)
        missing = np.asarray(message.joints_conf, np.float32) < self._settings.min_confidence
        camera = self._camera_of(message)
        keypoints = normalised_keypoints(message.joints_img_px, crop)
        fused = None if decoded is None else decoded - decoded[PELVIS]
        return Measured(keypoints, missing.astype(np.float32), box_token(crop, camera), fused)

    def _camera_of(self, message: Hypotheses) -> Camera:
        if self._camera is None or (self._camera.width, self._camera.height) != (message.width, message.height):
            self._camera = Camera.guessed(message.width, message.height, self._fov_deg)
        return self._camera

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
                pose = frame.decoded if poses is None else fitted(poses, WINDOW - 1 + frame.cell - end)
                yield self._publish(
                    frame, "final", min(self._settings.final_lookahead, window.newest - frame.cell), pose
                )

    def _read(self, frame: Held) -> Array | None:
        """The frame's pose by the last look that reaches it: behind a gap, by the one before the gap."""
        if not frame.message.joints_img_px:
            return None
        pose = next((look.pose(frame.cell) for look in reversed(self._looks) if look.reaches(frame.cell)), None)
        return frame.decoded if pose is None else pose

    def _publish(self, frame: Held, revision: Revision, lookahead: int, pose: Array | None) -> PoseFrame:
        message = frame.message
        tracked = bool(message.joints_img_px) and pose is not None
        camera = self._camera_of(message)
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
            root_cam_m=_root(message, pose, camera) if tracked and pose is not None else None,
            focal_px=camera.focal_px,
            metric="estimated" if tracked else "none",
        )


class SmoothStreams:
    """A `Smooth` for each stream, made when its first frame comes, around the same networks."""

    batch = 1

    def __init__(self, smooth: Callable[[], Smooth], note: str) -> None:
        self._make = smooth
        self._streams: dict[str, Smooth] = {}
        self.note = note

    def step(self, messages: Sequence[Hypotheses]) -> Iterable[PoseFrame | Event]:
        """The revisions that these frames make possible, and events, in order for each stream."""
        for message in messages:
            if message.stream not in self._streams:
                self._streams[message.stream] = self._make()
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


def _root(message: Hypotheses, pose: Array, camera: Camera) -> Point3 | None:
    root = root_from_joints(pose - pose[PELVIS], message.joints_img_px, message.joints_conf, camera)
    return None if root is None else (float(root.root_cam_m[0]), float(root.root_cam_m[1]), float(root.root_cam_m[2]))


def _points(pose: Array) -> tuple[Point3, ...]:
    return tuple((x, y, z) for x, y, z in (pose - pose[PELVIS]).tolist())


def build(host: Host) -> SmoothStreams:
    """The stage on this host."""
    frame, live = (host.session(contract) for contract in (TEMPORAL_FRAME, TEMPORAL_LIVE))
    window = host.session(TEMPORAL_WINDOW) if host.config.smooth.final else None
    return SmoothStreams(lambda: Smooth(host.config, frame, live, window), live.device)
