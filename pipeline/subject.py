"""The one who is followed: where, whether in flight, and what to believe of what looks show.

A body in free fall is predictable, so an occlusion is bridged by the fall alone. Whoever is found after it need not be
the diver: until that one was seen to fall too, the fall itself is kept in mind and gone back to.
"""

from collections.abc import Sequence
from typing import Final

from flight.box import BoxFilter
from flight.modes import Mode
from flight.pull import Pull
from pipeline.haste import Haste
from pipeline.messages import Box
from pipeline.people import Person

STEADY: Final = 0.062
"""Standard deviation of a predicted centre, in longer sides of the box, up to which the prediction is told unseen."""
UNSURE: Final = 4.0
WIDER: Final = 0.3
"""By so many standard deviations a second search window is wider, two on either side, from so much on."""
ENTRY_M_S: Final = 4.0
"""Nobody dives into the water more slowly."""
IMPOSSIBLE_M_S: Final = 40.0
"""From ten metres divers reach 14 m/s, half as large seem twice as fast, and there the box no longer is of anybody."""
SLOW_M_S: Final = 2.0
"""And in the water a body is soon as slow as this; on the board nobody goes up or down faster."""
UNSEEN_S: Final = 0.09
"""Occlusions are longer than this, misses of the detector shorter."""
BESIDE_M: Final = 0.4
BESIDE_M_S: Final = 1.2
"""So far beside the prediction, and farther with the time unseen, a body in flight may be: nothing pushes sideways."""
DOUBT_S: Final = 0.25
"""Who was found after an occlusion is doubted for so long, ..."""
SURE_LOOKS: Final = 3
"""... and so many looks running must show somebody: a thing is found once."""


class Subject:
    """Followed from a first box on, or taken over from somebody `falling`."""

    def __init__(self, box_img_px: Box, modes: Sequence[Mode], pull: Pull, falling: BoxFilter | None = None) -> None:
        self.filter = falling or BoxFilter(box_img_px, modes, pull)
        self.falls = falling is not None
        """Whether it is in flight, or was until it came down."""
        self._fastest_m_s = 0.0
        self._went_down = False
        self._modes, self._pull = modes, pull
        self._elsewhere: Person | None = None
        self._t_s = 0.0
        self._haste = Haste()
        self._unseen_s = self._hidden_s = self._refound_s = 0.0
        self._before: BoxFilter | None = None
        self._looks_since = 0

    def predict(self, dt_s: float) -> None:
        """Advance by `dt_s`."""
        self.filter.predict(dt_s)
        self._t_s += dt_s
        if self._elsewhere is not None:
            self._elsewhere.predict(self._t_s)
        if self.falls and self._unseen_s <= UNSEEN_S < self._unseen_s + dt_s:
            self.filter.fly(unseen=True)
        self._unseen_s += dt_s
        self._refound_s += dt_s
        if self._refound_s > DOUBT_S:
            self._before = None
        if self._before is not None:
            self._before.predict(dt_s)

    @property
    def steady(self) -> bool:
        """Whether the filter knows well enough where it is."""
        return self.filter.sd_px <= STEADY * self.filter.side_px

    @property
    def stands(self) -> bool:
        """Whether it goes neither up nor down fast."""
        return abs(self.filter.falling_m_s) < SLOW_M_S

    @property
    def is_over(self) -> bool:
        """Whether it dived and is in the water now."""
        return self._fastest_m_s > ENTRY_M_S and self.stands and self.filter.probability("water") > 0.5

    def is_gone(self, width: int, height: int) -> bool:
        """Whether it cannot be there: it left a picture of this size, or falls faster than anybody. A detector that
        always finds the middle of its window would be followed down for ever."""
        left, top, right, bottom = self.filter.box_img_px
        inside = 0 < left + right < 2 * width and 0 < top + bottom < 2 * height
        return not inside or (self.falls and self.filter.falling_m_s > IMPOSSIBLE_M_S)

    def factors(self, usual: float) -> tuple[float, ...]:
        """Sides of its search windows over its own: the `usual`, and where it is not sure enough for that a wider one,
        so that whoever is near is found first."""
        unsure = UNSURE * (self.filter.sd_px / self.filter.side_px - STEADY)
        return (usual,) if unsure < WIDER else (usual, usual + min(usual, unsure))

    def saw(self, box_img_px: Box) -> bool:
        """Take in what a look showed; False if it is not believed to be the subject."""
        if not self._believed(box_img_px):
            return False
        self._judge(box_img_px)
        self._unseen_s = 0.0
        self._fastest_m_s = max(self._fastest_m_s, self.filter.falling_m_s) if self.falls else 0.0
        return True

    def _judge(self, box: Box) -> None:
        """Whether it falls, by the last looks."""
        metre = self.filter.metre_px
        way = self._haste.way(metre) if "flight" in self._modes else 0
        if way and (not self.falls or (way < 0 and self._went_down)):  # nobody in flight turns round and rises
            self.falls = True
            self.filter.take_off()
        elif way:
            self.filter.fly()
        if way:
            self._went_down = way > 0
        if self.falls and self._haste.stands(metre):
            self.falls = False
            self.filter = BoxFilter(box, self._modes, self._pull, tallest_px=self.filter.tallest_px)

    def missed(self) -> None:
        """A look showed nobody: who was found after an occlusion, and not again, was nobody either."""
        if self._before is not None and self._looks_since < SURE_LOOKS:
            self._go_back(self._before)

    def _believed(self, box: Box) -> bool:
        """Where the filter expects it, or elsewhere but falling, several times running."""
        hidden = self.falls and self._unseen_s > UNSEEN_S
        if hidden and self.filter.sideways_m(box) > BESIDE_M + BESIDE_M_S * self._unseen_s:
            return False
        before = self.filter.copied() if hidden else None
        if not self.filter.update(box):
            return self._falls_elsewhere(box)
        if before is not None:
            self._before, self._haste = before, Haste()
            self._hidden_s, self._refound_s, self._looks_since = self._unseen_s, 0.0, 0
        self._elsewhere = None
        self._looks_since += 1
        self._haste.saw(self._t_s, box, self.filter.pull_px_s2)
        return not self._is_mistaken()

    def _falls_elsewhere(self, box: Box) -> bool:
        if self._elsewhere is None:
            self._elsewhere = Person(box, self._t_s, self._modes, self._pull)
        self._elsewhere.looked(box, self.filter.tallest_px)
        falling = self._elsewhere.falling() if self.falls else None
        self.filter = falling or self.filter
        return falling is not None

    def _is_mistaken(self) -> bool:
        """Whether who was found after an occlusion does not go on falling: then the fall goes on without."""
        if self._before is None or not self._haste.differs(self._before.falling_m_s, self._before.metre_px):
            return False
        self._go_back(self._before)
        return True

    def _go_back(self, before: BoxFilter) -> None:
        self.filter, self._before, self._haste = before, None, Haste()
        self._unseen_s = self._hidden_s + self._refound_s
