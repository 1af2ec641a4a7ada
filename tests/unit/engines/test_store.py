"""Files of networks: found, verified, refused."""

import hashlib
import json

import pytest

from engines import store
from engines.errors import EngineError, WeightsError

DATA = b"some bytes that stand for a network"


@pytest.fixture
def weights(tmp_path):
    (tmp_path / "stn.onnx").write_bytes(DATA)
    row = {"sha256": hashlib.sha256(DATA).hexdigest(), "bytes": len(DATA), "note": "other keys are allowed"}
    (tmp_path / "manifest.json").write_text(json.dumps({"stn": row}))
    return tmp_path


def test_the_shipped_folder_is_the_default():
    assert store.folder_of("") == store.SHIPPED_WEIGHTS
    assert store.SHIPPED_WEIGHTS.name == "weights"


def test_what_was_shipped_passes(weights):
    assert store.verify("stn", weights) == weights / "stn.onnx"
    assert store.usable("stn", str(weights)) == weights / "stn.onnx"
    assert store.manifest(weights)["stn"].size_bytes == len(DATA)


def test_a_missing_network_names_those_there(weights):
    with pytest.raises(WeightsError, match=r"'hrnet': no file .*hrnet\.onnx \(networks there: stn\); point"):
        store.find("hrnet", weights)


@pytest.mark.parametrize(
    ("data", "says"), [(DATA[:-1], "34 bytes, the manifest says 35"), (DATA[::-1], "SHA-256 .* altered")]
)
@pytest.mark.parametrize("check", [store.verify, store.usable])
def test_a_changed_file_is_refused(weights, data, says, check):
    (weights / "stn.onnx").write_bytes(data)
    with pytest.raises(WeightsError, match=says):
        check("stn", weights)


@pytest.mark.parametrize("text", ["{", "[]", '{"stn": 3}', '{"stn": {"bytes": 3}}', "\udcff"])
def test_a_broken_manifest_is_an_error_of_one_line(weights, text):
    (weights / "manifest.json").write_text(text, errors="surrogateescape")
    with pytest.raises(EngineError, match=r"manifest\.json: not a manifest") as caught:
        store.verify("stn", weights)
    assert "\n" not in str(caught.value)


def test_a_folder_of_ones_own_needs_no_manifest(weights):
    (weights / "manifest.json").unlink()
    assert store.usable("stn", weights) == weights / "stn.onnx"
    with pytest.raises(WeightsError, match=r"manifest\.json: missing"):
        store.verify("stn", weights)


def test_the_shipped_folder_needs_its_manifest(weights, monkeypatch):
    monkeypatch.setattr(store, "SHIPPED_WEIGHTS", weights)
    assert store.usable("stn") == weights / "stn.onnx"
    (weights / "other.onnx").write_bytes(DATA)
    with pytest.raises(WeightsError, match=r"other\.onnx: not listed in manifest\.json"):
        store.usable("other")
