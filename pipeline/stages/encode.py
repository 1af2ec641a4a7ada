"""encode: the crop to 2D keypoints with confidences, and to the image embedding."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.codecs import decode_heatmaps, transformed
from engines.contracts import CROP_H, CROP_W, encoder
from engines.session import Session
from pipeline.messages import Observation, Point2, Track, subject_of
from pipeline.stage import Host


class Encode:
    """Runs the HRNet encoder. A frame without a subject passes through as such."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.note = session.device

    def step(self, track: Track) -> Iterable[Observation]:
        """One observation for every track, in order."""
        evidence = {} if track.crop is None else self._look(track)
        yield Observation(**subject_of(track), **evidence)

    def flush(self) -> Iterable[Observation]:
        """Nothing is held back."""
        return ()

    def _look(self, track: Track) -> dict[str, Any]:
        assert track.crop is not None
        crop = np.frombuffer(track.crop, np.uint8).reshape(1, CROP_H, CROP_W, 3)
        result = self._session.run({"crop": crop})
        joints_crop_px, confidence = decode_heatmaps(result["heatmaps"][0])
        img_from_crop = np.asarray(track.img_from_crop, np.float64).reshape(3, 3)
        return {
            "joints_img_px": _points(transformed(joints_crop_px, img_from_crop)),
            "joints_conf": tuple(float(value) for value in confidence),
            "embedding": result["embedding"][0].astype("<f4").tobytes(),
        }


def _points(joints_px: npt.NDArray[np.float64]) -> tuple[Point2, ...]:
    return tuple((float(u), float(v)) for u, v in joints_px)


def build(host: Host) -> Encode:
    """The stage on this host."""
    return Encode(host.session(encoder(host.config.encode.network), threads=2))
