"""decode: an embedding, of the picture or of the keypoints, to one or several pelvis-relative 3D poses."""

import functools
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.contracts import (
    DIFFUSION_DECODER,
    MLP_DECODER,
    MODALITY_2D,
    MODALITY_IMAGE,
    POSE2D_ENCODER,
)
from engines.session import Session
from engines.skeleton import J
from engines.view import View, Views
from pipeline.config import views_of
from pipeline.messages import Hypotheses, Observation, subject_of
from pipeline.stage import Host

Array = npt.NDArray[np.float32]


class Decode:
    """Runs the decoder, after the keypoint encoder where the embedding is to come from the keypoints.

    Networks are told each crop's view (`engines.view`), and its poses are turned back into the camera's axes. The
    observations of all streams go through the networks together.
    """

    def __init__(
        self,
        decoder: Session,
        keypoint_encoder: Session | None,
        hypotheses: int,
        views: Callable[[str], Views],
        batch: int = 1,
    ) -> None:
        self._decoder = decoder
        self._keypoint_encoder = keypoint_encoder
        self._hypotheses = hypotheses
        self._views = functools.cache(views)
        self.batch = batch
        self.note = decoder.device

    def step(self, observations: Sequence[Observation]) -> Iterable[Hypotheses]:
        """One set of hypotheses for every observation, in order; empty where there is no subject."""
        poses = self._poses([observation for observation in observations if observation.joints_img_px])
        for observation in observations:
            joints = next(poses) if observation.joints_img_px else None
            yield Hypotheses(
                **subject_of(observation),
                joints_img_px=observation.joints_img_px,
                joints_conf=observation.joints_conf,
                count=0 if joints is None else len(joints),
                joints_root_m=None if joints is None else joints.astype("<f4").tobytes(),
            )

    def flush(self, stream: str) -> Iterable[Hypotheses]:
        """Nothing is held back."""
        return ()

    def _poses(self, observations: list[Observation]) -> Iterator[Array]:
        """Hypotheses (H, 17, 3) of each."""
        if not observations:
            return
        views = [self._view(observation) for observation in observations]
        box = np.stack([view.box for view in views])
        embedding, modality = self._embedding(observations, views, box)
        inputs: dict[str, npt.NDArray[Any]] = {
            "embedding": embedding,
            "modality": np.full(len(observations), modality, np.int64),
            "box": box,
        }
        if self._decoder.contract is DIFFUSION_DECODER:
            inputs["noise"] = np.stack([self._noise(seen.stream, seen.subject) for seen in observations])
        joints = self._decoder.run(inputs)["joints"]
        for view, poses in zip(views, joints.reshape(len(observations), -1, J, 3), strict=True):
            yield view.cam_from_view(poses)

    def _view(self, observation: Observation) -> View:
        assert observation.crop_img_px is not None
        return self._views(observation.stream).of_crop(observation.crop_img_px, observation.width, observation.height)

    def _embedding(self, observations: list[Observation], views: list[View], box: Array) -> tuple[Array, int]:
        if self._keypoint_encoder is None:
            return np.stack([np.frombuffer(seen.embedding or b"", "<f4") for seen in observations]), MODALITY_IMAGE
        keypoints = [view.keypoints(seen.joints_img_px) for view, seen in zip(views, observations, strict=True)]
        inputs = {
            "keypoints": np.stack(keypoints),
            "confidence": np.array([seen.joints_conf for seen in observations], np.float32),
            "box": box,
        }
        return self._keypoint_encoder.run(inputs)["embedding"], MODALITY_2D

    def _noise(self, stream: str, subject: int) -> Array:
        """The same seeds for a stream's subject at all times, so that its hypotheses do not flicker."""
        generator = np.random.default_rng([subject, zlib.crc32(stream.encode())])
        return generator.standard_normal((self._hypotheses, J * 3)).astype(np.float32)


def build(host: Host) -> Decode:
    """The stage on this host."""
    settings = host.config.decode
    contract = MLP_DECODER if settings.decoder == "mlp" else DIFFUSION_DECODER
    keypoint_encoder = host.session(POSE2D_ENCODER) if settings.source == "keypoints" else None
    decoder = host.session(contract, hypotheses=settings.hypotheses)
    batch = host.batch(decoder) if keypoint_encoder is None else host.batch(decoder, keypoint_encoder)
    config = host.config
    return Decode(decoder, keypoint_encoder, settings.hypotheses, lambda stream: views_of(config, stream), batch)
