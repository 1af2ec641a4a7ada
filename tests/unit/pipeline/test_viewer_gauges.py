"""Metrics and health against what was published; the dashboard against the metrics."""

import json
import re

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.messages import Health, SourceHealth, SourceState
from pipeline.topology import STAGES
from pipeline.viewer import state
from pipeline.viewer.gauges import Gauges
from tests.conftest import ROOT
from tests.viewed import health, pose

DASHBOARD = ROOT / "docs" / "grafana" / "posecast.json"


def beat(state: SourceState = "live") -> Health:
    source = SourceHealth(state=state, since_unix_ns=0, attempts=3, reconnects=2, stalls=1, drift_ppm=12.5)
    return msgspec.structs.replace(health("capture", "main", sent=90), source=source)


@pytest.fixture
def gauges() -> Gauges:
    return Gauges(["main"], [row.name for row in STAGES])


def read(gauges: Gauges) -> dict[tuple[str, ...], float]:
    """Value of each sample by its name and the values of its labels, in the alphabet's order of the labels."""
    text = gauges.text(2, {"view_picture": 5}).decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def filled(gauges: Gauges) -> Gauges:
    gauges.take(beat())
    for row in STAGES[1:]:
        gauges.take(health(row.name, dropped={"newest": 4}, note="OpenVINO int8", rss_bytes=5_000_000, cpu_ms=1500))
    for seq in range(10):
        gauges.take(pose(seq))
    gauges.take(pose(3, "refined"))
    gauges.take(pose(10, tracked=False))
    return gauges


def test_metrics_say_what_was_published(gauges) -> None:
    found = read(filled(gauges))
    assert found["posecast_poses_total", "provisional", "main"] == 11
    assert found["posecast_poses_total", "refined", "main"] == 1
    assert found["posecast_frames_without_subject_total", "main"] == 1
    assert found["posecast_pose_rate_hz", "main"] == pytest.approx(11 / 5)
    assert found["posecast_stage_seconds_sum", "track", "main"] == pytest.approx(11 * 0.006)
    assert found["posecast_queue_seconds_sum", "track", "main"] == pytest.approx(11 * 0.002)
    assert found["posecast_pose_age_seconds_count", "provisional", "main"] == 11
    assert found["posecast_stage_sent_total", "capture", "main"] == 90
    assert found["posecast_stage_dropped_total", "newest", "encode", ""] == 4
    assert found["posecast_stage_cpu_seconds_total", "encode", ""] == 1.5
    assert found["posecast_stage_step_p99_seconds", "encode", ""] == 0.004
    assert found["posecast_engine_info", "OpenVINO int8", "encode", ""] == 1
    assert found["posecast_source_state", "live", "main"] == 1
    assert found["posecast_source_reconnects_total", "main"] == 2
    assert found["posecast_source_drift_ppm", "main"] == 12.5
    assert ("posecast_source_clock_ahead_ms", "main") not in found, "what is not known is not told"
    assert found["posecast_view_browsers",] == 2
    assert found["posecast_view_dropped_total", "view_picture"] == 5


def test_another_process_of_a_stage_is_a_restart(gauges) -> None:
    for pid in (1, 1, 2, 2, 3):
        gauges.take(health("encode", pid=pid))
    assert read(gauges)["posecast_stage_restarts_total", "encode", ""] == 2


def test_health_names_what_is_wrong(gauges, monkeypatch) -> None:
    well, report = gauges.hearts.report()
    assert not well
    assert report["reasons"] == {row.name: "not heard of yet" for row in STAGES}
    filled(gauges)
    assert gauges.hearts.report() == (True, {"status": "ok", "reasons": {}, "streams": ("main",)})
    gauges.take(health("view", state="failed", error="it cannot go on"))
    assert gauges.hearts.report()[0], "an edge does not harm the poses"
    assert read(gauges)["posecast_stage_up", "view", ""] == 0
    gauges.take(health("smooth", state="failed", error="no weights"))
    gauges.take(beat(state="lost"))
    well, report = gauges.hearts.report()
    assert not well
    assert report["reasons"] == {"smooth": "no weights", "capture main": "source lost"}
    later = state.time.monotonic() + 60
    monkeypatch.setattr(state.time, "monotonic", lambda: later)
    assert gauges.hearts.report()[1]["reasons"]["encode"] == "silent for 60 s"
    assert read(gauges)["posecast_stage_up", "encode", ""] == 0


def test_the_dashboard_shows_metrics_that_exist(gauges) -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    filled(gauges)
    gauges.take(health("encode", pid=2))
    exist = {name for name, *_ in read(gauges)} | {"posecast_events_total"}
    assert dashboard["uid"] == "posecast"
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) > 10
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            used = set(re.findall(r"posecast_\w+", target["expr"]))
            assert used, panel["title"]
            assert used <= exist, panel["title"]
