"""track: where the subject is. The spatial transformer looks, a Kalman filter remembers, the crop is cut for encode.

Nobody known: the STN looks at the whole picture, squeezed, at what moves and at some squares of it, others in each
frame. Somebody known: it looks at a search window around the predicted box. While the filter is sure of its prediction
that is told first and looked at afterwards, so that nobody waits for the STN, and not in every frame of a fast camera.
Who falls is the diver: everybody else gives way. Nobody is preferred to somebody in flight, who is followed by the law
of the fall through occlusions; a subject that never moved, or is in the water, gives way to one that moves. No subject
is said as data, never by silence.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from calibration.venue import Calibration
from engines.codecs import window_of_box
from engines.contracts import STN
from engines.view import Views
from flight.modes import DIVE, GROUND
from flight.pull import Pull
from pipeline.config import TrackSettings, camera_of, views_of
from pipeline.detector import Detector, Finder
from pipeline.messages import Box, Frame, Track, TrackState
from pipeline.people import People
from pipeline.picture import Picture
from pipeline.ring import Overrun, Ring
from pipeline.stage import Host
from pipeline.subject import Subject
from pipeline.surroundings import Candidate, Surroundings
from pipeline.telling import track_of

REST_S: Final = 0.028
"""A steady subject is not looked at again within this time: with 30 frames a second in each, with 50 in every other."""
AROUND_S: Final = 0.035
"""And the others not again within this one, unless one of them may be falling."""
LATEST_NS: Final = 2**63 - 1


class Tracker:
    """One subject at a time, found, followed, coasted through short losses, and given up."""

    batch = 1

    def __init__(
        self,
        settings: TrackSettings,
        detector: Finder,
        open_ring: Callable[[], Ring],
        ring: Ring | None,
        views: Views,
        calibration: Calibration | None = None,
    ) -> None:
        """`ring` if it exists already, which it does for a stage that was restarted; else opened when needed."""
        self._settings = settings
        self._views = views
        self._calibration = calibration
        self._modes = DIVE if settings.sport == "dive" else GROUND
        self._detector = detector
        self._pull = Pull()
        self._around = self._unknown()
        self._open_ring = open_ring
        self._ring = ring
        self._subject: Subject | None = None
        self._number = self._told_number = 0
        self._state: TrackState = "none"
        self._presence = 0.0
        self._size_px = (0, 0)
        self._looked_ns = self._surveyed_ns = self._seen_ns = 0
        self._t_ns = LATEST_NS
        self.dropped: Counter[str] = Counter()
        if ring is not None:
            self.dropped["restart"] = ring.attach_reader()
        self.note = detector.device

    def step(self, frames: Sequence[Frame]) -> Iterable[Track]:
        """The subject of each frame; nothing if its picture was overwritten before it could be read.

        What is done after a frame's `Track` was given is the look that the next frame's is predicted from.
        """
        self._ring = self._ring or self._open_ring()
        for frame in frames:
            told = False
            try:
                with self._ring.reading(frame) as picture:
                    for track in self._track(frame, picture):
                        self._ring.check(frame)
                        told = True
                        yield track
            except Overrun:
                self.dropped["overrun"] += not told
            finally:
                self._ring.release(frame.seq)

    def flush(self, stream: str) -> Iterable[Track]:
        """Nothing is held back."""
        return ()

    def _unknown(self) -> Surroundings:
        return Surroundings(self._detector, self._settings.acquire_presence, People(self._modes, self._pull))

    def _begin(self, frame: Frame) -> None:
        """Nothing is known of anybody in these pictures."""
        if self._calibration is not None:
            self._pull = Pull(self._views.camera(frame.width, frame.height), self._calibration)
        self._subject, self._around = None, self._unknown()

    def _track(self, frame: Frame, picture: Picture) -> Iterator[Track]:
        """One `Track`, as soon as the subject's place is known; then what only the next frame's needs."""
        size_px = (frame.width, frame.height)
        if frame.t_media_ns <= self._t_ns or size_px != self._size_px:  # the source began again, or is another one
            self._size_px = size_px
            self._begin(frame)
        if self._subject is not None:
            self._subject.predict((frame.t_media_ns - self._t_ns) * 1e-9)
            if self._subject.is_gone(frame.width, frame.height):
                self._give_up(frame)
        self._t_ns = frame.t_media_ns
        steady = self._is_steady()
        if steady:
            yield self._told(frame, picture)
            if (frame.t_media_ns - self._looked_ns) * 1e-9 < REST_S:
                self._look_around(frame, picture)
                return
        self._looked_ns = frame.t_media_ns
        if self._follow(frame, picture):
            if not steady:
                yield self._told(frame, picture)
            self._look_around(frame, picture)
        else:
            self._survey(frame, picture)
            self._acquire(frame, picture)
            if not steady:
                yield self._told(frame, picture)

    def _is_steady(self) -> bool:
        """Whether the subject was seen at the last look and the filter knows well enough where it is by now."""
        return self._subject is not None and self._state == "followed" and self._subject.steady

    def _told(self, frame: Frame, picture: Picture) -> Track:
        if self._subject is None:
            return track_of(frame, 0, "none", self._presence)
        state = self._state if self._number == self._told_number else "acquired"
        self._told_number = self._number
        box = self._subject.filter.box_img_px
        view = self._views.of_box(box, self._settings.crop_factor, frame.width, frame.height)
        return track_of(frame, self._number, state, self._presence, box, view, picture)

    def _follow(self, frame: Frame, picture: Picture) -> bool:
        """Look around the prediction and believe what the gate lets through; False if there is nobody to follow."""
        if self._subject is None:
            return False
        settings = self._settings
        least = settings.keep_presence if self._state == "followed" else settings.acquire_presence
        for factor in self._subject.factors(settings.search_factor):
            window = window_of_box(self._subject.filter.box_img_px, factor)
            box, self._presence = self._detector.look(picture, window)
            if self._presence < least or self._around.knows(frame, box, self._subject.filter.box_img_px):
                continue
            if self._subject.saw(box):
                self._seen_ns = frame.t_media_ns
                self._state = "followed"
                return True
        self._subject.missed()
        self._state = "coasted"
        if (frame.t_media_ns - self._seen_ns) * 1e-9 > settings.coast_s:
            self._give_up(frame)
        return self._subject is not None

    def _look_around(self, frame: Frame, picture: Picture) -> None:
        """Whether somebody else should be followed from the next frame on: who falls, if it is not the subject; while
        that is in flight nobody else."""
        subject = self._subject
        rested_s = (frame.t_media_ns - self._surveyed_ns) * 1e-9
        if subject is None or (rested_s < AROUND_S and not self._around.urgent):
            return
        here, over = subject.filter.box_img_px, subject.is_over
        self._survey(frame, picture)
        falling = self._around.faller(frame, picture, subject.filter)
        if subject.falls and not over:
            return
        if falling is not None:
            self._take(frame, picture, falling)
            return
        if self._state != "followed":
            return
        mover = self._around.livelier(frame, picture, here, over)
        if mover is not None:
            self._take(frame, picture, mover)
        elif self._around.drifted(frame, picture, here, self._presence):
            self._give_up(frame)
            self._acquire(frame, picture)

    def _survey(self, frame: Frame, picture: Picture) -> None:
        self._surveyed_ns = frame.t_media_ns
        self._around.survey(frame, picture, None if self._subject is None else self._subject.filter.box_img_px)

    def _give_up(self, frame: Frame) -> None:
        self._subject = None
        self._around.reset(frame.t_media_ns)

    def _acquire(self, frame: Frame, picture: Picture) -> None:
        """Whoever a closer look shows first; the likeliest may turn out to be a thing."""
        if not any(self._take(frame, picture, found) for found in self._around.likely(frame, picture)):
            self._state, self._presence = "none", self._around.presence

    def _take(self, frame: Frame, picture: Picture, found: Candidate) -> bool:
        """Follow whoever is there from now on, if a closer look shows somebody."""
        box, presence = found.box, found.presence
        if found.falling is None:
            box, presence = self._detector.look(picture, window_of_box(found.box, self._settings.search_factor))
        if presence < self._settings.acquire_presence:
            return False
        same = self._subject is not None and _inside(found.box, self._subject.filter.box_img_px)
        self._number += not same
        if not same and self._subject is not None:
            self._around.left(frame, self._subject.filter)
        self._subject = Subject(box, self._modes, self._pull, found.falling)
        self._around.reset(frame.t_media_ns)
        self._seen_ns = frame.t_media_ns
        self._state, self._presence = "followed", presence
        return True


def _inside(one: Box, other: Box) -> bool:
    """Whether the middle of `one` lies in `other`: a box that grew around somebody is of the same subject."""
    u, v = (one[0] + one[2]) / 2, (one[1] + one[3]) / 2
    return other[0] <= u <= other[2] and other[1] <= v <= other[3]


def build(host: Host) -> Tracker:
    """The stage on this host. Raises CalibrationError for a camera file that is none."""
    ring = host.ring() if host.ring_path.exists() else None
    config = host.config
    views, calibration = views_of(config, config.stream), camera_of(config, config.stream)
    return Tracker(config.track, Detector(host.session(STN)), host.ring, ring, views, calibration)
