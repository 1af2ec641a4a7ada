"""What else is in the picture than the subject that is followed: who might be one, and who rather should be.

A detector of single pictures takes things for athletes, and a box may drift off its athlete. So who falls is preferred
to who does not, what moves to what never did, and now and then all of the picture is looked over, a square in each
frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from engines.codecs import window_of_box
from engines.contracts import STN_PX
from flight.box import BoxFilter
from pipeline.detector import Finder
from pipeline.messages import Box, Frame
from pipeline.motion import Motion
from pipeline.people import People, overlap
from pipeline.picture import Picture, thumbnail
from pipeline.search import Sweep

FIRST_SQUARES: Final = 6
LATER_SQUARES: Final = 2
"""Looked at in each frame besides the whole picture while nobody is known: at the start, when encode and decode have
nothing to do, and in a picture that stays empty, which should not keep a core busy."""
CLOSER_LOOKS: Final = 3
"""At most so many of those whom a sweep showed are worth a closer look."""
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
PERSON_FACTOR: Final = 2.0
"""And around a person."""
ALIKE: Final = 0.4
"""Boxes that overlap more are of one person."""
_ELSEWHERE: Final = 0.15
"""Boxes that share less than this part of the followed or larger one are not of the same subject: the athlete on a
platform is small beside it."""
_WITHIN: Final = 0.8
_LIMB: Final = 0.2
"""A box so much within another, and not so much less high, is of a part of the same body."""
_SMALLEST_BOX_PX: Final = 8.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where somebody may be found, in `img`; of somebody who falls what is known, and the presence of the last look."""

    box: Box
    falling: BoxFilter | None = None
    presence: float = 0.0


class Surroundings:
    """Of one stream, from frame to frame. `survey` comes first, then what is asked of the same frame."""

    def __init__(self, detector: Finder, least: float, people: People) -> None:
        """`least`: presence from which somebody may be taken up."""
        self._detector = detector
        self._least = least
        self._people = people
        self._motion = Motion()
        self._small: npt.NDArray[np.uint8] = np.zeros((STN_PX, STN_PX, 3), np.uint8)
        self._squares = FIRST_SQUARES
        self.presence = 0.0
        """How likely somebody is in the picture, as far as it was searched."""
        self.reset(0)

    def reset(self, t_media_ns: int) -> None:
        """Another subject is followed from now on, or none."""
        self._sweep: Sweep | None = None
        self._alive_px2 = 0.0
        self._suspicions = 0
        self._checked_ns = t_media_ns

    def survey(self, frame: Frame, picture: Picture, here: Box | None = None) -> None:
        """Take in the picture as a whole, and what moves in it besides the subject `here`."""
        self._small = thumbnail(picture, STN_PX)
        t_s = frame.t_media_ns * 1e-9
        self._motion.saw(self._small, t_s)
        self._people.saw(self._motion.bodies(frame.width, frame.height), t_s, here)

    def likely(self, frame: Frame, picture: Picture) -> Iterator[Candidate]:
        """Where a closer look may show a subject: where somebody falls, moves, then where somebody seems to be."""
        falling = self.faller(frame, picture)
        if falling is not None:
            yield falling
        mover = self._mover(frame, picture)
        if mover is not None:
            yield Candidate(mover)
        yield from map(Candidate, self._sought(frame, picture)[:CLOSER_LOOKS])

    @property
    def urgent(self) -> bool:
        """Whether somebody else may be falling: worth another look soon."""
        return self._people.urgent

    def left(self, frame: Frame, subject: BoxFilter) -> None:
        """Somebody is not followed any more, but still there."""
        self._people.keep(subject, frame.t_media_ns * 1e-9)

    def knows(self, frame: Frame, box: Box, here: Box) -> bool:
        """Whether a box is of somebody else than the subject `here`."""
        return self._people.is_known(box, here, frame.t_media_ns * 1e-9)

    def faller(self, frame: Frame, picture: Picture, subject: BoxFilter | None = None) -> Candidate | None:
        """Somebody else than the `subject`, if any, who falls; one person is looked at, in turn."""
        person = self._people.due(frame.t_media_ns * 1e-9)
        if person is None:
            return None
        factor = PERSON_FACTOR if person.is_somebody else BLOB_FACTOR
        box, presence = self._detector.look(picture, window_of_box(person.box_img_px, factor))
        found = presence >= self._least and (subject is None or overlap(box, subject.box_img_px) < ALIKE)
        tallest_px = 0.0 if subject is None else subject.tallest_px
        falling = self._people.looked(person, box if found else None, tallest_px)
        return None if falling is None else Candidate(box, falling, presence)

    def livelier(self, frame: Frame, picture: Picture, here: Box, over: bool = False) -> Candidate | None:
        """Somebody elsewhere who moves, while what is followed never did or is not what moved any more, or is `over`:
        has come down and may be left."""
        if self._motion.share(here, frame.width, frame.height) >= ALIVE:
            self._alive_px2 = _area(here)
        if not over and self._alive_px2 / SAME_SIZE < _area(here) < self._alive_px2 * SAME_SIZE:
            return None
        mover = self._mover(frame, picture)
        return None if mover is None or _same(mover, here) else Candidate(mover)

    def drifted(self, frame: Frame, picture: Picture, here: Box, presence: float) -> bool:
        """Whether the picture, one square a frame, showed somebody elsewhere more clearly twice in a row."""
        if self._sweep is None:
            if (frame.t_media_ns - self._checked_ns) * 1e-9 >= RECHECK_S:
                self._sweep = Sweep(frame.width, frame.height)
            return False
        for window in self._sweep.windows(1):
            box, there = self._detector.look(picture, window)
            if there >= presence and _shared(box, here) < _ELSEWHERE * max(_area(box), _area(here)):
                self._sweep.saw(box, there)
        if self._sweep.over:
            self._suspicions = self._suspicions + 1 if self._sweep.presence >= self._least else 0
            self._checked_ns, self._sweep = frame.t_media_ns, None
        return self._suspicions >= 2

    def _sought(self, frame: Frame, picture: Picture) -> list[Box]:
        """Somebody beyond doubt in the whole picture, else, at the end of a sweep, whom it showed, likeliest first."""
        if self._sweep is None or self._sweep.over:
            self._squares = FIRST_SQUARES if self._sweep is None else LATER_SQUARES
            self._sweep = Sweep(frame.width, frame.height)
        box, self.presence = self._detector.glance(self._small, frame.width, frame.height)
        if self.presence >= max(SURE, self._least):
            return [box]
        self._sweep.saw(box, self.presence)
        for window in self._sweep.windows(self._squares):
            self._sweep.saw(*self._detector.look(picture, window))
        self.presence = self._sweep.presence
        return self._sweep.likely(self._least) if self._sweep.over else []

    def _mover(self, frame: Frame, picture: Picture) -> Box | None:
        """An athlete where something moves; one place is looked at in each frame, in turn."""
        blobs = self._motion.blobs(frame.width, frame.height)[:MOST_BLOBS]
        if not blobs:
            return None
        window = window_of_box(blobs[frame.seq % len(blobs)], BLOB_FACTOR)
        box, presence = self._detector.look(picture, window)
        return box if presence >= self._least else None


def _same(box: Box, here: Box) -> bool:
    """Whether a box may be of the followed subject, or of a limb or the head that moves first."""
    shared = _shared(box, here)
    limb = shared >= _WITHIN * _area(box) and box[3] - box[1] >= _LIMB * (here[3] - here[1])
    return limb or shared >= _ELSEWHERE * _area(here)


def _shared(one: Box, other: Box) -> float:
    """Area of the overlap."""
    across, down = (min(one[2 + i], other[2 + i]) - max(one[i], other[i]) for i in (0, 1))
    return max(0.0, across) * max(0.0, down)


def _area(box: Box) -> float:
    return max(_SMALLEST_BOX_PX, box[2] - box[0]) * max(_SMALLEST_BOX_PX, box[3] - box[1])
