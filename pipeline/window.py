"""The sliding window of the temporal network: frames onto an even grid of time, features kept, gaps masked.

The network was trained on grids of 35 to 75 steps a second. A slower source is filled up by linear interpolation, a
faster one thinned; what was not seen is masked from attention, never invented (masked pose modelling, MPM, in the
streaming form of `models.temporal`).
"""

import functools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from engines.codecs import fitted
from engines.contracts import FEATURE, LIVE_READ, LIVE_WINDOW, LOOKAHEADS, WINDOW
from engines.session import Session
from engines.skeleton import J

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Measured:
    """A frame as the network takes it: `keypoints` (17, 2), `missing` (17,), `box` (3,) as the contract scales them,
    and the decoder's joints (17, 3), metres, if they are to be fused."""

    keypoints: Array
    missing: Array
    box: Array
    decoded: Array | None = None


SLOWEST_HZ: Final = 35.0
FASTEST_HZ: Final = 75.0
WARM_UP: Final = 9
"""Of so many frames the networks make poses; of fewer the per-frame decoder's are better."""
_KEPT: Final = 2 * WINDOW
_BRIDGED_FRAMES: Final = 3
_NO_JOINTS: Final = np.zeros((1, J, 3), np.float32)


def grid_rate_hz(rate_hz: float) -> float:
    """Steps a second of the grid for a source of `rate_hz`: a multiple or a fraction of it."""
    if rate_hz <= 0:
        return 50.0
    if rate_hz < SLOWEST_HZ:
        return rate_hz * math.ceil(SLOWEST_HZ / rate_hz)
    return rate_hz / math.ceil(rate_hz / FASTEST_HZ)


class Window:
    """Features of the last cells of the time grid, and the poses the networks see in them.

    `live_session` makes poses of the newest cells of a window, `window_session` of all: only who wants final poses
    needs that.
    """

    def __init__(
        self, frame_session: Session, live_session: Session, window_session: Session | None, rate_hz: float
    ) -> None:
        self._frame_session = frame_session
        self._live_session = live_session
        self._window_session = window_session
        self._grid_hz = grid_rate_hz(rate_hz)
        self._bridge = max(1, round(_BRIDGED_FRAMES * self._grid_hz / max(rate_hz, 1.0)))
        self._features = np.zeros((_KEPT, FEATURE), np.float32)
        self._owner = np.full(_KEPT, -1, np.int64)
        self._last: tuple[int, Measured] | None = None
        self.newest = -1

    def cell(self, t_media_ns: int) -> int:
        """The grid's cell that holds the time."""
        return round(t_media_ns * 1e-9 * self._grid_hz)

    def push(self, t_media_ns: int, measured: Measured | None) -> int:
        """Take in a frame; None: nobody seen."""
        cell = max(self.cell(t_media_ns), self.newest)
        if measured is not None and cell > self.newest:
            cells, inputs = self._bridged(cell, measured)
            self._features[cells % _KEPT] = self._frame_session.run(inputs)["feature"]
            self._owner[cells % _KEPT] = cells
            self._last = (cell, measured)
        self.newest = cell
        return cell

    def forget(self) -> None:
        """Start afresh: a cut, or another subject."""
        self._owner[:] = -1
        self._last = None

    def poses(self, end: int, lookahead: int) -> Array | None:
        """Poses (243, 17, 3) of the cells end-242 .. end, root-relative, metres; asked for at end - lookahead.

        None where too few of these cells hold a measurement, as at the start.
        """
        assert self._window_session is not None
        return self._mixed(self._window_session, end, WINDOW, lookahead)

    def newest_poses(self, end: int, lookahead: int) -> Array | None:
        """The same of the newest cells alone: (40, 17, 3) of end-39 .. end."""
        return self._mixed(self._live_session, end, LIVE_WINDOW, lookahead)

    def _mixed(self, session: Session, end: int, length: int, lookahead: int) -> Array | None:
        cells = np.arange(end - length + 1, end + 1)
        places = cells % _KEPT
        mask = (self._owner[places] == cells) & (cells >= 0)
        if np.count_nonzero(mask) < WARM_UP:
            return None
        # What lies at a masked place is older or of another subject: the network takes nothing of it.
        result = session.run(
            {
                "features": self._features[places][None],
                "seen": mask.astype(np.float32)[None],
                "lookahead": np.array([_nearest_lookahead(lookahead)], np.int64),
            }
        )
        joints: Array = result["joints"][0]
        return joints

    def _bridged(self, cell: int, measured: Measured) -> tuple[npt.NDArray[np.int64], dict[str, Array]]:
        """The frame and, across a short step from the last one, the cells between by linear interpolation."""
        if self._last is None or not 1 < cell - self._last[0] <= self._bridge:
            return np.array([cell]), _inputs_of_one(measured)
        first, before = self._last
        cells = np.arange(first + 1, cell + 1)
        return cells, _inputs(before, measured, ((cells - first) / (cell - first)).astype(np.float32))


class Look:
    """The live network's poses of the cells up to `end`, computed when the first of them is read."""

    def __init__(self, window: Window, end: int, lookahead: int) -> None:
        self._window, self._end, self._lookahead = window, end, lookahead
        self._poses: Array | None = None
        self._looked = False

    def reaches(self, cell: int) -> bool:
        """Whether the cell is among those whose poses are known."""
        return 0 <= self._end - cell < LIVE_READ

    def pose(self, cell: int) -> Array | None:
        """Pose (17, 3) of a cell that it reaches; None where too little was seen."""
        if not self._looked:
            self._poses, self._looked = self._window.newest_poses(self._end, self._lookahead), True
        return None if self._poses is None else fitted(self._poses, LIVE_READ - 1 + cell - self._end)


@functools.cache
def _nearest_lookahead(frames: int) -> int:
    return min(range(len(LOOKAHEADS)), key=lambda at: abs(LOOKAHEADS[at] - frames))


def _inputs_of_one(measured: Measured) -> dict[str, Array]:
    """The network's inputs for one frame."""
    fused = measured.decoded is not None
    return {
        "keypoints": measured.keypoints[None],
        "missing": measured.missing[None],
        "box": measured.box[None],
        "decoded": _NO_JOINTS if measured.decoded is None else measured.decoded[None],
        "use_decoded": np.full(1, fused, np.float32),
    }


def _inputs(before: Measured, after: Measured, weight: Array) -> dict[str, Array]:
    """The network's inputs at the shares `weight` (n,) of the way between two frames; the last is the second one."""

    def between(a: Array, b: Array) -> Array:
        share = weight.reshape(-1, *([1] * a.ndim))
        return np.asarray((1 - share) * a + share * b, np.float32)

    holes = np.repeat(np.maximum(before.missing, after.missing)[None], len(weight), axis=0)
    holes[-1] = after.missing
    none = np.zeros((J, 3), np.float32)
    both = before.decoded is not None and after.decoded is not None
    use = np.full(len(weight), float(both), np.float32)
    use[-1] = after.decoded is not None
    last = none if after.decoded is None else after.decoded
    return {
        "keypoints": between(before.keypoints, after.keypoints),
        "missing": holes,
        "box": between(before.box, after.box),
        "decoded": between(last if before.decoded is None else before.decoded, last),
        "use_decoded": use,
    }
