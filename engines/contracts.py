"""The narrow waist between training and the live path: per network the tensors' names, shapes, types and scaling.

`models/` fulfils these contracts, `training/export.py` proves it, stages use nothing else.
Pictures are uint8 RGB, height before width before channels; a network normalises them itself.
`B` is a free batch axis, `H` the number of hypotheses.
"""

from dataclasses import dataclass
from typing import Final

from engines.skeleton import J

Dim = int | str

CROP_H: Final = 256
CROP_W: Final = 192
HEATMAP_STRIDE: Final = 4
STN_PX: Final = 128
EMBEDDING: Final = 1024
WINDOW: Final = 243
TOKEN: Final = 256
FEATURE: Final = TOKEN + 3 * J + 2
"""A frame's token for the temporal transformer, the pose and the view that it carries past it."""
LIVE_WINDOW: Final = 61
"""Newest frames that a live stream's poses are made of: of these the network makes as good poses as of all `WINDOW`
(`benchmarks/temporal.py`), in a quarter of the time."""
LIVE_READ: Final = 40
"""Newest frames whose poses come out of it."""
LOOKAHEADS: Final = (0, 1, 2, 4, 8, 13, 27, 121)
"""Look-aheads (frames) for which the temporal network has a learned embedding; its input is the index in this table."""

MODALITY_IMAGE: Final = 0
MODALITY_2D: Final = 1
MODALITY_3D: Final = 2


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a network: name, shape (a string is a free axis), numpy type, meaning."""

    name: str
    shape: tuple[Dim, ...]
    dtype: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Contract:
    """What is put in and taken out of a network; `network` is also the stem of its file in `weights/`.

    A file may have more outputs than are asked of it.
    """

    network: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


_EMBEDDING = Tensor("embedding", ("B", EMBEDDING), "float32", "UniHPE embedding, not normalised")
_MODALITY = Tensor("modality", ("B",), "int64", "where the embedding comes from: 0 image, 1 keypoints, 2 joints")
_BOX = Tensor(
    "box",
    ("B", 3),
    "float32",
    "bearing of the crop's centre and its size in units of focal length: (u_c-c_x)/f, (v_c-c_y)/f, side/f",
)
_KEYPOINTS = Tensor(
    "keypoints",
    ("B", J, 2),
    "float32",
    "image keypoints relative to the crop's centre, divided by half the crop's height: about -1..1, y down",
)
_JOINTS = Tensor("joints", ("B", J, 3), "float32", "root-relative joints, camera axes, metres")

STN: Final = Contract(
    "stn",
    inputs=(Tensor("picture", ("B", STN_PX, STN_PX, 3), "uint8", "search window, squeezed to a square"),),
    outputs=(
        Tensor(
            "theta",
            ("B", 4),
            "float32",
            "s_x, s_y, u_x, u_y: half size and centre of the box, window coordinates -1..1",
        ),
        Tensor("presence", ("B", 1), "float32", "probability that the window holds a subject"),
    ),
)

ENCODERS: Final = ("w18_small_v2", "w32", "w48")


def encoder(variant: str, embedding: bool = True) -> Contract:
    """Contract of the HRNet encoder `variant`, one of `ENCODERS`; who needs no `embedding` gets heat maps alone."""
    if variant not in ENCODERS:
        raise ValueError(f"encoder variant {variant!r} unknown; have {', '.join(ENCODERS)}")
    return Contract(
        f"hrnet_{variant}",
        inputs=(Tensor("crop", ("B", CROP_H, CROP_W, 3), "uint8", "the subject, upright or not"),),
        outputs=(
            Tensor(
                "heatmaps",
                ("B", J, CROP_H // HEATMAP_STRIDE, CROP_W // HEATMAP_STRIDE),
                "float32",
                "probability of the joint's place, sums to one over each map",
            ),
            *((_EMBEDDING,) if embedding else ()),
        ),
    )


POSE2D_ENCODER: Final = Contract(
    "pose2d_encoder",
    inputs=(_KEYPOINTS, Tensor("confidence", ("B", J), "float32", "0..1"), _BOX),
    outputs=(_EMBEDDING,),
)

POSE3D_ENCODER: Final = Contract("pose3d_encoder", inputs=(_JOINTS,), outputs=(_EMBEDDING,))

MLP_DECODER: Final = Contract("mlp_decoder", inputs=(_EMBEDDING, _MODALITY, _BOX), outputs=(_JOINTS,))

DIFFUSION_DECODER: Final = Contract(
    "diffusion_decoder",
    inputs=(
        _EMBEDDING,
        _MODALITY,
        _BOX,
        Tensor("noise", ("B", "H", J * 3), "float32", "standard normal, the same for a subject at all times"),
    ),
    outputs=(Tensor("joints", ("B", "H", J, 3), "float32", "root-relative joints, camera axes, metres"),),
)

TEMPORAL_FRAME: Final = Contract(
    "temporal_frame",
    inputs=(
        _KEYPOINTS,
        Tensor("missing", ("B", J), "float32", "1 where the joint was not measured, else 0"),
        _BOX,
        Tensor("decoded", ("B", J, 3), "float32", "joints of the per-frame decoder, as `joints`"),
        Tensor("use_decoded", ("B",), "float32", "1 to fuse them with the keypoints, 0 to lift the keypoints alone"),
    ),
    outputs=(Tensor("feature", ("B", FEATURE), "float32", "of this frame alone; kept by the caller for the window"),),
)

TEMPORAL_WINDOW: Final = Contract(
    "temporal_window",
    inputs=(
        Tensor("features", ("B", WINDOW, FEATURE), "float32", "oldest first, newest last"),
        Tensor("seen", ("B", WINDOW), "float32", "1 where the frame exists, 0 where it is masked from attention"),
        Tensor("lookahead", ("B",), "int64", "index in LOOKAHEADS: how far behind the newest frame"),
    ),
    outputs=(Tensor("joints", ("B", WINDOW, J, 3), "float32", "root-relative joints, camera axes, metres"),),
)

TEMPORAL_LIVE: Final = Contract(
    "temporal_live",
    inputs=(
        Tensor("features", ("B", LIVE_WINDOW, FEATURE), "float32", "oldest first, newest last"),
        Tensor("seen", ("B", LIVE_WINDOW), "float32", "1 where the frame exists, 0 where it is masked from attention"),
        Tensor("lookahead", ("B",), "int64", "index in LOOKAHEADS: how far behind the newest frame"),
    ),
    outputs=(
        Tensor(
            "joints",
            ("B", LIVE_READ, J, 3),
            "float32",
            "of the newest frames, newest last: root-relative joints, camera axes, metres",
        ),
    ),
)

SHIPPED: Final = (
    STN,
    encoder("w18_small_v2"),
    POSE2D_ENCODER,
    MLP_DECODER,
    DIFFUSION_DECODER,
    TEMPORAL_FRAME,
    TEMPORAL_WINDOW,
    TEMPORAL_LIVE,
)
"""Every network whose weights lie in `weights/`."""
