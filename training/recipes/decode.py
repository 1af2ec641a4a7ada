"""`decode`: poses from the embedding of picture, 2D and 3D pose, all tasks at once (UniHPE stage 3, 2023).

Every step reads many pose pairs, which cost little, and a few crops. Joints are decoded from all three embeddings by an
MLP and by diffusion, keypoints by a small MLP that serves training alone; encoders follow at a small rate and stay
aligned. HRNet's trunk is frozen, so that the shipped encoder keeps the heat maps of `backbone`.

Each validation also fits how much the hypotheses must be spread to be honest (one factor for each class of joints and
each modality, by the expected calibration error); export folds the factors into the sampler.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engines.contracts import MODALITY_2D, MODALITY_3D, MODALITY_IMAGE
from engines.skeleton import J
from models.decoders import MODALITIES, DiffusionDecoder, MLPDecoder
from models.sampler import Sampler
from training import losses, metrics
from training.datasets import CropPool, Mixture, normalise_picture
from training.poses import Pairs, load_bank, sample_pairs
from training.prefetch import Prefetch
from training.recipes import align
from training.recipes.align import VALIDATION_SEED, Pictures, seen_joints
from training.settings import Data, typed

HYPOTHESES: Final = 10
"""Of each held-out pose, to measure and to fit their spread."""

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Settings:
    """Table `recipe` of configs/train/decode.toml."""

    encoder: str = "transformer"
    """Of poses, as in `align`."""
    variant: str = "w18_small_v2"
    working_px: tuple[int, int] = (192, 144)
    """As in `align`."""
    batch: int = 256
    """Pose pairs a step."""
    solid_share: float = 0.25
    """Share of the pairs whose 3D pose is encoded too; 0 for none."""
    pictures: int = 8
    """Crops a step; 0 trains without pictures, and without HRNet in the run."""
    contrast_weight: float = 0.1
    triplet_weight: float = 1.0
    """Of the triplet loss inside the contrastive one; 0 switches it off."""
    joints_weight: float = 4.0
    keypoints_weight: float = 1.0
    diffusion_weight: float = 0.02
    diffusion_draws: int = 1
    """Noise levels a pose."""
    diffusion_hidden: int = 512
    mlp_hidden: int = 896
    """The paper has 1024 in both."""
    condition_dropout: float = 0.1
    """Share of poses whose diffusion is not told the embedding, which keeps a prior of poses."""
    encoder_rate: float = 0.3
    """Learning rate of the encoders, as a share of the decoders'; 0 leaves them as they are."""
    data_scale: float = 5.0
    joint_noise_m: float = 0.01
    dives: int = 150
    stills: int = 20000
    """Random gymnast poses in the bank."""
    workers: int = 1
    validation: int = 1024


class Batch(NamedTuple):
    """Pairs, and crops if there are any."""

    pairs: Pairs
    pictures: Pictures | None


class Tasks(NamedTuple):
    """What decoders read, and the joints that are right."""

    embedding: Tensor  # (N, 1024)
    modality: Tensor  # (N,)
    box: Tensor  # (N, 3)
    joints: Tensor  # (N, J, 3)


def decoders(settings: Settings) -> dict[str, nn.Module]:
    """Untrained decoders; the one of keypoints is small, as nothing but training uses it."""
    return {
        "mlp_decoder": MLPDecoder(hidden=settings.mlp_hidden, dropout=0.0),
        "keypoint_decoder": MLPDecoder(out_dim=2, hidden=256, blocks=1, dropout=0.0),
        "diffusion_decoder": DiffusionDecoder(
            hidden=settings.diffusion_hidden,
            dropout=0.0,
            condition_dropout=settings.condition_dropout,
            data_scale=settings.data_scale,
        ),
    }


def tasks(kind: int, embedding: Tensor, box: Tensor, joints: Tensor) -> Tasks:
    """Decoding tasks from one modality."""
    return Tasks(embedding.float(), torch.full((len(box),), kind, dtype=torch.int64, device=box.device), box, joints)


class Decode:
    """The recipe `decode`."""

    name = "decode"

    def __init__(self, settings: Settings, data: Data, seed: int) -> None:
        s = self.settings = settings
        self.seed = seed
        self.modules = nn.ModuleDict(align.pose_encoders(s.encoder) | decoders(s) | align.temperature("joint"))
        self.bank = load_bank(data.mocap, False, s.dives, s.stills)
        held_out = load_bank(data.mocap, True, -(-s.dives // 6), -(-s.stills // 10))
        self.held_out = sample_pairs(np.random.default_rng(VALIDATION_SEED), held_out, s.validation)
        if not s.encoder_rate:
            for name in ("pose2d_encoder", "pose3d_encoder"):
                self.modules[name].requires_grad_(False)
        self.header: dict[str, Any] = {
            "pose_encoder": s.encoder,
            "data_scale": s.data_scale,
            "diffusion_hidden": s.diffusion_hidden,
            "mlp_hidden": s.mlp_hidden,
            "data": align.bank_data(self.bank),
        }
        self.held_out_pictures: Pictures | None = None
        if s.pictures:
            self._prepare_pictures(data)

    def _prepare_pictures(self, data: Data) -> None:
        self.modules.update(align.image_encoder(self.settings.variant))
        align.freeze_trunk(self.modules["hrnet"])
        pool = CropPool(data.root / "crops", validation=False)
        self.mixture = Mixture((pool,), (1.0,), self.seed)
        self.stream = Prefetch(self.mixture.make, self.settings.workers)
        self.held_out_pictures = align.held_out_pictures(data, self.settings.validation, self.settings.working_px)
        self.header |= {"variant": self.settings.variant, "working_px": list(self.settings.working_px)}
        self.header["data"] += f"; {len(pool)} crops of synthetic athletes"

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Decoders at the full rate, encoders slowly, the temperature without weight decay."""
        m, slow = self.modules, [self.modules["pose2d_encoder"], self.modules["pose3d_encoder"]]
        if "hrnet" in m:
            slow.append(m["hrnet"].embed)  # type: ignore[arg-type]
        fast = [m["mlp_decoder"], m["keypoint_decoder"], m["diffusion_decoder"]]
        return [
            {"params": [p for module in fast for p in module.parameters()]},
            {"params": [p for module in slow for p in module.parameters()], "factor": self.settings.encoder_rate},
            {"params": list(m["temperature"].parameters()), "weight_decay": 0.0},
        ]

    def shipped(self) -> dict[str, tuple[nn.Module, Tensor | None]]:
        """The networks that shipped files can start; those of the diffusion hold its time terms as constants."""
        m = self.modules
        start: dict[str, tuple[nn.Module, Tensor | None]] = {
            name: (m[name], None) for name in ("pose2d_encoder", "mlp_decoder")
        }
        if "hrnet" in m:
            picture = normalise_picture(self.mixture.make(0, (*self.settings.working_px, 32)).picture)
            start[f"hrnet_{self.settings.variant}"] = (m["hrnet"], picture)
        return start

    def batch(self, step: int, progress: float) -> Batch:
        """Fresh pairs and crops; both follow from seed and step."""
        rng = np.random.default_rng([self.seed, step])
        pairs = sample_pairs(rng, self.bank, self.settings.batch)
        if not self.settings.pictures:
            return Batch(pairs, None)
        return Batch(
            pairs,
            align.observed(rng, self.stream.get(step, (*self.settings.working_px, self.settings.pictures)), step % 3),
        )

    def samples(self, batch: Batch) -> int:
        """Pairs in the batch."""
        return len(batch.pairs.joints)

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """L_cl + L_2D + L_3D."""
        m, s = self.modules, self.settings
        m.train()
        scale = m["temperature"]["joint"]()  # type: ignore[index]
        todo, contrastive = self._pair_tasks(batch.pairs, scale)
        keypoints = torch.zeros((), device=scale.device)
        if batch.pictures is not None:
            of_pictures, drawn, keypoints = self._picture_tasks(batch.pictures, scale)
            todo, contrastive = [*todo, *of_pictures], contrastive + drawn
        every = Tasks(*(torch.cat(column) for column in zip(*todo, strict=True)))
        decoded = m["mlp_decoder"](every.embedding, every.modality, every.box)
        joints = losses.euclid(decoded, every.joints)
        score = self._score(every) if s.diffusion_weight else torch.zeros_like(joints)
        loss = s.contrast_weight * contrastive + s.joints_weight * joints
        loss = loss + s.keypoints_weight * keypoints + s.diffusion_weight * score
        with torch.no_grad():
            count = len(batch.pairs.joints)
            lift = losses.euclid(decoded[:count], batch.pairs.joints)
        parts = {"contrast": contrastive, "joints_m": joints, "lift_m": lift, "keypoints": keypoints, "score": score}
        return {"loss": loss, **parts, "scale": scale}

    def _score(self, todo: Tasks) -> Tensor:
        repeated = (
            x.repeat_interleave(self.settings.diffusion_draws, 0)
            for x in (todo.joints, todo.embedding, todo.modality, todo.box)
        )
        score: Tensor = self.modules["diffusion_decoder"].loss(*repeated)
        return score

    def _pair_tasks(self, pairs: Pairs, scale: Tensor) -> tuple[list[Tasks], Tensor]:
        count = max(2, round(self.settings.solid_share * len(pairs.joints)))
        e2 = self.modules["pose2d_encoder"](pairs.keypoints, pairs.confidence, pairs.box)
        if not self.settings.solid_share:
            return [tasks(MODALITY_2D, e2, pairs.box, pairs.joints)], torch.zeros_like(scale)
        e3 = self.modules["pose3d_encoder"](
            seen_joints(pairs.joints[:count], pairs.box[:count], self.settings.joint_noise_m)
        )
        flat = tasks(MODALITY_2D, e2, pairs.box, pairs.joints)
        solid = tasks(MODALITY_3D, e3, pairs.box[:count], pairs.joints[:count])
        return [flat, solid], losses.pair_loss(e2[:count], e3, scale)

    def _picture_tasks(self, batch: Pictures, scale: Tensor) -> tuple[list[Tasks], Tensor, Tensor]:
        """Tasks from crops with 3D truth, their contrastive loss, and the error of keypoints decoded from them."""
        m, s, crops = self.modules, self.settings, batch.crops
        m["hrnet"].eval()
        rows = crops.metric > 0.5
        box, joints = crops.box[rows], crops.joints[rows]
        embeddings = (
            m["hrnet"](normalise_picture(crops.picture[rows]))[1],
            m["pose2d_encoder"](batch.keypoints[rows], batch.confidence[rows], box),
            m["pose3d_encoder"](seen_joints(joints, box, s.joint_noise_m)),
        )
        pair, triplet = align.contrast(embeddings, scale, batch.anchor, s.triplet_weight > 0)
        todo = [
            tasks(kind, e, box, joints)
            for kind, e in zip((MODALITY_IMAGE, MODALITY_2D, MODALITY_3D), embeddings, strict=True)
        ]
        every = Tasks(*(torch.cat(column) for column in zip(*todo, strict=True)))
        decoded = m["keypoint_decoder"](every.embedding, every.modality, every.box)
        weight = crops.weight[rows].repeat(MODALITIES, 1)
        return (
            todo,
            pair + s.triplet_weight * triplet,
            losses.euclid(decoded, crops.keypoints[rows].repeat(MODALITIES, 1, 1), weight),
        )

    @torch.no_grad()
    def validate(self, modules: nn.ModuleDict) -> dict[str, float]:
        """Errors in millimetres of held-out poses by decoder and orientation, and honesty of the hypotheses."""
        modules.eval()
        device = next(modules.parameters()).device
        keypoints, confidence, box, joints = (x.to(device) for x in self.held_out)
        e2 = modules["pose2d_encoder"](keypoints, confidence, box)
        e3 = modules["pose3d_encoder"](seen_joints(joints, box))
        factors = np.ones((MODALITIES, J))
        figures, factors[MODALITY_2D] = decoding("lift", modules, tasks(MODALITY_2D, e2, box, joints))
        of_joints, factors[MODALITY_3D] = decoding("auto", modules, tasks(MODALITY_3D, e3, box, joints))
        figures |= of_joints | align.likeness("2d_3d", e2, e3)
        if self.held_out_pictures is not None:
            embeddings = align.embed_pictures(modules, self.held_out_pictures)
            crops = self.held_out_pictures.crops
            todo = tasks(MODALITY_IMAGE, embeddings[0], crops.box.to(device), crops.joints.to(device))
            of_picture, factors[MODALITY_IMAGE] = decoding("image", modules, todo)
            figures |= of_picture | align.likeness("image_3d", embeddings[0], embeddings[2])
        self.header["inflation"] = factors.tolist()
        return figures


def decoding(name: str, modules: nn.ModuleDict, todo: Tasks) -> tuple[dict[str, float], Array]:
    """Figures of both decoders on held-out poses, and the factors (J,) that make the hypotheses' spread honest.

    The factors are fitted on every other pose; the calibration errors are those of the rest.
    """
    truth = todo.joints.cpu().numpy()
    decoded = modules["mlp_decoder"](todo.embedding, todo.modality, todo.box).float().cpu().numpy()
    samples = hypotheses(modules["diffusion_decoder"], todo)
    figures = {f"{name}_mpjpe_mm": metrics.mpjpe(decoded, truth), f"{name}_p_mpjpe_mm": metrics.p_mpjpe(decoded, truth)}
    where = metrics.orientation(truth)
    for kind in ("upright", "side", "inverted"):
        if (where == kind).any():
            figures[f"{name}_{kind}_mpjpe_mm"] = metrics.mpjpe(decoded[where == kind], truth[where == kind])
    figures[f"{name}_diffusion_mpjpe_mm"] = metrics.p_agg(samples, truth)
    figures[f"{name}_diffusion_best_mpjpe_mm"] = metrics.min_mpjpe(samples, truth)
    factor = metrics.fit_inflation(samples[::2], truth[::2])
    figures[f"{name}_ece_raw"] = metrics.ece(samples[1::2], truth[1::2])
    figures[f"{name}_ece"] = metrics.ece(metrics.inflate(samples[1::2], factor), truth[1::2])
    return figures, factor


def hypotheses(denoiser: nn.Module, todo: Tasks) -> Array:
    """Sampled joints (N, HYPOTHESES, J, 3), as spread as the denoiser has them."""
    assert isinstance(denoiser, DiffusionDecoder)
    generator = torch.Generator().manual_seed(VALIDATION_SEED)
    noise = torch.randn(len(todo.box), HYPOTHESES, J * 3, generator=generator).to(todo.box.device)
    sampled: Tensor = Sampler(denoiser)(todo.embedding, todo.modality, todo.box, noise)
    return np.asarray(sampled.cpu().numpy())


def build(settings: dict[str, Any], data: Data, seed: int) -> Decode:
    """The recipe from its table of settings."""
    return Decode(typed(Settings, settings, "decode [recipe]"), data, seed)
