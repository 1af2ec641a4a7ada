"""The page of performance and the README's figures are put together from what was measured, and from nothing else."""

import json
import subprocess
import sys

import pytest

from benchmarks import chain, cost, engines, figures, floor, gpu, page, performance
from pipeline.topology import STAGES
from tests.conftest import ROOT

MACHINE = {"cpu": "a processor", "cores": 2, "memory_gb": 8.0}
QUANTILES = {"p50_ms": 1.25, "p95_ms": 2.25, "p99_ms": 3.25}


def prefixed(prefix):
    return {f"{prefix}_{name}": value for name, value in QUANTILES.items()}


def run(fps, cpu_ms=10.0, networks_ms=6.0):
    stage = {"step_ms": 1.0, "cpu_ms": 1.0, "networks_ms": 0.0} | prefixed("inside") | prefixed("wait")
    stages = {row.name: dict(stage) for row in STAGES}
    stages["encode"] |= {"cpu_ms": cpu_ms, "networks_ms": networks_ms}
    networks = {"hrnet_w18_small_v2": {"stage": "encode", "calls": 0.5, "cpu_ms": networks_ms}}
    return {
        "frames": 167,
        "tracked": 160,
        "fps": fps,
        "first_pose_s": 2.5,
        "hop_p50_ms": 0.25,
        "memory_mb": 700.0,
        "stages": stages,
        "networks": networks,
    } | prefixed("latency")


def engine(name, precision, threads, p50_ms):
    return {
        "name": name,
        "gflop": 1.234,
        "backend": "openvino",
        "precision": precision,
        "threads": threads,
        "p50_ms": p50_ms,
        "cpu_ms": 2 * p50_ms,
        "runs": 20,
    }


ENGINES = {
    "machine": MACHINE,
    "rows": [engine("stn", "bf16", 1, 4.5), engine("stn", "bf16", 2, 3.5), engine("stn", "int8", 2, 2.5)],
    "left_out": ["hrnet_w32: no file"],
}
CHAIN = {
    "machine": MACHINE,
    "source": "a clip",
    "rounds": 2,
    "runs": {
        name: [{"fps": fps, "frames": 167} for fps in rates]
        for name, rates in (("default", (60.0, 50.0)), ("mediapipe", (40.0, 25.0)))
    },
    "medians": {
        "default": {"fps": 55.0, "frames": 167, "tracked": 160, "cpu_ms": 30.0},
        "mediapipe": {"fps": 32.5, "frames": 167, "tracked": 105, "cpu_ms": 20.0},
    },
    "networks_and_rest_ms": {"default": [21.0, 9.0]},
    "left_out": [],
}
BENCH = {
    "machine": MACHINE,
    "source": "a clip",
    "rounds": 3,
    "engines": [{"network": "hrnet_w18_small_v2", "cpu_ms": 11.0, "device": "an engine"}],
    "replay": run(60.0),
    "cost": run(59.0),
    "live": run(30.0),
}
PROFILE = {
    "machine": MACHINE,
    "source": "a clip",
    "rate_hz": 200,
    "stages": {
        "track": {"samples": 7, "networks": 0.5, "top": [{"function": "f (a.py)", "inside": "", "share": 0.25}]}
    },
}
GPU = {
    "machine": MACHINE | {"gpu": "a card"},
    "source": "a clip",
    "peak_tflops": 500.0,
    "rows": [
        {"name": "stn", "batch": 1, "p50_ms": 1.0, "per_s": 1000.0, "gflop": None, "runs": 9},
        {"name": "stn", "batch": 64, "p50_ms": 4.0, "per_s": 16000.0, "gflop": None, "runs": 9},
        {"name": "stn", "batch": 128, "p50_ms": 9.0, "per_s": 14000.0, "gflop": None, "runs": 9},
    ],
    "cameras": [
        {"cameras": count, "least_fps": fps, "latency_p50_ms": 9.0, "latency_p95_ms": 12.0, "frames": 900}
        for count, fps in ((1, 50.0), (4, 49.5), (6, 40.0))
    ],
    "left_out": [],
}
MADE = {"engines": ENGINES, "chain": CHAIN, "bench": BENCH, "profile": PROFILE, "gpu": GPU}


@pytest.fixture
def results(tmp_path):
    for name, content in MADE.items():
        page.write(tmp_path / f"{name}.json", json.dumps(content))
    page.write(tmp_path / "start.md", "| start | s |\n|---|---:|\n| cold | 1.5 |\n")
    return tmp_path


def cells(section, first):
    line = next(line for line in section.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_is_put_together_from_the_files(results):
    before = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    text = performance.assembled(before, results)
    for found in (
        "as shipped, precision auto",
        "decoder to published",
        "`f (a.py)`",
        "| stn | openvino bf16 |",
        "a card",
    ):
        assert found in text
    assert "| cold | 1.5 |" in text
    assert performance.assembled(text, results) == text, "once more changes nothing"
    outside = [line for line in before.splitlines() if line.startswith(("#", "<!--"))]
    assert [line for line in text.splitlines() if line.startswith(("#", "<!--"))] == outside


def test_every_part_of_the_page_is_of_a_script_and_every_section_has_a_part():
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    parts = performance._PART.findall(text)
    assert set(performance.SECTIONS) <= {name for name, _ in parts}
    assert all(body.strip() for _, body in parts), "an empty part says neither figures nor how to get them"


def test_a_part_without_a_file_stays_and_an_empty_one_names_its_command(tmp_path):
    old = "<!-- figures: benchmarks/gpu.py -->\nold figures\n<!-- end of figures -->\n"
    assert performance.assembled(old, tmp_path) == old
    empty = old.replace("old figures\n", "")
    assert "Not run. Measured by `python benchmarks/gpu.py" in performance.assembled(empty, tmp_path)


def test_a_script_without_a_function_here_leaves_markdown(tmp_path):
    text = "<!-- figures: benchmarks/start.py -->\n<!-- end of figures -->\n"
    assert "--markdown results/start.md" in performance.assembled(text, tmp_path)


@pytest.mark.parametrize("content", ["{", '{"machine": {}}', "[1]"])
def test_a_broken_file_is_one_line_and_leaves_the_page(results, content):
    target = results / "page.md"
    target.write_text("<!-- figures: benchmarks/chain.py -->\nold\n<!-- end of figures -->\n")
    (results / "chain.json").write_text(content)
    script = ROOT / "benchmarks" / "performance.py"
    command = [sys.executable, str(script), str(results), str(target)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "chain.json" in ended.stderr
    assert "old" in target.read_text()


def test_ratios_are_taken_within_a_round():
    assert chain.ratios(CHAIN["runs"], "default") == [1.5, 2.0]
    row = cells(chain.markdown(CHAIN), "as shipped, precision auto")
    assert row[1:] == ["55.0", "1.50 2.00", "30.0", "21.0", "9.0", "160"]


def test_cost_and_latency():
    section = cost.markdown(BENCH)
    assert cells(section, "waiting for encode")[1:] == ["1.25", "2.25", "3.25"]
    assert cells(section, "encode")[1:] == ["10.00", "6.00", "4.00"]
    assert cells(section, "all")[1:] == ["15.00", "6.00", "9.00"]
    assert cells(section, "hrnet_w18_small_v2")[1:] == ["encode", "0.50", "6.00", "12.00", "11.00", "an engine"]
    assert "largest: network hrnet_w18_small_v2, 6.0 ms (40%)" in section
    assert "waiting for capture" not in section


def test_what_a_frame_costs_before_any_network():
    measured = {"decode_ms": 2.5, "ring_ms": 0.5, "small_hop_ms": 0.25, "crop_hop_ms": 0.75}
    about = {"machine": MACHINE, "source": "a clip", "rounds": 3, "messages": 300}
    section = floor.markdown(about | measured)
    assert cells(section, "4 hops of 0.25")[1:] == ["1.00"]
    assert cells(section, "all")[1:] == ["4.75"]


def test_engines_beside_what_is_to_be_reached():
    section = engines.markdown(ENGINES)
    assert cells(section, "stn")[1:] == ["2.0", "2.5", "5.0"]
    assert "| temporal_window | 5.4 | not measured |  |" in section
    assert "| stn | openvino bf16 | 1.234 | 4.50 | 9.00 | 3.50 | 7.00 |" in section
    assert "| stn | openvino int8 | 1.234 |  |  | 2.50 | 5.00 |" in section
    assert "- hrnet_w32: no file" in section


def test_the_card_is_compared_with_its_own_largest_product():
    section = gpu.markdown(GPU, {"stn": 1.25})
    assert "| stn | 1 | 1.000 | 1000 | 1250 | 0.2% |" in section
    assert "| stn | 64 | 4.000 | 16000 | 20000 | 4.0% |" in section
    assert "| 128 |" not in section
    assert "that one GPU serves: 4." in section
    assert "| stn | 1 | 1.000 | 1000 |  |  |" in gpu.markdown(GPU), "nothing is guessed without a count"


def test_no_gpu_is_one_line_and_code_2(tmp_path):
    written = tmp_path / "gpu.json"
    code = (
        "import sys; sys.path.insert(0, ''); sys.modules['pycuda'] = None; from benchmarks import gpu, page; "
        "page.guarded(gpu.main)"
    )
    command = [sys.executable, "-c", code, "--json", str(written)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.startswith("no NVIDIA GPU can be used here")
    assert len(ended.stderr.splitlines()) == 1
    assert not written.exists()


def test_the_readme_takes_what_was_measured_and_keeps_the_rest(results):
    before = (ROOT / "README.md").read_text(encoding="utf-8")
    text = figures.renewed(before, results)
    assert "| whole chain as fast as it goes, HRNet-W18-small-v2 | 55 frames/s |" in text
    assert "| the same clip by mediapipe 0.10.21's Pose in the same run | 32 frames/s |" in text
    assert "| processor time of a frame, networks / everything else | 6 / 9 ms |" in text
    assert text.split("<!-- end of accuracy -->")[0] == before.split("<!-- end of accuracy -->")[0]
    assert text.split("<!-- end of speed -->")[1] == before.split("<!-- end of speed -->")[1]


def test_a_readme_without_anything_measured_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        figures.renewed("", tmp_path)
    assert ended.value.code == 2
    assert "measure first" in capsys.readouterr().err


def test_half_a_file_is_never_left(tmp_path, monkeypatch):
    target = tmp_path / "page.md"
    page.write(target, "old")
    with pytest.raises(UnicodeEncodeError):
        page.write(target, "new \ud800")
    assert target.read_text() == "old"
