"""track: where the subject is. The spatial transformer looks, a Kalman filter remembers, the crop is cut for encode.

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

from engines.codecs import (
    Crop,
    box_of_theta,
    crop_of_box,
    img_from_crop,
    img_from_window,
    window_of_box,
    window_of_picture,
)
from engines.contracts import CROP_H, CROP_W, STN, STN_PX
from engines.kalman import BoxFilter
from engines.session import Session
from pipeline.config import TrackSettings
from pipeline.messages import Box, Frame, Matrix3, Track, TrackState, moment_of
from pipeline.motion import Motion
from pipeline.picture import Picture, cut, thumbnail
from pipeline.ring import Overrun, Ring
from pipeline.search import Sweep
from pipeline.stage import Host

FIRST_SQUARES: Final = 6
LATER_SQUARES: Final = 2
"""Looked at in each frame besides the whole picture while nobody is known: at the start, when encode and decode have
nothing to do, and in a picture that stays empty, which should not keep a core busy."""
CLOSER_LOOKS: Final = 3
SURE: Final = 0.9
"""Presence from which a find in the whole picture is taken up at once; any other has to be the best of a sweep."""
RECHECK_S: Final = 1.0
"""How often all of the picture is looked over although a subject is followed, to leave a box that drifted away."""
ALIVE: Final = 0.25
"""Share of a box that has to move, once, for its subject to be believed; behind a table somebody moves less."""
SAME_SIZE: Final = 2.5
"""A box so many times as large or small as when it last moved has drifted off what moved."""
MOST_BLOBS: Final = 4
"""Of what moves the largest are looked at, one in each frame; water moves everywhere."""
BLOB_FACTOR: Final = 1.6
"""Side of the window around something that moves: often only a part of a body does."""
_ELSEWHERE: Final = 0.15
"""Boxes that share less than this part of the followed or larger one are not of the same subject: the athlete on a
platform is small beside it."""
_SMALLEST_BOX_PX: Final = 8.0
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
        self, settings: TrackSettings, session: Session, open_ring: Callable[[], Ring], ring: Ring | None
    ) -> None:
        """`ring` if it exists already, which it does for a stage that was restarted; else opened when needed."""
        self._settings = settings
        self._session = session
        self._open_ring = open_ring
        self._ring = ring
        self._filter: BoxFilter | None = None
        self._subject = 0
        self._state: TrackState = "none"
        self._told_subject = 0
        self._presence = 0.0
        self._small = np.zeros((STN_PX, STN_PX, 3), np.uint8)
        self._t_ns = self._looked_ns = self._surveyed_ns = 0
        self._seen_ns = 0
        self._checked_ns = 0
        self._suspicions = 0
        self._sweep: Sweep | None = None
        self._squares = FIRST_SQUARES
        self._motion = Motion()
        self._alive_px2 = 0.0
        self.dropped: Counter[str] = Counter()
        if ring is not None:
            self.dropped["restart"] = ring.attach_reader()
        self.note = session.device

    def step(self, frames: Sequence[Frame]) -> Iterable[Track]:
        """The subject of each frame; nothing if its picture was overwritten before it could be read.

        What follows a frame's `Track` in its turn is the look that the next frame's is predicted from.
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

    def _track(self, frame: Frame, picture: Picture) -> Iterator[Track]:
        """One `Track`, as soon as the subject's place is known; then what only the next frame's needs."""
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
        crop = crop_of_box(box, self._settings.crop_factor)
        return _track_of(frame, self._subject, state, self._presence, box, crop, picture)

    def _follow(self, frame: Frame, picture: Picture) -> bool:
        """Look around the prediction and believe what the gate lets through; False if there is nobody to follow."""
        if self._filter is None:
            return False
        window = window_of_box(self._filter.box_img_px, self._settings.search_factor)
        box, self._presence = self._look(picture, window)
        if self._presence >= self._settings.keep_presence and self._filter.update(box):
            self._seen_ns = frame.t_media_ns
            self._state = "followed"
        elif (frame.t_media_ns - self._seen_ns) * 1e-9 <= self._settings.coast_s:
            self._state = "coasted"
        else:
            self._filter = self._sweep = None
        return self._filter is not None

    def _survey(self, frame: Frame, picture: Picture) -> None:
        """Take in the picture as a whole."""
        self._surveyed_ns = frame.t_media_ns
        self._small = thumbnail(picture, STN_PX)
        self._motion.saw(self._small, frame.t_media_ns * 1e-9)

    def _look_around(self, frame: Frame, picture: Picture) -> None:
        """Whether somebody else should be followed from the next frame on."""
        if (frame.t_media_ns - self._surveyed_ns) * 1e-9 < AROUND_S:
            return
        self._survey(frame, picture)
        if self._state != "followed":
            return
        mover = self._livelier(frame, picture)
        if mover is not None:
            self._take(frame, picture, mover)
        elif self._drifted(frame, picture):
            self._filter = self._sweep = None
            self._acquire(frame, picture)

    def _acquire(self, frame: Frame, picture: Picture) -> None:
        """Where somebody moves or seems to be, look once more, closer; the likeliest may turn out to be a thing."""
        mover = self._mover(frame, picture)
        if mover is not None and self._take(frame, picture, mover):
            return
        likely, self._presence = self._seek(frame, picture)
        if not any(self._take(frame, picture, box) for box in likely[:CLOSER_LOOKS]):
            self._state = "none"

    def _take(self, frame: Frame, picture: Picture, likely: Box) -> bool:
        """Follow whoever is there from now on, if a closer look shows somebody."""
        box, presence = self._look(picture, window_of_box(likely, self._settings.search_factor))
        if presence < self._settings.acquire_presence:
            return False
        self._subject += self._filter is None or not _inside(likely, self._filter.box_img_px)
        self._filter = BoxFilter(box)
        self._sweep, self._alive_px2 = None, 0.0
        self._seen_ns = self._checked_ns = frame.t_media_ns
        self._suspicions = 0
        self._state, self._presence = "followed", presence
        return True

    def _seek(self, frame: Frame, picture: Picture) -> tuple[list[Box], float]:
        """Somebody beyond doubt in the whole picture, else, at the end of a sweep, whom it showed, likeliest first."""
        if self._sweep is None or self._sweep.over:
            self._squares = FIRST_SQUARES if self._sweep is None else LATER_SQUARES
            self._sweep = Sweep(frame.width, frame.height)
        least = self._settings.acquire_presence
        box, presence = self._whole(frame)
        if presence >= max(SURE, least):
            return [box], presence
        self._sweep.saw(box, presence)
        for window in self._sweep.windows(self._squares):
            self._sweep.saw(*self._look(picture, window))
        return (self._sweep.likely(least) if self._sweep.over else []), self._sweep.presence

    def _livelier(self, frame: Frame, picture: Picture) -> Box | None:
        """Somebody elsewhere who moves, while what is followed never did or is not what moved any more."""
        assert self._filter is not None
        here = self._filter.box_img_px
        if self._motion.share(here, frame.width, frame.height) >= ALIVE:
            self._alive_px2 = _area(here)
        if self._alive_px2 / SAME_SIZE < _area(here) < self._alive_px2 * SAME_SIZE:
            return None
        mover = self._mover(frame, picture)
        return None if mover is None or _shared(mover, here) >= _ELSEWHERE * _area(here) else mover

    def _mover(self, frame: Frame, picture: Picture) -> Box | None:
        """An athlete where something moves; one place is looked at in each frame, in turn."""
        blobs = self._motion.blobs(frame.width, frame.height)[:MOST_BLOBS]
        if not blobs:
            return None
        box, presence = self._look(picture, window_of_box(blobs[frame.seq % len(blobs)], BLOB_FACTOR))
        return box if presence >= self._settings.acquire_presence else None

    def _drifted(self, frame: Frame, picture: Picture) -> bool:
        """Whether the picture, one square a frame, showed somebody elsewhere more clearly twice in a row."""
        assert self._filter is not None
        if self._sweep is None:
            if (frame.t_media_ns - self._checked_ns) * 1e-9 >= RECHECK_S:
                self._sweep = Sweep(frame.width, frame.height)
            return False
        for window in self._sweep.windows(1):
            box, there = self._look(picture, window)
            here = self._filter.box_img_px
            if there >= self._presence and _shared(box, here) < _ELSEWHERE * max(_area(box), _area(here)):
                self._sweep.saw(box, there)
        if self._sweep.over:
            elsewhere = self._sweep.presence >= self._settings.acquire_presence
            self._suspicions = self._suspicions + 1 if elsewhere else 0
            self._checked_ns, self._sweep = frame.t_media_ns, None
        return self._suspicions >= 2

    def _whole(self, frame: Frame) -> tuple[Box, float]:
        return self._detect(self._small, window_of_picture(frame.width, frame.height))

    def _look(self, picture: Picture, window: Box) -> tuple[Box, float]:
        return self._detect(cut(picture, img_from_window(window), (STN_PX, STN_PX)), window)

    def _detect(self, pixels: npt.NDArray[np.uint8], window: Box) -> tuple[Box, float]:
        result = self._session.run({"picture": pixels[None]})
        return box_of_theta(result["theta"][0], window), float(result["presence"][0, 0])


def _track_of(
    frame: Frame,
    subject: int,
    state: TrackState,
    presence: float,
    box: Box | None = None,
    crop: Crop | None = None,
    picture: Picture | None = None,
) -> Track:
    matrix = None if crop is None else img_from_crop(crop)
    return Track(
        **moment_of(frame),
        width=frame.width,
        height=frame.height,
        rate_hz=frame.rate_hz,
        subject=subject,
        state=state,
        presence=presence,
        box_img_px=box,
        crop_img_px=None if crop is None else (*crop.centre_img_px, crop.height_px),
        img_from_crop=None if matrix is None else _nine(matrix),
        crop=None if picture is None or matrix is None else cut(picture, matrix, (CROP_W, CROP_H)).tobytes(),
    )


def _nine(matrix: npt.NDArray[np.float64]) -> Matrix3:
    a, b, c, d, e, f, g, h, i = (float(value) for value in matrix.ravel())
    return (a, b, c, d, e, f, g, h, i)


def _shared(one: Box, other: Box) -> float:
    """Area of the overlap."""
    across, down = (min(one[2 + i], other[2 + i]) - max(one[i], other[i]) for i in (0, 1))
    return max(0.0, across) * max(0.0, down)


def _inside(one: Box, other: Box) -> bool:
    """Whether the middle of `one` lies in `other`: a box that grew around somebody is of the same subject."""
    u, v = (one[0] + one[2]) / 2, (one[1] + one[3]) / 2
    return other[0] <= u <= other[2] and other[1] <= v <= other[3]


def _area(box: Box) -> float:
    return max(_SMALLEST_BOX_PX, box[2] - box[0]) * max(_SMALLEST_BOX_PX, box[3] - box[1])


def build(host: Host) -> Tracker:
    """The stage on this host."""
    ring = host.ring() if host.ring_path.exists() else None
    return Tracker(host.config.track, host.session(STN), host.ring, ring)
