"""The files of a dive: whole, complete, with units, and readable where half of it is not known."""

import csv
import io
import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest

from engines.skeleton import JOINT_NAMES
from flight.report import Estimate
from pipeline.edges.dive_report import curves_csv, report_json, write_dive, write_jump
from pipeline.errors import OutputError
from tests import dives


@pytest.fixture(scope="module")
def dive():
    return dives.true_dive("103C", 3.0, seed=3)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_dive_is_three_files_and_nothing_else(dive, tmp_path):
    paths = write_dive(dive, tmp_path / "new", "dive-1", "clip.mp4")
    assert [path.name for path in paths] == ["dive-1.json", "dive-1.csv", "dive-1.html"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in paths)
    assert "clip.mp4" in paths[2].read_text(encoding="utf-8")


def test_the_report_is_named_and_every_number_has_a_unit(dive):
    told = json.loads(report_json(dive.report, "clip.mp4"))
    assert told["source"] == "clip.mp4"
    assert set(told["report"]) == set(dive.report.__struct_fields__)
    assert told["report"]["take_off_s"] == {"value": dive.report.take_off_s.value, "sd": dive.report.take_off_s.sd}
    assert told["report"]["numbers"][0] == {"code": "103C", "probability": 0.93}
    without = {field for field in told["report"] if field not in told["units"]}
    assert without == {"schema", "world", "board_kind", "clearance_joint", "position", "head_first", "flags"}
    assert told["units"]["peak_twist_deg_s"] == "degrees per second"
    assert told["units"]["flight_time_s"] == "seconds"
    assert told["units"]["opening_s"] == "seconds of the recording"


def test_what_is_not_known_is_null(dive):
    unknown = dives.changed(
        dive, clearance_m=None, momentum_consistency=math.nan, entry_angle_deg=Estimate(math.inf, np.float64(math.nan))
    )
    told = json.loads(report_json(unknown.report), parse_constant=pytest.fail)["report"]
    assert told["clearance_m"] is None
    assert told["momentum_consistency"] is None
    assert told["entry_angle_deg"] == {"value": None, "sd": None}


def test_each_frame_is_a_row_with_its_phase_and_joints(dive):
    rows = rows_of(curves_csv(dive.curves, "water"))
    assert len(rows) == len(dive.curves.t_s)
    phases = [row["phase"] for row in rows]
    assert phases == sorted(phases, key=["board", "flight", "water"].index)
    assert set(phases) == {"board", "flight", "water"}
    middle = len(rows) // 2
    for joint, name in enumerate(JOINT_NAMES):
        found = [float(rows[middle][f"{name}_{axis}_m"]) for axis in "xyz"]
        assert found == pytest.approx(dive.curves.joints_world_m[middle, joint], abs=1e-4)
    assert float(rows[middle]["somersault_turns"]) == pytest.approx(dive.curves.somersault_turns[middle], abs=1e-4)
    assert float(rows[middle]["hip_deg"]) == pytest.approx(dive.curves.hip_deg[middle], abs=1e-2)
    assert rows[0]["fall_z_m"] == ""  # NaN before the take-off
    assert rows[middle]["position"] == "tuck"


def test_frames_without_a_flight_are_all_before_it(dive):
    rows = rows_of(curves_csv(replace(dive.curves, flying=np.zeros_like(dive.curves.flying)), "water"))
    assert {row["phase"] for row in rows} == {"board"}


def test_a_dive_without_frames_is_written(dive, tmp_path):
    json_path, csv_path, page = write_dive(dives.empty(dive), tmp_path, "dive-1")
    assert rows_of(csv_path.read_text()) == []
    assert json.loads(json_path.read_text())["report"]["position"] == "tuck"
    assert "no frame to draw" in page.read_text()


def test_a_jump_has_its_own_page(dive, tmp_path):
    json_path, csv_path, page = write_jump(dives.jump_of(dive), tmp_path, "jump-1", "tramp.mp4")
    told = json.loads(json_path.read_text())
    assert told["report"]["height_m"]["value"] == pytest.approx(9.81 * dive.report.flight_time_s.value**2 / 8, abs=1e-6)
    assert told["units"]["height_m"] == "metres"
    assert told["units"]["contact_s"] == "seconds"
    assert {row["phase"] for row in rows_of(csv_path.read_text())} == {"ground", "flight"}
    text = page.read_text()
    assert "<h1>Jump</h1>" in text
    assert "water" not in text[text.index("<main>") :]


def test_a_folder_that_cannot_be_made_is_told_in_one_line(dive, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written") as told:
        write_dive(dive, tmp_path / "taken", "dive-1")
    assert "\n" not in str(told.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told_in_one_line(dive, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match=r"dive-1\.json"):
        write_dive(dive, tmp_path, "dive-1")


def test_a_file_that_cannot_be_finished_leaves_no_half_of_it(dive, tmp_path):
    (tmp_path / "dive-1.csv").mkdir()
    with pytest.raises(OutputError, match=r"dive-1\.csv"):
        write_dive(dive, tmp_path, "dive-1")
    assert not (tmp_path / "dive-1.html").exists()
    assert json.loads((tmp_path / "dive-1.json").read_text())
