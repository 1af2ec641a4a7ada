"""Everybody in the picture but the one who is followed: each in a filter of their own, to tell who falls.

Motion says where somebody may be, a look of the detector whether somebody is, and the filters who obeys gravity. There
is about one look in every other frame for all of them together: it goes to whoever has waited for it longest, those
who hurry up or down and those who were just found first.
"""

from collections.abc import Sequence
from typing import Final

from flight.box import BoxFilter
from flight.modes import Mode
from flight.pull import Pull
from pipeline.haste import Haste
from pipeline.messages import Box

EVEN: Final = 0.5
"""Probability of flight that somebody is seen first with, and from which it is told."""
LOOKS: Final = 3
"""Nobody's speed is known before."""
HASTE_M_S: Final = 1.5
"""Speed up or down from which somebody is looked at often; most who walk are never as fast."""
FASTEST_M_S: Final = 20.0
"""From ten metres divers reach 14 m/s, and a metre is not known well; what seems faster is not one and the same."""
REST_S: Final = 0.08
"""Whoever was looked at is not looked at again within this time, ..."""
URGENT: Final = 4.0
"""... unless in a hurry or new: their waiting counts so much more."""
MOVING_S: Final = 0.15
STILL_S: Final = 0.4
"""Nor who has not moved for long; and nobody takes off without moving."""
GONE_S: Final = 0.6
"""Whoever was not found for so long is forgotten, and where nobody was is not looked at again for so long."""
MISSES: Final = 3
"""Found so often running but elsewhere: somebody else."""
MOST: Final = 8
SAME: Final = 0.4
"""Boxes that overlap more are of one person."""
NEAR: Final = 0.2
"""What moves within a box, or as far as this share of its longer side outside, moves with that person."""


class Person:
    """Somebody, or a place where somebody may be, seen first at `t_s` in `box_img_px`."""

    def __init__(self, box_img_px: Box, t_s: float, modes: Sequence[Mode], pull: Pull) -> None:
        self._modes, self._pull = modes, pull
        self._place = box_img_px
        self._filter: BoxFilter | None = None
        self._t_s = self.looked_s = self.found_s = self.moved_s = t_s
        self._looks = self._elsewhere = self._misses = 0
        self._haste = Haste()

    @classmethod
    def known(cls, filter_: BoxFilter, t_s: float, modes: Sequence[Mode], pull: Pull) -> "Person":
        """Somebody who was followed so far."""
        person = cls(filter_.box_img_px, t_s, modes, pull)
        person._filter, person._looks = filter_, LOOKS
        return person

    def predict(self, t_s: float) -> None:
        """Advance to the moment `t_s`."""
        if self._filter is not None and t_s > self._t_s:
            self._filter.predict(t_s - self._t_s)
        self._t_s = max(t_s, self._t_s)

    @property
    def box_img_px(self) -> Box:
        """Where they are as far as known."""
        return self._place if self._filter is None else self._filter.box_img_px

    @property
    def tallest_px(self) -> float:
        """Their height when standing, 0 for nobody known well."""
        return 0.0 if self._filter is None or self._looks < LOOKS else self._filter.tallest_px

    @property
    def is_somebody(self) -> bool:
        """Whether the detector ever found them."""
        return self._filter is not None

    @property
    def is_urgent(self) -> bool:
        """Whether the next looks should be at them."""
        if self._filter is None or self._looks < LOOKS:
            return self._misses == 0
        return abs(self._filter.falling_m_s) > HASTE_M_S or self._haste.may_jump(self._filter.metre_px)

    @property
    def rest_s(self) -> float:
        """How long nobody needs to look at them."""
        return 0.0 if self.is_urgent else REST_S if self._t_s - self.moved_s < MOVING_S else STILL_S

    def looked(self, box: Box | None, tallest_px: float = 0.0) -> None:
        """Take in whom a look showed, if anybody; `tallest_px` is how tall others are."""
        self.looked_s = self._t_s
        self._misses = 0 if box is not None else self._misses + 1
        if box is None:
            return
        self.found_s = self._t_s
        if self._filter is not None and self._filter.update(box):
            self._looks, self._elsewhere = self._looks + 1, 0
            self._haste.saw(self._t_s, box, self._filter.pull_px_s2)
            return
        self._elsewhere += 1
        if self._filter is None or self._elsewhere >= MISSES:
            self._filter = BoxFilter(box, self._modes, self._pull, flying=EVEN, tallest_px=tallest_px)
            self._looks, self._elsewhere = 1, 0
            self._haste = Haste()
            self._haste.saw(self._t_s, box, self._filter.pull_px_s2)

    def falling(self) -> BoxFilter | None:
        """The filter if they are in flight, beyond doubt."""
        found = self._filter
        if found is None or not self._haste.way(found.metre_px) or abs(found.falling_m_s) > FASTEST_M_S:
            return None
        found.take_off()
        return found

    def is_rather(self, box: Box, here: Box) -> bool:
        """Whether a box is of this person, who is well known and no diver, rather than of whoever is `here`."""
        if self._filter is None or self._looks < LOOKS or self._haste.way(self._filter.metre_px):
            return False
        theirs = overlap(box, self._filter.box_img_px)
        return theirs > SAME and theirs > overlap(box, here)


class People:
    """Of one stream, from look to look."""

    def __init__(self, modes: Sequence[Mode], pull: Pull) -> None:
        self._modes, self._pull = modes, pull
        self._known: list[Person] = []

    def saw(self, moving: Sequence[Box], t_s: float, here: Box | None = None) -> None:
        """Take in what moves at the moment `t_s`, boxes in `img`, largest first; not who is followed, `here`."""
        self._known = [one for one in self._known if t_s - one.found_s < GONE_S]
        for person in self._known:
            person.predict(t_s)
        known = [person.box_img_px for person in self._known] + ([] if here is None else [here])
        for person in self._known:
            if any(_near(box, person.box_img_px) for box in moving):
                person.moved_s = t_s
        for box in moving:
            if len(self._known) < MOST and not any(_near(box, other) for other in known):
                self._known.append(Person(box, t_s, self._modes, self._pull))
                known.append(box)

    def keep(self, filter_: BoxFilter, t_s: float) -> None:
        """Somebody is not followed any more, but still there."""
        self._known.append(Person.known(filter_, t_s, self._modes, self._pull))

    def is_known(self, box: Box, here: Box, t_s: float) -> bool:
        """Whether a box is of one of these, rather than of the subject `here`."""
        for person in self._known:
            person.predict(t_s)
        return any(person.is_rather(box, here) for person in self._known)

    def due(self, t_s: float) -> Person | None:
        """Who should be looked at now; nobody where nobody can fly."""
        if "flight" not in self._modes:
            return None
        waiting = [one for one in self._known if t_s - one.looked_s >= one.rest_s]
        return max(waiting, key=lambda one: _waited(one, t_s), default=None)

    @property
    def urgent(self) -> bool:
        """Whether somebody should be looked at in the next frame."""
        return "flight" in self._modes and any(one.is_somebody and one.is_urgent for one in self._known)

    def looked(self, person: Person, box: Box | None, tallest_px: float = 0.0) -> BoxFilter | None:
        """Take in whom a look at a person showed. The filter of who turns out to be falling is given away; who turns
        out to be somebody else already known is forgotten."""
        person.looked(box, max([tallest_px, *(one.tallest_px for one in self._known if one is not person)]))
        falling = None if box is None else person.falling()
        others = [one for one in self._known if one is not person and one.is_somebody]
        if falling or (box is not None and any(overlap(box, one.box_img_px) > SAME for one in others)):
            self._known.remove(person)
        return falling


def _waited(person: Person, t_s: float) -> float:
    return (t_s - person.looked_s + 1e-3) * (URGENT if person.is_urgent else 1.0)


def _near(moving: Box, box: Box) -> bool:
    """Whether the middle of what moves is in a box, or as good as."""
    more = NEAR * max(box[2] - box[0], box[3] - box[1])
    u, v = (moving[0] + moving[2]) / 2, (moving[1] + moving[3]) / 2
    return box[0] - more < u < box[2] + more and box[1] - more < v < box[3] + more


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    across, down = (min(one[2 + i], other[2 + i]) - max(one[i], other[i]) for i in (0, 1))
    shared = max(0.0, across) * max(0.0, down)
    return shared / ((one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - shared)
