"""Decoding by hardware is asked for, or not, and what is done instead is said."""

from pipeline import config
from pipeline.sources import hardware
from pipeline.sources.hardware import accelerator


def test_off_is_off() -> None:
    chosen = accelerator("off")
    assert chosen.kind is None
    assert chosen.opening() is None
    assert "capture.hardware is off" in chosen.note


def test_auto_says_what_it_found_or_why_there_is_none() -> None:
    chosen = accelerator("auto")
    if chosen.kind is None:
        assert "decoded by the processor; no hardware decoder (" in chosen.note
        assert chosen.opening() is None
    else:
        assert chosen.note == f"decoded by {chosen.kind}"
        assert chosen.opening() is not None
    assert accelerator("auto") is chosen, "devices are tried once"


def test_a_build_without_devices_is_said(monkeypatch) -> None:
    monkeypatch.setattr(hardware, "hwdevices_available", list)
    assert hardware._found.__wrapped__().note.endswith("(FFmpeg has none for H.264 and H.265)")


def test_the_setting() -> None:
    assert config.from_mapping({}, "x").capture.hardware == "auto"
    assert config.from_mapping({"capture": {"hardware": "off"}}, "x").capture.hardware == "off"
