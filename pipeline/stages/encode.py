"""encode: the crop to 2D keypoints with confidences, and to the image embedding where decode asks for it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.codecs import transformed
from engines.contracts import CROP_H, CROP_W, encoder
from engines.heatmaps import joints_of_heatmaps
from engines.session import Session
from pipeline.messages import Observation, Point2, Track, subject_of
from pipeline.stage import Host


class Encode:
    """Runs the HRNet encoder on the crops of all streams. A frame without a subject passes through as such."""

    def __init__(self, session: Session, batch: int = 1) -> None:
        self._session = session
        self.batch = batch
        self.note = session.device

    def step(self, tracks: Sequence[Track]) -> Iterable[Observation]:
        """One observation for every track, in order; all crops go through the network together."""
        evidence = self._look([track for track in tracks if track.crop is not None])
        for track in tracks:
            yield Observation(**subject_of(track), **({} if track.crop is None else next(evidence)))

    def flush(self, stream: str) -> Iterable[Observation]:
        """Nothing is held back."""
        return ()

    def _look(self, tracks: list[Track]) -> Iterator[dict[str, Any]]:
        if not tracks:
            return
        crops = np.frombuffer(b"".join(track.crop for track in tracks if track.crop is not None), np.uint8)
        result = self._session.run({"crop": crops.reshape(len(tracks), CROP_H, CROP_W, 3)})
        embeddings = result.get("embedding", [None] * len(tracks))
        found = zip(*joints_of_heatmaps(result["heatmaps"]), embeddings, strict=True)
        for track, (joints_crop_px, confidence, embedding) in zip(tracks, found, strict=True):
            img_from_crop = np.asarray(track.img_from_crop, np.float64).reshape(3, 3)
            yield {
                "joints_img_px": _points(transformed(joints_crop_px, img_from_crop)),
                "joints_conf": tuple(float(value) for value in confidence),
                "embedding": None if embedding is None else embedding.astype("<f4").tobytes(),
            }


def _points(joints_px: npt.NDArray[np.float64]) -> tuple[Point2, ...]:
    return tuple((float(u), float(v)) for u, v in joints_px)


def build(host: Host) -> Encode:
    """The stage on this host."""
    wanted = host.config.decode.source == "image"
    session = host.session(encoder(host.config.encode.network, embedding=wanted))
    return Encode(session, host.batch(session))
