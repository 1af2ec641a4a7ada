"""Writes the README's figures from what the program measured, so that none is typed by hand.

posecast demo --out results/demo
posecast bench --json results/bench.json
posecast eval all --data data --mocap MOCAP --json results/eval.json
python benchmarks/figures.py results README.md
"""

import json
import sys
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- figures: benchmarks/figures.py -->\n", "<!-- end of figures -->\n"


def main() -> None:
    """Replace the part between the markers."""
    results, readme = Path(sys.argv[1]), Path(sys.argv[2])
    demo = json.loads((results / "demo" / "summary.json").read_text())
    bench = json.loads((results / "bench.json").read_text())
    held_out = json.loads((results / "eval.json").read_text())
    text = readme.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    readme.write_text(before + BEGIN + accuracy(demo, held_out) + "\n" + speed(bench) + END + after)


def accuracy(demo: dict[str, Any], held_out: dict[str, Any]) -> str:
    """Errors on the sample dive and on held-out synthetic data."""
    rows = [
        (
            "sample dive, 3D error of final poses (MPJPE / P-MPJPE)",
            f"{demo['mpjpe_mm']:.0f} / {demo['p_mpjpe_mm']:.0f} mm",
        ),
        ("sample dive, 2D joints within 0.2 torso", f"{demo['pck02_torso']:.0%}"),
        ("sample dive, frames with the diver in view that were tracked", f"{demo['coverage']:.0%}"),
        *held_out_rows(held_out["suites"]),
    ]
    intro = (
        "Trained within hours on two processor cores, from rendered athletes, motion capture and photographs: still a "
        "start, not a claim; [docs/accuracy.md](docs/accuracy.md) has every suite, beside the networks of others. The "
        f"sample dive ({demo['n_frames_measured']} frames with truth) is drawn by the same renderer as the training "
        "set and is not part of it.\n\n"
    )
    return intro + table(("accuracy", ""), rows)


def held_out_rows(suites: dict[str, Any]) -> list[tuple[str, str]]:
    """Rows of the suites that were measured, from the tables of `posecast eval --json`."""
    rows = []
    if "synth-crops" in suites:
        by_tilt = suites["synth-crops"]["tables"]["Keypoints by the trunk's tilt in the picture"]
        rows.append(
            (
                f"{by_tilt['all']['crops']:.0f} held-out synthetic crops, 2D joints within 0.2 torso, "
                "upright / sideways / inverted",
                tilts(by_tilt, "PCK@0.2 torso %"),
            )
        )
    if "photos" in suites:
        ours = suites["photos"]["tables"]["PCK@0.2 of the torso, percent"]["posecast"]
        measured = suites["photos"]["tables"]["Pictures"]["torso measured"]["all"]
        rows.append(
            (
                f"{measured:.0f} held-out photographs of sport, limb joints within 0.2 torso, "
                "upright / sideways / inverted",
                tilts({tilt: {"": value} for tilt, value in ours.items()}, ""),
            )
        )
    if "track" in suites:
        windows = suites["track"]["tables"]["Search windows"]["posecast"]
        rows.append(
            (
                f"{windows['windows']:.0f} search windows in held-out synthetic scenes, mean IoU of the box",
                f"{windows['IoU mean']:.2f}",
            )
        )
    return rows


def tilts(rows: dict[str, dict[str, float]], column: str) -> str:
    """A figure upright, sideways and inverted; a dash where there was no such picture."""
    values = (rows.get(tilt, {}).get(column) for tilt in ("upright", "sideways", "inverted"))
    return " / ".join("-" if value is None else f"{value:.0f}" for value in values) + " %"


def speed(bench: dict[str, Any]) -> str:
    """Speed of the chain on the machine of the benchmark."""
    machine, replay, live = bench["machine"], bench["replay"], bench["live"]
    rows = [
        ("whole chain as fast as it goes, HRNet-W18-small-v2", f"{replay['fps']:.0f} frames/s"),
        (
            "live at 30 frames/s, decoder to published provisional pose, p50 / p95",
            f"{live['latency_p50_ms']:.0f} / {live['latency_p95_ms']:.0f} ms",
        ),
        ("hop between two processes, p50", f"{live['hop_p50_ms']:.2f} ms"),
        ("memory of all processes", f"{live['memory_mb']:.0f} MB"),
    ]
    intro = (
        f"Measured by `posecast bench` on {machine['cores']} cores ({machine['cpu']}), {bench['source']} at 1920x1080, "
        f"medians of {bench['rounds']} runs of {replay['frames']:.0f} frames.\n\n"
    )
    return intro + table(("speed", ""), rows)


def table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    """A Markdown table of two columns."""
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
