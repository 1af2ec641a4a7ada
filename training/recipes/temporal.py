"""`temporal`: the masked pose model, first rebuilding masked sequences (stage I), then turning streams of keypoints,
of decoded joints, or of both, into motion (stage II).

Stage I alternates between 2D and 3D batches. Stage II is the streaming form: a random look-ahead per window, attention
masks instead of padding, frames and joints lost, three input modes with shared weights (lift, fuse, denoise). Windows
are short at first and full at the end: a short one is exactly a full one whose other frames have not been seen, and
shows many more bodies and cameras at the same cost. It lies at the new end of the window or anywhere in it, so that
all places are learned. Only the sequence head is trained; the strided decoder stays as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engines.contracts import LOOKAHEADS, WINDOW
from engines.skeleton import J
from models.layers import key_mask
from models.pretraining import MaskedPoseModel, Masks, draw_masks, draw_tubes
from models.temporal import MPM
from models.view import into_view, keypoints_in_view, view_of
from training import losses
from training.detection import decoded, rough_residuals, unseen_joints
from training.per_frame import per_frame
from training.poses import PoseBank, load_bank
from training.prefetch import Prefetch
from training.sequences import RATE_HZ, Windows, sample_windows
from training.settings import Data, typed
from training.temporal_validation import HeldOut

VALIDATION_SEED = 90002
LOOKAHEAD_FRAMES = torch.tensor(LOOKAHEADS)
PARTS = ("rebuilt_2d", "rebuilt_3d", "position_m", "velocity_m", "acceleration_m")
TUBE_EVERY = 5
"""Every fifth pair of batches of stage I masks limbs in all frames instead of frames and joints."""


@dataclass(frozen=True)
class Settings:
    """Table `recipe` of configs/train/temporal.toml."""

    layers: int = 4
    pretrain: float = 0.1
    """Share of the budget for stage I; 0 leaves it out."""
    pretrain_batch: int = 12
    lengths: list[list[float]] = field(default_factory=lambda: [[0.45, 27, 96], [0.8, 81, 32], [1.0, 243, 12]])
    """Stage II: until which progress, how many frames, how many windows a batch."""
    fuse: float = 0.65
    denoise: float = 0.1
    """Shares of a batch's windows in these modes; the others lift."""
    anywhere: float = 0.5
    """Share of batches of short windows that do not lie at the new end."""
    dropout: float = 0.0
    velocity_weight: float = 2.0
    acceleration_weight: float = 0.5
    bone_weight: float = 0.1
    dives: int = 150
    decoder: str = "weights"
    """Folder of the per-frame decoder whose poses `fuse` and `denoise` take and whose figures stand beside; empty:
    none."""
    validation: int = 48
    workers: int = 0
    """Processes that make batches; 0: the training process itself."""


class Rebuild(NamedTuple):
    """A batch of stage I; `pose` in the views of its frames' crops."""

    pose: Tensor  # (B, T, J, 2 or 3)
    joints_masked: Tensor  # (B, T, J) bool
    visible: Tensor  # (B, n) int64


class Lift(NamedTuple):
    """A batch of stage II: first the windows that lift, then those that fuse, then those that denoise."""

    windows: Windows
    decoded: Tensor  # (fuse + denoise, T, J, 3) joints of a per-frame decoder on the same keypoints
    decoded_missing: Tensor  # (fuse + denoise, T, J)
    denoise: Tensor  # () how many windows have no keypoints
    lookahead: Tensor  # (B,) index in LOOKAHEADS
    after: Tensor  # () how many places of the network's window lie behind the newest frame


@dataclass(frozen=True)
class Maker:
    """Makes batches from a seed."""

    bank: PoseBank
    settings: Settings
    seed: int

    def make(self, step: int, frames: int, size: int) -> Rebuild | Lift:
        """Batch number `step` of `size` windows of `frames` frames; 0 frames: of stage I."""
        rng = np.random.default_rng([self.seed, step])
        return self._lift(rng, frames, size) if frames else self._rebuild(rng, step, size)

    def _rebuild(self, rng: np.random.Generator, step: int, size: int) -> Rebuild:
        windows = sample_windows(rng, self.bank, size, WINDOW, clean=True)
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        flat = keypoints_in_view(windows.keypoints, windows.box)
        pose = into_view(windows.joints, view_of(windows.box)) if step % 2 else flat
        draw = draw_tubes if step // 2 % TUBE_EVERY == TUBE_EVERY - 1 else draw_masks
        masks = draw(size, WINDOW, generator=generator)
        return Rebuild(pose, masks.joints, masks.visible)

    def _lift(self, rng: np.random.Generator, frames: int, size: int) -> Lift:
        s = self.settings
        windows = sample_windows(rng, self.bank, size, frames)
        fuse, denoise = round(s.fuse * size), round(s.denoise * size)
        deep = self._decoded(rng, Windows(*(x[size - fuse - denoise :] for x in windows)))
        gone = np.zeros(deep.shape[:3], np.float32)
        for row in range(fuse, fuse + denoise):
            gone[row] = unseen_joints(rng, frames)
        after = int(rng.integers(WINDOW - frames + 1)) if rng.random() < s.anywhere else 0
        inside = [i for i, k in enumerate(LOOKAHEADS) if after <= k < after + frames] or [len(LOOKAHEADS) - 1]
        return Lift(
            windows,
            torch.from_numpy(deep),
            torch.from_numpy(gone),
            torch.tensor(denoise),
            torch.from_numpy(rng.choice(inside, size)),
            torch.tensor(after),
        )

    def _decoded(self, rng: np.random.Generator, windows: Windows) -> NDArray[np.float32]:
        """Joints (B, T, J, 3) by the per-frame decoder from the windows' own keypoints, which is what goes with them
        live; without a decoder the truth with errors like one's."""
        decoder = per_frame(self.settings.decoder)
        if decoder is not None:
            return decoder.windows(windows)
        errors = rough_residuals(rng)
        made = [decoded(rng, joints, errors) for joints in windows.joints.numpy()]
        return np.array(made, np.float32).reshape(windows.joints.shape)


class Temporal:
    """The recipe `temporal`."""

    name = "temporal"

    def __init__(self, settings: Settings, data: Data, seed: int) -> None:
        self.settings, self.seed = settings, seed
        mpm = MPM(layers=settings.layers, mlp_dropout=settings.dropout, dropout=settings.dropout)
        # The whole pre-training model is kept, so that one checkpoint serves both stages.
        self.modules = nn.ModuleDict({"pretraining": MaskedPoseModel(mpm, dropout=settings.dropout)})
        self.bank = load_bank(data.mocap, False, settings.dives, stills=10)
        held_out = load_bank(data.mocap, True, max(2, settings.dives // 6), stills=10)
        rng = np.random.default_rng(VALIDATION_SEED)
        self.stream: Prefetch[Rebuild | Lift] = Prefetch(Maker(self.bank, settings, seed).make, settings.workers)
        self.held_out = HeldOut(rng, held_out, settings.validation, per_frame(settings.decoder))
        self.header: dict[str, Any] = {
            "rate_hz": RATE_HZ,
            "window": WINDOW,
            "layers": settings.layers,
            "lookaheads": list(LOOKAHEADS),
            "schedule": {"pretrain": settings.pretrain, "lengths": settings.lengths},
            "data": f"{len(self.bank.mocap)} mocap clips, {len(self.bank.dives)} generated dives",
        }

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All but the strided decoder, which this recipe does not use."""
        unused = ("strided", "frame_head")
        named = self.modules["pretraining"].named_parameters()
        return [{"params": [p for name, p in named if not name.removeprefix("mpm.").startswith(unused)]}]

    def shipped(self) -> dict[str, tuple[nn.Module, Tensor | Callable[[], object] | None]]:
        """Both shipped parts of the network; the decoders of stage I are not among them."""
        mpm = self.modules["pretraining"].mpm
        w = sample_windows(np.random.default_rng(self.seed), self.bank, 64, 27)
        every = (w.keypoints, w.missing, w.joints, torch.zeros_like(w.missing), w.seen, w.seen, w.box)
        frames = [x.flatten(0, 1) for x in every]
        return {"temporal_frame": (mpm, lambda: mpm.fuse_frame(*frames)), "temporal_window": (mpm, None)}

    def batch(self, step: int, progress: float) -> Rebuild | Lift:
        """Fresh windows; they depend on seed, step and stage alone."""
        s = self.settings
        if progress < s.pretrain:
            return self.stream.get(step, 0, s.pretrain_batch)
        frames, size = next((int(t), int(n)) for until, t, n in s.lengths if progress < until or until >= 1)
        return self.stream.get(step, frames, size)

    def samples(self, batch: Rebuild | Lift) -> int:
        """Windows in the batch."""
        return len(batch.pose if isinstance(batch, Rebuild) else batch.lookahead)

    def losses(self, batch: Rebuild | Lift, progress: float) -> dict[str, Tensor]:
        """Stage I or stage II, by the kind of batch."""
        model = self.modules["pretraining"].train()
        if isinstance(batch, Rebuild):
            loss = model.loss(batch.pose, Masks(batch.joints_masked, batch.visible))
            name = "rebuilt_2d" if batch.pose.shape[-1] == 2 else "rebuilt_3d"
            return {"loss": loss, **_zeros(loss, *PARTS), name: loss}
        truth, seen = batch.windows.joints, batch.windows.seen
        predicted = mixed(model.mpm, batch)
        weight = frame_weights(batch.lookahead, truth.shape[1], int(batch.after)) * (0.3 + 0.7 * seen)
        position = losses.euclid(predicted, truth, weight[..., None])
        velocity = losses.velocity(predicted, truth)
        acceleration = losses.acceleration(predicted, truth)
        s = self.settings
        loss = position + s.velocity_weight * velocity + s.acceleration_weight * acceleration
        loss = loss + s.bone_weight * losses.bone_variance(predicted)
        parts = {"position_m": position, "velocity_m": velocity, "acceleration_m": acceleration}
        return {"loss": loss, **_zeros(loss, *PARTS), **parts}

    @torch.no_grad()
    def validate(self, modules: nn.ModuleDict) -> dict[str, float]:
        """Figures on held-out windows: disturbed, exact, and dives as a stream beside the per-frame decoder."""
        mpm = modules["pretraining"].mpm.eval()

        device = mpm.not_root.device

        def predict(windows: Windows, lookahead: Tensor, joints: Tensor | None) -> Tensor:
            windows, lookahead = Windows(*(x.to(device) for x in windows)), lookahead.to(device)
            if joints is None:
                return lift(mpm, windows, lookahead)
            return fuse(mpm, windows, joints.to(device), lookahead)

        return self.held_out.figures(predict)


def _zeros(like: Tensor, *names: str) -> dict[str, Tensor]:
    return {name: like.new_zeros(()) for name in names}


def mixed(mpm: MPM, batch: Lift) -> Tensor:
    """Joints (B, T, J, 3) of a batch in which every window has its own input mode."""
    w = batch.windows
    size, frames = w.seen.shape
    deep, flat = len(batch.decoded), size - int(batch.denoise)
    fused, denoised = (flat - (size - deep)) * frames, int(batch.denoise) * frames
    view = view_of(w.box.flatten(0, 1))
    hidden_2d, _ = mpm.hidden_2d(*(x[:flat].flatten(0, 1) for x in (w.keypoints, w.missing, w.box)))
    box_3d = w.box[size - deep :]
    hidden_3d, _ = mpm.hidden_3d(*(x.flatten(0, 1) for x in (batch.decoded, batch.decoded_missing, box_3d)))
    # One pass for both modalities: the norms then see the same mixture in every batch.
    shared = mpm.spatial(torch.cat([hidden_2d, hidden_3d])).float()
    lifting, flat_part, deep_part, alone = shared.split([(size - deep) * frames, fused, fused, denoised])
    token = torch.cat([lifting, flat_part + deep_part + mpm.mode[1], alone + mpm.mode[0]])
    joints = torch.cat([batch.decoded.new_zeros(size - deep, frames, J, 3), batch.decoded]).flatten(0, 1)
    known = torch.cat([batch.decoded.new_zeros(size - deep, frames, J), 1 - batch.decoded_missing]).flatten(0, 1)
    # Differences of neighbouring frames are finer than half precision: poses are carried in single.
    with torch.autocast(token.device.type, enabled=False):
        feature = mpm.with_carried(token, joints, known, view)
    return _poses(mpm, feature.unflatten(0, (size, frames)), w.seen, batch.lookahead, int(batch.after))


def lift(mpm: MPM, batch: Windows, lookahead: Tensor) -> Tensor:
    """Joints (B, T, J, 3) of windows of T <= 243 frames, which take the newest T places of the network's window, from
    keypoints alone."""
    features = mpm.encode_frame(*(x.flatten(0, 1) for x in (batch.keypoints, batch.missing, batch.box)))
    return _poses(mpm, features.unflatten(0, batch.seen.shape), batch.seen, lookahead, 0)


def fuse(mpm: MPM, batch: Windows, decoded: Tensor, lookahead: Tensor) -> Tensor:
    """As `lift`, from keypoints and the joints `decoded` (B, T, J, 3) of a per-frame decoder."""
    keypoints, missing, joints, box = (x.flatten(0, 1) for x in (batch.keypoints, batch.missing, decoded, batch.box))
    both = torch.ones(len(box), device=box.device)
    features = mpm.fuse_frame(keypoints, missing, joints, torch.zeros_like(missing), both, both, box)
    return _poses(mpm, features.unflatten(0, batch.seen.shape), batch.seen, lookahead, 0)


def _poses(mpm: MPM, features: Tensor, seen: Tensor, lookahead: Tensor, after: int) -> Tensor:
    tokens = torch.where(seen[..., None] > 0.5, features[..., : mpm.dim], 0.0)
    end = mpm.frames - after
    tokens = tokens + mpm.temporal.position[end - features.shape[1] : end] + mpm.lookahead(lookahead)[:, None]
    tokens = mpm.temporal(tokens, key_mask(seen))
    with torch.autocast(features.device.type, enabled=False):
        return mpm.poses(tokens.float(), features.float(), seen)


def frame_weights(lookahead: Tensor, frames: int, after: int = 0) -> Tensor:
    """Weights (B, T) of the frames: 1 at the wanted one, falling to 0.2 with e-folding distance 13; `after` as in
    `Lift`."""
    wanted = frames - 1 + after - LOOKAHEAD_FRAMES.to(lookahead.device)[lookahead]
    distance = (torch.arange(frames, device=lookahead.device)[None] - wanted[:, None]).abs()
    return 0.2 + 0.8 * torch.exp(-distance / 13)


def build(settings: dict[str, Any], data: Data, seed: int) -> Temporal:
    """The recipe from its table of settings."""
    return Temporal(typed(Settings, settings, "temporal [recipe]"), data, seed)
