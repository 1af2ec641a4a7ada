"""Of one stream: the athlete's poses in space, revision by revision, and the dives that come of them.

`flight.placing` does the sums; here they are asked for as the revisions need it. Provisional poses feed the fall that
grows, refined ones replace them in it, and when the refined ones are past the entry the fall is fitted once more, as a
whole: final poses are placed by that.
"""

from collections.abc import Iterator
from typing import Any, Final, get_args

import numpy as np
import numpy.typing as npt

from calibration.venue import Calibration
from engines.skeleton import PELVIS
from engines.view import View, Views
from flight.analysis import AFTER_S, BEFORE_S, Told, told_of
from flight.falls import Flown
from flight.motion import Motion, doubts, spreads
from flight.placing import ENTRY_S, Placed, Placing
from flight.standpoint import Standpoint, standpoint
from pipeline.config import Config
from pipeline.messages import Hypotheses, Provenance, Revision

Floats = npt.NDArray[np.float64]

_KEPT_S: Final = 8.0
_KINDS: Final[tuple[Provenance, ...]] = get_args(Provenance)


class World:
    """Places the poses of a stream; forgets the athlete when another comes."""

    def __init__(self, config: Config, calibration: Calibration | None, reported: Revision) -> None:
        """`reported`: the revision whose poses a dive is told from."""
        self._config = config
        self._calibration = calibration
        known = None if calibration is None else calibration.camera
        self._views = Views(known, config.camera.vertical_fov_deg)
        self._reported = reported
        self._standpoint: Standpoint | None = None
        self._placing: Placing | None = None
        self._motion: list[tuple[int, float, Floats, Floats, float]] = []
        self._settled = 0
        self._told = 0

    def view_of(self, message: Hypotheses) -> View | None:
        """How the crop of a frame sees the athlete; None where there is none."""
        if not message.joints_img_px or message.crop_img_px is None:
            return None
        return self._views.of_crop(message.crop_img_px, message.width, message.height)

    def _standpoint_of(self, message: Hypotheses) -> Standpoint:
        camera = self._views.camera(message.width, message.height)
        if self._standpoint is None or self._standpoint.camera is not camera:
            self._standpoint = standpoint(camera, self._calibration)
            self.forget()
        return self._standpoint

    def forget(self) -> None:
        """Another athlete, or another time."""
        self._placing = None
        self._motion.clear()
        self._settled = self._told = 0

    def fields(self, message: Hypotheses, pose: npt.NDArray[np.floating] | None, revision: Revision) -> dict[str, Any]:
        """What a revision of a frame's pose (17, 3), camera axes, says of space, as fields of `PoseFrame`."""
        where = self._standpoint_of(message)
        placing = self._placing = self._placing or Placing(where, flies=self._config.track.sport == "dive")
        t_s = message.t_media_ns * 1e-9
        relative = root = None
        if pose is not None and message.joints_img_px:
            relative = np.asarray(pose - pose[PELVIS], np.float64)
            # A joint that was not measured says nothing of where the body is.
            measured = np.array(message.joints_conf)
            measured[measured < self._config.smooth.min_confidence] = 0.0
            root = placing.root(relative, np.asarray(message.joints_img_px), measured)
        if revision != "final":
            placing.observe(message.seq, t_s, relative, root)
        if revision == "refined" or self._reported == "provisional":
            self._settle(placing, t_s)
        phase, sure = placing.phase(t_s, relative is not None)
        fields: dict[str, Any] = {"phase": phase, "phase_conf": sure, "focal_px": where.camera.focal_px}
        placed = None if relative is None else placing.place(t_s, relative, root)
        if placed is None:
            return fields
        provenance = self._provenance(message)
        sd = spreads(np.array([_KINDS.index(of) for of in provenance]))
        if revision == self._reported:
            self._keep(message.seq, t_s, placed, sd)
        return fields | {
            "world": where.world,
            "metric": where.world,
            "root_cam_m": tuple(placed.root_cam_m.tolist()),
            "joints_world_m": tuple(map(tuple, placed.joints_world_m.tolist())),
            "joints_cov_m2": _covariances(placed.root_covariance_m2, sd),
            "provenance": provenance,
        }

    def told(self, ended: bool = False) -> Iterator[Told]:
        """Dives and jumps that are over and whose poses are all there, each once; at the end of the stream the last."""
        if self._placing is None or self._standpoint is None or not self._motion:
            return
        if ended:
            self._settle(self._placing, np.inf)
        newest_s = self._motion[-1][1]
        while self._told < min(len(self._placing.flown), self._settled):
            flown = self._placing.flown[self._told]
            if newest_s < flown.entry_s + ENTRY_S and not ended:
                return
            self._told += 1
            seq, motion, doubt = self._stretch(flown)
            told = told_of(motion, seq, flown.off, flown.entry, self._standpoint, doubt)
            if told is not None:
                yield told

    def _settle(self, placing: Placing, t_s: float) -> None:
        """Fit a fall once more when its refined poses are all known."""
        if t_s == np.inf:
            placing.settle()
        if len(placing.flown) > self._settled and t_s >= placing.flown[-1].entry_s + ENTRY_S:
            placing.settle()
            self._settled = len(placing.flown)

    def _keep(self, seq: int, t_s: float, placed: Placed, sd: Floats) -> None:
        if self._motion and t_s <= self._motion[-1][1]:
            return
        doubt = float(doubts(_six(placed.root_covariance_m2)[None], np.zeros(1), placed.root_cam_m[None])[0])
        self._motion.append((seq, t_s, placed.joints_world_m, sd, doubt))
        while self._motion[0][1] < t_s - _KEPT_S:
            del self._motion[0]

    def _stretch(self, flown: Flown) -> tuple[npt.NDArray[np.int64], Motion, float]:
        """The frames about a fall as a motion, and how uncertain its lengths are, relative to them."""
        first_s, last_s = flown.take_off_s - 2 * BEFORE_S, flown.entry_s + AFTER_S
        rows = [row for row in self._motion if first_s <= row[1] <= last_s] or self._motion[-1:]
        seq, t_s, joints, sd, _ = zip(*rows, strict=True)
        doubt = [row[-1] for row in rows if flown.covers(row[1])] or [row[-1] for row in rows]
        return np.array(seq, np.int64), Motion(np.array(t_s), np.stack(joints), np.stack(sd)), float(np.median(doubt))

    def _provenance(self, message: Hypotheses) -> tuple[Provenance, ...]:
        """Of each joint: seen in this frame, filled in beside others that were, or foretold where nobody was seen."""
        kinds: list[Provenance] = ["predicted"] * len(message.joints_conf)
        if message.state != "coasted":
            least = self._config.smooth.min_confidence
            kinds = ["measured" if sure >= least else "completed" for sure in message.joints_conf]
        return tuple(kinds)


def _six(matrix: Floats) -> Floats:
    """xx, xy, xz, yy, yz, zz of a symmetric matrix (3, 3)."""
    return np.asarray(matrix[[0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]])


def _covariances(root: Floats, sd: Floats) -> tuple[tuple[float, ...], ...]:
    """Of each joint xx, xy, xz, yy, yz, zz: that of the body's place, and on the diagonal the joint's own."""
    xx, xy, xz, yy, yz, zz = _six(root).tolist()
    return tuple((xx + own, xy, xz, yy + own, yz, zz + own) for own in (sd**2).tolist())
