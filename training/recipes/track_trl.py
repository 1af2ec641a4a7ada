"""Recipe `track` without labels: the detector learns where the subject is by explaining videos of dives.

Two stages. First the box must lock on what falls: reconstruction (colours and features), the box's prior, and gravity
(constant acceleration, a hinge that asks for some, steady size) on four equidistant frames of a flight. Then gravity is
off and the distance-based similarity loss shapes the vector that changes with time. The vector that does not change is
handed on between frames of a video all along. Katircioglu et al., "Temporal representation learning on monocular
videos for 3D human pose estimation".
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.func import functional_call

from models import trl as networks
from models.stn import STN, cut_crop, load_imagenet
from training import trl
from training.datasets import normalise_picture
from training.errors import TrainingError
from training.flights import Clip, Flights, Sampling, Tuples, drawn_clip, frames_of, read_clips
from training.prefetch import Prefetch
from training.recipes.track import box_figures, look
from training.settings import Data

DRAWN_FROM = 1000
"""Seeds of drawn clips for training; those for validation count from 0."""


@dataclass(frozen=True)
class Settings:
    """Table `recipe` of configs/train/track_trl.toml."""

    variant: str = "trl"
    clips: str = "dives"
    """Folder in the data with videos; every eighth is held out. Empty: figures drawn in free fall."""
    background: str = "median"
    fall: float = 0.002
    """Acceleration of falling in window coordinates per frame squared, for videos without truth."""
    side: int = 128
    batch: int = 8
    """Tuples of four frames."""
    depth: int = 50
    width: int = 64
    decoder_width: int = 128
    time_variant: int = networks.TIME_VARIANT
    time_invariant: int = networks.TIME_INVARIANT
    imagenet_resnet18: str = ""
    """A torchvision ResNet18 (safetensors, or pth with weights alone) for the feature term and the detector's trunk."""
    colour_weight: float = 2.0
    feature_weight: float = 2.0
    prior_weight: float = 0.1
    prior_half_size: float = 0.4
    initial_half_size: float = 0.5
    gravity: bool = True
    gravity_weight: float = 1.0
    order: str = "acceleration"
    """What forbids a box at rest: `acceleration`, `descent` (false while a jump rises), or `none`."""
    size_weight: float = 1.0
    spacing: tuple[int, int] = (3, 8)
    near: int = 3
    far: int = 20
    contrast_weight: float = 0.1
    contrast_form: str = "linear"
    locked_at: float = 0.4
    """Progress at which the second stage begins."""
    workers: int = 1
    drawn: int = 32
    validation: int = 400


class Unlabelled:
    """The recipe `track`, variant `trl`."""

    name = "track"

    def __init__(self, settings: Settings, data: Data, seed: int) -> None:
        _check(settings)
        self.settings = settings
        s = settings
        size = {"variant": s.time_variant, "invariant": s.time_invariant}
        self.modules = nn.ModuleDict(
            {
                "stn": STN(border=0.8, initial_size=s.initial_half_size),
                "encoder": networks.Encoder(s.depth, s.width, **size),
                "decoder": networks.Decoder(s.side, **size, width=s.decoder_width),
            }
        )
        self.imagenet: networks.ResNet | None = None
        if s.imagenet_resnet18:
            self.imagenet = _imagenet(Path(s.imagenet_resnet18), self.modules["stn"])
        training, held_out = _clips(settings, data, seed)
        self.flights = Flights(training, Sampling(s.spacing, s.near, s.far), seed)
        self.stream = Prefetch(self.flights.make, s.workers)
        self.held_out = frames_of(held_out, s.validation)
        self.header: dict[str, Any] = {
            "data": f"{len(training)} clips of {s.clips or 'drawn flights'}, no labels; gravity {s.gravity}",
        }

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All parameters alike."""
        return [{"params": list(self.modules.parameters())}]

    def shipped(self) -> dict[str, tuple[nn.Module, Tensor | None]]:
        """Nothing: this variant shows what is learned without labels."""
        return {}

    def batch(self, step: int, progress: float) -> Tuples:
        """Tuples of batch number `step`, sampled for the stage of `progress`."""
        return self.stream.get(step, self.settings.batch, progress >= self.settings.locked_at)

    def samples(self, batch: Tuples) -> int:
        """Frames in the batch."""
        return batch.picture.shape[0] * batch.picture.shape[1]

    def losses(self, batch: Tuples, progress: float) -> dict[str, Tensor]:
        """Reconstruction and prior in both stages; gravity in the first, contrast in the second."""
        self.modules.train()
        s = self.settings
        count = len(batch.picture)
        picture = normalise_picture(batch.picture.flatten(0, 1))
        background = normalise_picture(batch.background).repeat_interleave(4, 0)
        theta = self.modules["stn"].detect(picture).theta  # type: ignore[operator]
        crop = cut_crop(picture, theta, s.side, s.side)
        gain, offset = batch.jitter.flatten(0, 1)[..., None, None].unbind(1)
        variant, invariant = self.modules["encoder"](crop, crop * gain + offset)
        handed_on = trl.swapped(invariant.unflatten(0, (count, 4)), int(batch.shift)).flatten(0, 1)
        colours, mask = self.modules["decoder"](variant, handed_on)
        guess, placed = networks.compose(colours, mask, theta, background)
        guess = trl.matched(guess, picture)
        parts = {"colour": trl.mean_square(guess, picture), "features": self._features(guess, picture)}
        parts["prior"] = trl.box_prior(theta, s.prior_half_size)
        loss = s.colour_weight * parts["colour"] + s.feature_weight * parts["features"]
        loss = loss + s.prior_weight * parts["prior"]
        boxes = theta.unflatten(0, (count, 4))
        if progress >= s.locked_at:
            vectors = variant.float().unflatten(0, (count, 4))
            parts["contrast"] = trl.contrast(vectors, batch.time, float(s.far), s.contrast_form)
            loss = loss + s.contrast_weight * parts["contrast"]
        elif s.gravity:
            spacing = batch.time[:, 1] - batch.time[:, 0]
            expected = batch.gravity * spacing**2
            reference = sum(s.spacing) / 2
            parts["track"] = trl.track(boxes, expected, spacing, reference, s.order, s.size_weight)
            loss = loss + s.gravity_weight * parts["track"]
        return {"loss": loss, **parts, "covered": placed.mean(), "half_size": theta[:, :2].mean()}

    def _features(self, guess: Tensor, picture: Tensor) -> Tensor:
        """Squared differences of the first three stages of ResNet18, or of the recipe's own encoder held still."""
        if self.imagenet is not None:
            stages = [self.imagenet.to(picture.device).stages(x, 3) for x in (guess, picture)]
        else:
            encoder = self.modules["encoder"]
            assert isinstance(encoder, networks.Encoder)
            trunk = encoder.trunk
            still = {name: value.detach() for name, value in (*trunk.named_parameters(), *trunk.named_buffers())}
            was_training = trunk.training
            trunk.eval()
            seen = _Stages(trunk)
            inside = {f"trunk.{name}": value for name, value in still.items()}
            stages = [functional_call(seen, inside, (x,)) for x in (guess, picture)]
            trunk.train(was_training)
        # An encoder that still learns has no fixed scale: differences count as shares of the label's own features.
        scales = [1.0 if self.imagenet is not None else b.detach().float().square().mean() for b in stages[1]]
        return sum(
            (trl.mean_square(a, b) / scale for a, b, scale in zip(*stages, scales, strict=True)),
            start=torch.zeros((), device=picture.device),
        )

    @torch.no_grad()
    def validate(self, modules: nn.ModuleDict) -> dict[str, float]:
        """Overlap of the boxes with the truth of held-out flights; presence is not learned, everybody is there."""
        modules.eval()
        stn = modules["stn"]
        assert isinstance(stn, STN)
        theta, presence = look(stn, self.held_out.picture)
        figures = box_figures(theta.numpy(), torch.ones_like(presence).numpy(), self.held_out)
        moved = theta[:, 3].std() / self.held_out.theta[:, 3].std().clamp_min(1e-6)
        kept = ("iou_mean", "iou_median", "iou_over_50", "windows")
        return {key: figures[key] for key in kept} | {"moved": float(moved)}


class _Stages(nn.Module):
    """The first three stages of a trunk as a module's output."""

    def __init__(self, trunk: networks.ResNet) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, picture: Tensor) -> list[Tensor]:
        """[B,3,h,w] to three feature maps."""
        return self.trunk.stages(picture, 3)


def _check(settings: Settings) -> None:
    """TrainingError where a word of the settings is none of those that mean something."""
    known = {
        "order": ("acceleration", "descent", "none"),
        "contrast_form": ("linear", "regression"),
        "background": ("median", "halves"),
    }
    for key, words in known.items():
        if getattr(settings, key) not in words:
            raise TrainingError(f"track [recipe]: {key} = {getattr(settings, key)!r}; have {', '.join(words)}")
    if settings.side % 32:
        raise TrainingError(f"track [recipe]: side = {settings.side}; give a multiple of 32")


def _clips(settings: Settings, data: Data, seed: int) -> tuple[list[Clip], list[Clip]]:
    """Clips for training and held-out ones."""
    if not settings.clips:
        first = DRAWN_FROM * (1 + seed)
        return (
            [drawn_clip(first + k, settings.side) for k in range(settings.drawn)],
            [drawn_clip(k, settings.side) for k in range(max(2, settings.drawn // 4))],
        )
    clips = read_clips(data.root / settings.clips, settings.side, settings.background, settings.fall)
    if len(clips) == 1:
        return clips, clips
    return [clip for k, clip in enumerate(clips) if k % 8], clips[::8]


def read_resnet18(path: Path) -> dict[str, Tensor]:
    """A torchvision ResNet18's state dict from safetensors, or from a pth file that holds tensors alone."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, ModuleNotFoundError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainingError(f"{path}: no state dict can be read here ({reason}); give torchvision's ResNet18") from None
    except Exception as error:  # torch's unpickler has an error class of its own that it does not export
        raise TrainingError(f"{path}: not weights alone ({type(error).__name__}); save the state dict only") from None
    return dict(loaded)


def _imagenet(path: Path, stn: nn.Module) -> networks.ResNet:
    """ResNet18 for the feature term; the detector's trunk starts from it too."""
    assert isinstance(stn, STN)
    state = read_resnet18(path)
    try:
        load_imagenet(stn, state)
    except ValueError as error:
        raise TrainingError(f"{path}: {error}") from None
    trunk = networks.ResNet(18)
    trunk.load_state_dict({key: state[key] for key in trunk.state_dict() if key in state}, strict=False)
    return trunk.requires_grad_(False).eval()
