"""`align`: picture, 2D pose and 3D pose of one moment to one embedding (UniHPE, Jiang et al., 2023).

Stage `poses`: both pose encoders learn from pose pairs, without pictures, to find each other's embedding in a large
batch. Stage `pictures`: the pose encoders are frozen, and HRNet's embedding is drawn to theirs from crops, by the pair
loss and the triplet loss. Its trunk stays as `backbone` left it, so that the heat maps keep their accuracy, unless
`trunk_rate` lets it follow slowly; it then rehearses the heat maps.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from engines.contracts import HEATMAP_STRIDE
from models.hrnet import VARIANTS, HRNet
from models.pose_encoder import MLPPoseEncoder2D, MLPPoseEncoder3D, PoseEncoder2D, PoseEncoder3D
from models.view import into_view, view_of
from training import losses, poses
from training.datasets import CropPool, Crops, Mixture, normalise_picture, shards, validation_crops
from training.errors import TrainingError
from training.poses import Pairs, PoseBank, load_bank, sample_pairs
from training.prefetch import Prefetch
from training.settings import Data, typed

VALIDATION_SEED: Final = 90001
STAGES: Final = ("poses", "pictures")
ENCODERS: Final = {
    "transformer": (PoseEncoder2D, PoseEncoder3D),
    "mlp": (MLPPoseEncoder2D, MLPPoseEncoder3D),
}
TEMPERATURES: Final = {"poses": (14.0, 100.0), "pictures": (5.0, 10.0), "joint": (5.0, 5.0)}
"""First and largest logit scale of each stage, `joint` being that of `decode`."""


@dataclass(frozen=True)
class Settings:
    """Table `recipe` of configs/train/align.toml and align_pictures.toml."""

    stage: str = "poses"
    encoder: str = "transformer"
    """Of poses: `transformer`, or `mlp`, seven times as fast."""
    batch: int = 512
    """Pose pairs, or crops."""
    joint_noise_m: float = 0.01
    dives: int = 150
    stills: int = 20000
    """Random gymnast poses in the bank."""
    variant: str = "w18_small_v2"
    working_px: tuple[int, int] = (192, 144)
    """Height and width of the crops, the ones that `backbone` was trained on last."""
    triplet_weight: float = 1.0
    """0 switches the triplet loss off."""
    rotate_anchor: bool = True
    """Whether 2D and 3D poses are anchors of triplets too, in turn with the picture."""
    trunk_rate: float = 0.0
    """Learning rate of HRNet without its embedding, as a share of the loop's."""
    photos: float = 0.5
    """Share of photographs in a batch while the trunk is trained: they rehearse heat maps, they have no 3D."""
    heatmap_weight: float = 1.0
    workers: int = 1
    validation: int = 1024


class Pictures(NamedTuple):
    """Crops with the keypoints a network would have found in them."""

    crops: Crops
    keypoints: Tensor  # (B, J, 2) disturbed
    confidence: Tensor  # (B, J)
    anchor: int  # modality that anchors the triplets of this step


def pose_encoders(kind: str) -> dict[str, nn.Module]:
    """Untrained encoders of 2D and 3D poses; without dropout, as no sample is seen twice."""
    if kind not in ENCODERS:
        raise TrainingError(f"pose encoder {kind!r} unknown; have {', '.join(ENCODERS)}")
    flat, solid = ENCODERS[kind]
    return {"pose2d_encoder": flat(dropout=0.0), "pose3d_encoder": solid(dropout=0.0)}


def temperature(stage: str) -> dict[str, nn.Module]:
    """The temperature of one stage; each stage has its own, so that none starts where another ended."""
    return {"temperature": nn.ModuleDict({stage: losses.Temperature(*TEMPERATURES[stage])})}


def image_encoder(variant: str) -> dict[str, nn.Module]:
    """HRNet in the memory layout that is fastest."""
    if variant not in VARIANTS:
        raise TrainingError(f"HRNet variant {variant!r} unknown; have {', '.join(VARIANTS)}")
    return {"hrnet": HRNet(variant).to(memory_format=torch.channels_last)}  # type: ignore[call-overload]


def freeze_trunk(network: nn.Module) -> None:
    """Leaves only the embedding of an HRNet to be trained."""
    network.requires_grad_(False)
    network.embed.requires_grad_(True)  # type: ignore[union-attr]


def bank_data(bank: PoseBank) -> str:
    """What the bank holds, for headers and cards."""
    return f"{len(bank.mocap)} mocap clips, {len(bank.dives)} generated dives, random gymnast poses"


class Align:
    """The recipe `align`."""

    name = "align"

    def __init__(self, settings: Settings, data: Data, seed: int) -> None:
        if settings.stage not in STAGES:
            raise TrainingError(f"align: stage {settings.stage!r} unknown; have {', '.join(STAGES)}")
        self.settings, self.seed = settings, seed
        self.modules = nn.ModuleDict(pose_encoders(settings.encoder) | temperature(settings.stage))
        self.header: dict[str, Any] = {"stage": settings.stage, "pose_encoder": settings.encoder}
        if settings.stage == "poses":
            self._prepare_poses(data)
        else:
            self._prepare_pictures(data)

    def _prepare_poses(self, data: Data) -> None:
        s = self.settings
        self.bank = load_bank(data.mocap, False, s.dives, s.stills)
        held_out = load_bank(data.mocap, True, -(-s.dives // 6), -(-s.stills // 10))
        self.held_out = sample_pairs(np.random.default_rng(VALIDATION_SEED), held_out, s.validation)
        self.header["data"] = bank_data(self.bank)

    def _prepare_pictures(self, data: Data) -> None:
        s, folders = self.settings, [data.root / "crops"]
        self.modules.update(image_encoder(s.variant))
        for name in ("pose2d_encoder", "pose3d_encoder"):
            self.modules[name].requires_grad_(False)
        if s.trunk_rate == 0:
            freeze_trunk(self.modules["hrnet"])
        elif shards(data.root / "photos"):
            folders.append(data.root / "photos")
        pools = tuple(CropPool(folder, validation=False) for folder in folders)
        self.mixture = Mixture(pools, (1 - s.photos, s.photos) if pools[1:] else (1.0,), self.seed)
        self.stream = Prefetch(self.mixture.make, s.workers)
        self.held_out = held_out_pictures(data, s.validation, s.working_px)
        self.header |= {"variant": s.variant, "working_px": list(s.working_px)}
        self.header["data"] = ", ".join(f"{len(pool)} {pool.folder.name}" for pool in pools)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What the stage trains; the temperature without weight decay, HRNet's trunk at its own rate."""
        groups = [{"params": list(self.modules["temperature"].parameters()), "weight_decay": 0.0}]
        if self.settings.stage == "poses":
            both = (self.modules["pose2d_encoder"], self.modules["pose3d_encoder"])
            return [*groups, {"params": [p for module in both for p in module.parameters()]}]
        network = self.modules["hrnet"]
        groups.append({"params": list(network.embed.parameters())})  # type: ignore[union-attr]
        if self.settings.trunk_rate > 0:
            trunk = [p for name, p in network.named_parameters() if not name.startswith("embed.")]
            groups.append({"params": trunk, "factor": self.settings.trunk_rate})
        return groups

    def shipped(self) -> dict[str, tuple[nn.Module, Tensor | None]]:
        """The networks that shipped files can start."""
        start: dict[str, tuple[nn.Module, Tensor | None]] = {"pose2d_encoder": (self.modules["pose2d_encoder"], None)}
        if self.settings.stage == "pictures":
            picture = self.mixture.make(0, (*self.settings.working_px, 32)).picture
            start[f"hrnet_{self.settings.variant}"] = (self.modules["hrnet"], normalise_picture(picture))
        return start

    def batch(self, step: int, progress: float) -> Pairs | Pictures:
        """Fresh pairs, or crops; both follow from seed and step."""
        rng = np.random.default_rng([self.seed, step])
        if self.settings.stage == "poses":
            return sample_pairs(rng, self.bank, self.settings.batch)
        anchor = step % 3 if self.settings.rotate_anchor else 0
        return observed(rng, self.stream.get(step, (*self.settings.working_px, self.settings.batch)), anchor)

    def samples(self, batch: Pairs | Pictures) -> int:
        """Pairs or crops in the batch."""
        return len(batch.keypoints)

    def losses(self, batch: Pairs | Pictures, progress: float) -> dict[str, Tensor]:
        """The contrastive losses of the stage."""
        return self._pose_losses(batch) if isinstance(batch, Pairs) else self._picture_losses(batch)

    def _pose_losses(self, batch: Pairs) -> dict[str, Tensor]:
        m = self.modules
        m.train()
        e2 = m["pose2d_encoder"](batch.keypoints, batch.confidence, batch.box)
        e3 = m["pose3d_encoder"](seen_joints(batch.joints, batch.box, self.settings.joint_noise_m))
        scale = m["temperature"]["poses"]()  # type: ignore[index]
        loss = losses.pair_loss(e2, e3, scale)
        return {"loss": loss, "scale": scale}

    def _picture_losses(self, batch: Pictures) -> dict[str, Tensor]:
        m, s, crops = self.modules, self.settings, batch.crops
        m.eval()
        m["hrnet"].train(s.trunk_rate > 0)
        logits, image = m["hrnet"](normalise_picture(crops.picture))
        rows = crops.metric > 0.5
        with torch.no_grad():
            e2 = m["pose2d_encoder"](batch.keypoints[rows], batch.confidence[rows], crops.box[rows])
            e3 = m["pose3d_encoder"](seen_joints(crops.joints[rows], crops.box[rows]))
        scale = m["temperature"]["pictures"]()  # type: ignore[index]
        pair, triplet = contrast((image[rows], e2, e3), scale, batch.anchor, s.triplet_weight > 0)
        loss = pair + s.triplet_weight * triplet
        parts = {"pair": pair, "triplet": triplet, "scale": scale}
        if s.trunk_rate > 0:
            cells = (crops.joints_px - (HEATMAP_STRIDE - 1) / 2) / HEATMAP_STRIDE
            parts["heatmap"] = losses.heatmap_cross_entropy(logits, cells, crops.weight)
            loss = loss + s.heatmap_weight * parts["heatmap"]
        return {"loss": loss, **parts}

    def validate(self, modules: nn.ModuleDict) -> dict[str, float]:
        """How alike embeddings of one moment and of different moments are, on the held-out split."""
        modules.eval()
        if isinstance(self.held_out, Pairs):
            device = next(modules.parameters()).device
            keypoints, confidence, box, joints = (x.to(device) for x in self.held_out)
            e2 = modules["pose2d_encoder"](keypoints, confidence, box)
            return likeness("2d_3d", e2, modules["pose3d_encoder"](seen_joints(joints, box)))
        image, e2, e3 = embed_pictures(modules, self.held_out)
        return likeness("image_2d", image, e2) | likeness("image_3d", image, e3) | likeness("2d_3d", e2, e3)


def seen_joints(joints: Tensor, box: Tensor, spread_m: float = 0.0) -> Tensor:
    """Joints (B, J, 3) with noise, root-relative, in the axes of the camera that looks at the crop: as it sees them."""
    noisy = joints + spread_m * torch.randn_like(joints)
    return into_view(noisy - noisy[:, :1], view_of(box))


def observed(rng: np.random.Generator, crops: Crops, anchor: int) -> Pictures:
    """Crops with disturbed keypoints; a joint that is not labelled, or lies outside, was not found."""
    keypoints, confidence = poses.disturb(rng, crops.keypoints.numpy())
    seen = crops.weight.numpy() > 0
    found = (keypoints * seen[..., None], confidence * seen)
    return Pictures(crops, *(torch.from_numpy(np.asarray(x, np.float32)) for x in found), anchor)


def contrast(
    embeddings: tuple[Tensor, Tensor, Tensor], scale: Tensor, anchor: int, triplets: bool
) -> tuple[Tensor, Tensor]:
    """Pair loss of image, 2D and 3D embeddings (B, D), and triplet loss anchored at one of them; without gradients
    in both poses, their own pair is left out."""
    image, e2, e3 = embeddings
    pair = losses.pair_loss(image, e2, scale) + losses.pair_loss(image, e3, scale)
    if e2.requires_grad or e3.requires_grad:
        pair = pair + losses.pair_loss(e2, e3, scale)
    if not triplets:
        return pair, torch.zeros_like(pair)
    first, second, third = (embeddings[(anchor + i) % 3] for i in range(3))
    return pair, losses.triplet_loss(first, second, third, scale)


def held_out_pictures(data: Data, limit: int, working_px: tuple[int, int]) -> Pictures:
    """Held-out crops of that height and width with disturbed keypoints."""
    crops = validation_crops(data.root / "crops", min(limit, 256), *working_px)
    return observed(np.random.default_rng(VALIDATION_SEED), crops, 0)


@torch.no_grad()
def embed_pictures(modules: nn.ModuleDict, batch: Pictures) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings of held-out crops, of their keypoints and of their joints, (N, 1024) each, in evaluation mode."""
    modules.eval()
    device = next(modules.parameters()).device
    images = []
    for start in range(0, len(batch.keypoints), 16):
        with torch.autocast(device.type, torch.bfloat16):
            picture = normalise_picture(batch.crops.picture[start : start + 16].to(device))
            images.append(modules["hrnet"](picture)[1].float())
    keypoints, confidence, box, joints = (
        x.to(device) for x in (batch.keypoints, batch.confidence, batch.crops.box, batch.crops.joints)
    )
    e2 = modules["pose2d_encoder"](keypoints, confidence, box)
    return torch.cat(images), e2, modules["pose3d_encoder"](seen_joints(joints, box))


def likeness(name: str, a: Tensor, b: Tensor) -> dict[str, float]:
    """Mean cosine of matched and of mismatched rows (N, 1024), and how often the nearest row is the matched one."""
    cosine = losses.cosines(a, b)
    n = len(cosine)
    matched = float(cosine.diagonal().mean())
    mismatched = float((cosine.sum() - cosine.diagonal().sum()) / (n * (n - 1)))
    truth = torch.arange(n, device=cosine.device)
    found = float((cosine.argmax(1) == truth).float().mean() + (cosine.argmax(0) == truth).float().mean()) / 2
    return {f"{name}_matched": matched, f"{name}_mismatched": mismatched, f"{name}_found_percent": 100 * found}


def build(settings: dict[str, Any], data: Data, seed: int) -> Align:
    """The recipe from its table of settings."""
    return Align(typed(Settings, settings, "align [recipe]"), data, seed)
