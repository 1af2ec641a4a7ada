"""`posecast bench`: medians, what it prints, and one real run of the whole chain."""

from rich.console import Console

from pipeline.bench import chain, described, median_of, metered, quantiles
from pipeline.bench_tables import chain_table, cost_table, engines_table, largest, limit, split_ms
from pipeline.config import Config
from pipeline.topology import STAGES
from tests.media import film
from tests.posecast import require_weights


def stage(cpu_ms=1.0, networks_ms=0.0, step_ms=1.0):
    return {"cpu_ms": cpu_ms, "networks_ms": networks_ms, "step_ms": step_ms}


RUN = {
    "frames": 100,
    "fps": 50.0,
    "first_pose_s": 2.5,
    "latency_p50_ms": 20.0,
    "latency_p95_ms": 30.0,
    "latency_p99_ms": 40.0,
    "hop_p50_ms": 0.25,
    "memory_mb": 700.0,
    "stages": {
        row.name: {"track": stage(8.0, 5.0, 6.0), "encode": stage(10.0, 9.0, 7.0)}.get(row.name, stage())
        for row in STAGES
    },
    "networks": {
        "stn": {"stage": "track", "calls": 1.5, "cpu_ms": 5.0},
        "hrnet_w18_small_v2": {"stage": "encode", "calls": 1.0, "cpu_ms": 9.0},
    },
}
FIGURES = {
    "machine": {"cpu": "a processor", "cores": 2},
    "source": "a.mp4, 640x480 at 25 frames/s",
    "rounds": 3,
    "engines": [
        {"network": name, "p50_ms": 4.0, "p99_ms": 5.0, "device": "an engine"} for name in ("stn", "mlp_decoder")
    ],
    "replay": RUN,
    "cost": RUN,
    "live": RUN,
}


def lines(renderable):
    console = Console(width=120, highlight=False)
    with console.capture() as capture:
        console.print(renderable)
    return {line.split("  ")[0].strip(): line for line in capture.get().splitlines()}


def test_medians_reach_into_what_is_nested():
    runs = [{"fps": fps, "stages": {"track": {"cpu_ms": 2 * fps, "stage": "track"}}} for fps in (3.0, 1.0, 2.0)]
    assert median_of(runs) == {"fps": 2.0, "stages": {"track": {"cpu_ms": 4.0, "stage": "track"}}}


def test_a_network_that_was_not_called_in_every_run_does_not_stop_the_medians():
    assert median_of([{"networks": {"stn": {"calls": 1.0}}}, {"networks": {}}]) == {"networks": {"stn": {"calls": 1.0}}}


def test_quantiles():
    assert quantiles([float(value) for value in range(101)]) == {"p50_ms": 50.0, "p95_ms": 95.0, "p99_ms": 99.0}


def test_networks_and_the_rest_add_up_and_the_largest_is_named():
    networks_ms, rest_ms = split_ms(RUN)
    assert (networks_ms, rest_ms) == (14.0, 8.0)
    assert largest(RUN) == "largest: network hrnet_w18_small_v2, 9.0 ms (41%)"
    stages = RUN["stages"] | {"smooth": stage(30.0, 1.0)}
    assert largest(RUN | {"stages": stages}).startswith("largest: smooth beside its networks, 29.0 ms")


def test_the_limit_is_the_cores_in_use_and_the_slowest_stage():
    assert limit(RUN, 2) == "55% of 2 cores in use (22 ms a frame); the slowest stage is encode"


def test_the_tables_have_every_figure():
    engines = lines(engines_table(FIGURES))
    assert engines["stn"].split()[1:4] == ["4.00", "5.00", "1.50"]
    assert engines["mlp_decoder"].split()[3] == "-"
    costs = lines(cost_table(FIGURES))
    assert costs["track"].split() == ["track", "5.00", "3.00", "6.00"]
    assert costs["all"].split() == ["all", "14.0", "8.0"]
    whole = lines(chain_table(FIGURES))
    assert "50.0" in whole["as fast as it goes"]
    assert "2.50" in whole["start to first pose"]


def test_a_real_run_counts_the_calls_of_the_networks(tmp_path):
    """Nobody is in the picture: the tracker looks, the window goes on, the encoder has nothing to do."""
    require_weights()
    video = film(tmp_path / "empty.mp4", frames=80, rate_hz=50)
    run = chain(metered(Config()), str(video), rate_hz=25.0)
    assert described(Config(), str(video)) == "empty.mp4, 160x96 at 50 frames/s"
    assert run["frames"] > 20
    assert run["tracked"] == 0
    assert run["networks"]["stn"]["calls"] > 1
    assert run["networks"]["stn"]["stage"] == "track"
    assert "hrnet_w18_small_v2" not in run["networks"]
    assert 0 < run["stages"]["track"]["networks_ms"] <= run["stages"]["track"]["cpu_ms"]
    assert run["stages"]["capture"]["networks_ms"] == 0
    assert run["first_pose_s"] > 0
    assert run["latency_p50_ms"] <= run["latency_p95_ms"] <= run["latency_p99_ms"]
