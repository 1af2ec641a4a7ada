"""Writes the README's figures from what the program measured, so that none is typed by hand.

    posecast demo --out results/demo
    posecast eval all --data data --mocap MOCAP --json results/eval.json
    posecast bench --json results/bench.json
    python benchmarks/chain.py --json results/chain.json
    python benchmarks/figures.py results README.md

Accuracy comes from the first two (of the sample dive from the first alone; of photographs or crops from `posecast eval
SUITE --json results/SUITE.json`), speed from the others; what was not measured again stays as it is.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import page  # noqa: E402
from benchmarks.chain import PEER, PEER_PACKAGES  # noqa: E402
from pipeline.bench_tables import split_ms  # noqa: E402

ACCURACY, SPEED = ("demo/summary.json", "eval.json"), ("bench.json", "chain.json")


def main() -> None:
    """Replace what lies between the markers."""
    if len(sys.argv) != 3:
        page.refuse("usage: python benchmarks/figures.py RESULTS README")
    results, readme = Path(sys.argv[1]), Path(sys.argv[2])
    page.write(readme, renewed(readme.read_text(encoding="utf-8"), results))


def renewed(text: str, results: Path) -> str:
    """The README with the figures replaced that were measured."""
    measured = False
    for name, files, section in (("accuracy", ACCURACY, accuracy), ("speed", SPEED, speed)):
        paths = [results / file for file in files]
        if all(path.is_file() for path in paths):
            text = _replaced(text, name, section(*(json.loads(path.read_text(encoding="utf-8")) for path in paths)))
            measured = True
    for name, rows in ((ACCURACY[0], demo_rows), ("photos.json", suite_rows), ("synth-crops.json", suite_rows)):
        if (results / name).is_file():
            text = _with_rows(text, rows(json.loads((results / name).read_text(encoding="utf-8"))))
            measured = True
    if not measured:
        page.refuse(f"{results}: neither {' and '.join(ACCURACY)} nor {' and '.join(SPEED)}; measure first")
    return text


def _replaced(text: str, name: str, section: str) -> str:
    begin, end = f"<!-- {name}: benchmarks/figures.py -->\n", f"<!-- end of {name} -->\n"
    if begin not in text or end not in text:
        page.refuse(f"the page has no part between {begin.strip()} and {end.strip()}")
    return text.split(begin)[0] + begin + section + end + text.split(end)[1]


def accuracy(demo: dict[str, Any], held_out: dict[str, Any]) -> str:
    """Errors on the sample dive and on held-out synthetic data."""
    rows = [*demo_rows(demo), *held_out_rows(held_out["suites"])]
    intro = (
        "Trained within hours on two processor cores, from rendered athletes, motion capture and photographs: still a "
        "start, not a claim; [docs/accuracy.md](docs/accuracy.md) has every suite, beside the networks of others. The "
        f"sample dive ({demo['n_frames_measured']} frames with truth) is drawn by the same renderer as the training "
        "set and is not part of it.\n\n"
    )
    return intro + page.table(("accuracy", ""), rows, words=2)


def demo_rows(demo: dict[str, Any]) -> list[tuple[str, str]]:
    """Rows of the sample dive, from the summary of `posecast demo`."""
    return [
        (
            "sample dive, 3D error of final poses (MPJPE / P-MPJPE)",
            f"{demo['mpjpe_mm']:.0f} / {demo['p_mpjpe_mm']:.0f} mm",
        ),
        ("sample dive, 2D joints within 0.2 torso", f"{demo['pck02_torso']:.0%}"),
        ("sample dive, frames with the diver in view that were tracked", f"{demo['coverage']:.0%}"),
    ]


def _with_rows(text: str, rows: list[tuple[str, str]]) -> str:
    """The page with the second column of these rows replaced, where they stand in it."""
    for name, value in rows:
        text = re.sub(rf"^\| {re.escape(name)} \|.*$", lambda _, row=f"| {name} | {value} |": row, text, flags=re.M)
    return text


def suite_rows(measured: dict[str, Any]) -> list[tuple[str, str]]:
    """Rows of `posecast eval SUITE --json`."""
    return held_out_rows(measured["suites"])


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


def speed(bench: dict[str, Any], chain: dict[str, Any]) -> str:
    """Speed of the chain on the machine of the benchmark."""
    machine, live, medians = bench["machine"], bench["live"], chain["medians"]
    networks_ms, rest_ms = split_ms(bench["cost"])
    rows = [
        ("whole chain as fast as it goes, HRNet-W18-small-v2", f"{medians['default']['fps']:.0f} frames/s"),
        *peer_rows(medians),
        (
            "live at 30 frames/s, decoder to published provisional pose, p50 / p95",
            f"{live['latency_p50_ms']:.0f} / {live['latency_p95_ms']:.0f} ms",
        ),
        ("processor time of a frame, networks / everything else", f"{networks_ms:.0f} / {rest_ms:.0f} ms"),
        ("from start to the first pose", f"{live['first_pose_s']:.1f} s"),
        ("hop between two processes, p50", f"{live['hop_p50_ms']:.2f} ms"),
        ("memory of all processes", f"{live['memory_mb']:.0f} MB"),
    ]
    intro = (
        f"Measured by `posecast bench` and `benchmarks/chain.py` on {machine['cores']} cores ({machine['cpu']}), "
        f"{bench['source']}, medians of {bench['rounds']} runs of {bench['replay']['frames']:.0f} frames; "
        "[docs/performance.md](docs/performance.md) has all of it.\n\n"
    )
    return intro + page.table(("speed", ""), rows, words=2)


def peer_rows(medians: dict[str, Any]) -> list[tuple[str, str]]:
    """The other program on the same clip in the same run, where it was measured."""
    if PEER not in medians:
        return []
    name = PEER_PACKAGES[0].replace("==", " ")
    return [(f"the same clip by {name}'s Pose in the same run", f"{medians[PEER]['fps']:.0f} frames/s")]


if __name__ == "__main__":
    page.guarded(main)
