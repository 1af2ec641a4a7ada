"""Facts about the house: who imports whom, one writer a message, configurations that say what they claim."""

import subprocess
import sys
import tomllib

import msgspec
import pytest

from pipeline import config, messages
from pipeline.topology import STAGES, reader_of
from tests.conftest import ROOT

LIVE = "import pipeline.cli, pipeline.worker, pipeline.supervisor, engines.session, calibration.camera, sys"
FORBIDDEN = ("torch", "models", "training")


def test_live_path_never_imports_torch() -> None:
    stages = ", ".join(row.module for row in STAGES)
    found = f"print([m for m in sys.modules if m.split('.')[0] in {FORBIDDEN}])"
    code = f"{LIVE}, {stages}; {found}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.strip() == "[]"


def test_every_message_has_one_writer() -> None:
    written = [name for row in STAGES for name in row.writes]
    assert len(written) == len(set(written))
    flowing = {"Frame", "Track", "Observation", "Hypotheses", "PoseFrame", "Event", "End", "Hello", "SourceChange"}
    assert set(written) == flowing
    assert set(messages.MESSAGES) == flowing | {"Health"}, "Health is the runner's own, for every stage"


def test_every_stage_reads_what_the_one_before_writes() -> None:
    for row in STAGES:
        reader = reader_of(row)
        if reader is not None:
            assert reader.reads == row.writes[0]


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path) -> None:
    loaded = config.load(path)
    again = config.from_mapping(tomllib.loads(config.as_toml(loaded)), "printed")
    assert again == loaded


def test_live_configuration_equals_the_defaults_it_claims() -> None:
    assert config.load(ROOT / "configs" / "live.toml") == config.from_mapping({}, "defaults")


def test_import_contracts_hold() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("command", [["ruff", "check", "."], ["ruff", "format", "--check", "."]])
def test_ruff(command) -> None:
    result = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stdout


def test_mypy_strict_on_the_live_path() -> None:
    result = subprocess.run([sys.executable, "-m", "mypy"], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stdout


def test_messages_are_plain_structs() -> None:
    for struct in messages.MESSAGES.values():
        assert issubclass(struct, msgspec.Struct)
        assert struct.__doc__
