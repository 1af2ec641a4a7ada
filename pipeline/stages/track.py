"""track: where the subject is. The spatial transformer looks, filters remember, the crop is cut for encode.

Nobody known: the STN looks at the whole picture, squeezed, at what moves and at some squares of it, others in each
frame. Somebody known: it looks at a search window around the predicted box. While the filter is sure of its prediction
that is told first and looked at afterwards, so that nobody waits for the STN, and not in every frame of a fast camera.
A subject that never moved gives way to one that does. No subject is said as data, never by silence.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from calibration.venue import Calibration
from engines.codecs import window_of_box
from engines.contracts import CROP_H, CROP_W, STN
from engines.view import View, Views
from flight.box import BoxFilter
from flight.imm import DIVE, GROUND
from flight.pull import Pull
from pipeline.config import TrackSettings, camera_of, views_of
from pipeline.detector import Detector, Finder
from pipeline.messages import Box, Frame, Matrix3, Track, TrackState, moment_of
from pipeline.picture import Picture, cut
from pipeline.ring import Overrun, Ring
from pipeline.stage import Host
from pipeline.surroundings import Surroundings

STEADY: Final = 0.09
"""Standard deviation of a predicted centre, in longer sides of the box, up to which the prediction is told unseen."""
REST_S: Final = 0.028
"""A steady subject is not looked at again within this time: with 30 frames a second in each, with 50 in every other."""
AROUND_S: Final = 0.06
"""And the rest of the picture not again within this one."""


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
        """`ring` if it exists already, which it does for a stage that was restarted; else opened when needed. `views`
        and `calibration` are of the same camera."""
        self._settings = settings
        self._views = views
        self._calibration = calibration
        self._modes = DIVE if settings.sport == "dive" else GROUND
        self._pull: Pull | None = None
        self._detector = detector
        self._around = self._unknown()
        self._open_ring = open_ring
        self._ring = ring
        self._filter: BoxFilter | None = None
        self._subject = self._told_subject = 0
        self._state: TrackState = "none"
        self._presence = 0.0
        self._size_px = (0, 0)
        self._t_ns = self._looked_ns = self._surveyed_ns = self._seen_ns = 0
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
        return Surroundings(self._detector, self._settings.acquire_presence)

    def _track(self, frame: Frame, picture: Picture) -> Iterator[Track]:
        """One `Track`, as soon as the subject's place is known; then what only the next frame's needs."""
        size_px = (frame.width, frame.height)
        if frame.t_media_ns < self._t_ns or size_px != self._size_px:  # the source began again, or is another one
            self._filter, self._around, self._size_px, self._pull = None, self._unknown(), size_px, None
        if self._filter is not None:
            self._filter.predict((frame.t_media_ns - self._t_ns) * 1e-9)
        self._t_ns = frame.t_media_ns
        steady = self._is_steady()
        if steady:
            yield self._told(frame, picture)
            if (frame.t_media_ns - self._looked_ns) * 1e-9 < REST_S:
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
        if self._filter is None or self._state != "followed":
            return False
        left, top, right, bottom = self._filter.box_img_px
        return self._filter.sd_px <= STEADY * max(right - left, bottom - top)

    def _told(self, frame: Frame, picture: Picture) -> Track:
        if self._filter is None:
            return _track_of(frame, 0, "none", self._presence)
        state = self._state if self._subject == self._told_subject else "acquired"
        self._told_subject = self._subject
        box = self._filter.box_img_px
        view = self._views.of_box(box, self._settings.crop_factor, frame.width, frame.height)
        return _track_of(frame, self._subject, state, self._presence, box, view, picture)

    def _follow(self, frame: Frame, picture: Picture) -> bool:
        """Look around the prediction and believe what the gate lets through; False if there is nobody to follow."""
        if self._filter is None:
            return False
        window = window_of_box(self._filter.box_img_px, self._settings.search_factor)
        box, self._presence = self._detector.look(picture, window)
        if self._presence >= self._settings.keep_presence and self._filter.update(box):
            self._seen_ns = frame.t_media_ns
            self._state = "followed"
        elif (frame.t_media_ns - self._seen_ns) * 1e-9 <= self._settings.coast_s:
            self._state = "coasted"
        else:
            self._give_up(frame)
        return self._filter is not None

    def _look_around(self, frame: Frame, picture: Picture) -> None:
        """Whether somebody else should be followed from the next frame on."""
        if self._filter is None or (frame.t_media_ns - self._surveyed_ns) * 1e-9 < AROUND_S:
            return
        self._survey(frame, picture)
        if self._state != "followed":
            return
        here = self._filter.box_img_px
        mover = self._around.livelier(frame, picture, here)
        if mover is not None:
            self._take(frame, picture, mover)
        elif self._around.drifted(frame, picture, here, self._presence):
            self._give_up(frame)
            self._acquire(frame, picture)

    def _survey(self, frame: Frame, picture: Picture) -> None:
        self._surveyed_ns = frame.t_media_ns
        self._around.survey(frame, picture)

    def _pull_in(self, frame: Frame) -> Pull:
        """How gravity looks in these pictures."""
        if self._pull is None:
            known = self._calibration is not None
            camera = self._views.camera(frame.width, frame.height) if known else None
            self._pull = Pull(camera, self._calibration)
        return self._pull

    def _give_up(self, frame: Frame) -> None:
        self._filter = None
        self._around.reset(frame.t_media_ns)

    def _acquire(self, frame: Frame, picture: Picture) -> None:
        """Whoever a closer look shows first; the likeliest may turn out to be a thing."""
        if not any(self._take(frame, picture, box) for box in self._around.likely(frame, picture)):
            self._state, self._presence = "none", self._around.presence

    def _take(self, frame: Frame, picture: Picture, likely: Box) -> bool:
        """Follow whoever is there from now on, if a closer look shows somebody."""
        box, presence = self._detector.look(picture, window_of_box(likely, self._settings.search_factor))
        if presence < self._settings.acquire_presence:
            return False
        self._subject += self._filter is None or not _inside(likely, self._filter.box_img_px)
        self._filter = BoxFilter(box, self._modes, self._pull_in(frame))
        self._around.reset(frame.t_media_ns)
        self._seen_ns = frame.t_media_ns
        self._state, self._presence = "followed", presence
        return True


def _track_of(
    frame: Frame,
    subject: int,
    state: TrackState,
    presence: float,
    box: Box | None = None,
    view: View | None = None,
    picture: Picture | None = None,
) -> Track:
    matrix = None if view is None else view.img_from_crop
    return Track(
        **moment_of(frame),
        width=frame.width,
        height=frame.height,
        rate_hz=frame.rate_hz,
        subject=subject,
        state=state,
        presence=presence,
        box_img_px=box,
        crop_img_px=None if view is None else (*view.crop.centre_img_px, view.crop.height_px),
        img_from_crop=None if matrix is None else _nine(matrix),
        crop=None if picture is None or matrix is None else cut(picture, matrix, (CROP_W, CROP_H)).tobytes(),
    )


def _nine(matrix: npt.NDArray[np.float64]) -> Matrix3:
    a, b, c, d, e, f, g, h, i = (float(value) for value in matrix.ravel())
    return (a, b, c, d, e, f, g, h, i)


def _inside(one: Box, other: Box) -> bool:
    """Whether the middle of `one` lies in `other`: a box that grew around somebody is of the same subject."""
    u, v = (one[0] + one[2]) / 2, (one[1] + one[3]) / 2
    return other[0] <= u <= other[2] and other[1] <= v <= other[3]


def build(host: Host) -> Tracker:
    """The stage on this host."""
    ring = host.ring() if host.ring_path.exists() else None
    config = host.config
    views, calibration = views_of(config, config.stream), camera_of(config, config.stream)
    return Tracker(config.track, Detector(host.session(STN)), host.ring, ring, views, calibration)
