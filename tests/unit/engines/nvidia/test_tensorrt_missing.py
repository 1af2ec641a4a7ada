"""Machines without TensorRT, PyCUDA, a driver or a GPU: nothing is imported too early, and one line says what to do."""

import subprocess
import sys

import pytest

from engines.nvidia import tensorrt_backend
from tests import software_gpu as software
from tests.conftest import ROOT

software_gpu = software.software_gpu

BLOCKED = """
import sys
blocked = sys.argv[2].split(",")
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked or name in blocked:
            raise ImportError(f"No module named {name!r}")
sys.meta_path.insert(0, Blocker())
sys.path.insert(0, sys.argv[1])
"""


def run(code, folder, *blocked):
    command = [sys.executable, "-c", BLOCKED + code, str(folder), ",".join(blocked)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def pretend(folder, **files):
    """Packages that lie in `folder`: file contents by dotted name."""
    for name, text in files.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


WHY = "from engines.nvidia import tensorrt_backend as t; print(t.why_missing())"
LOADED = """
from engines.nvidia import tensorrt_backend
from engines.contracts import STN
from engines.errors import BackendError
try:
    tensorrt_backend.loaded(b"plan", STN, 0, "fp16")
except BackendError as error:
    print(error)
"""


def test_importing_the_back_end_imports_no_library(tmp_path):
    code = (
        "import engines.nvidia.tensorrt_backend; "
        "print([n for n in ('tensorrt', 'tensorrt_rtx', 'pycuda', 'onnx', 'torch') if n in sys.modules])"
    )
    assert run(code, tmp_path) == "[]"


@pytest.mark.parametrize("code", [WHY, LOADED], ids=["why_missing", "loaded"])
def test_without_the_library_the_extra_is_named(code, tmp_path):
    said = run(code, tmp_path, "tensorrt", "tensorrt_rtx")
    assert said == (
        "TensorRT cannot be imported (No module named 'tensorrt'; No module named 'tensorrt_rtx'); "
        "pip install 'posecast[gpu]'"
    )


@pytest.mark.parametrize("code", [WHY, LOADED], ids=["why_missing", "loaded"])
def test_without_pycuda_the_extra_is_named(code, tmp_path):
    pretend(tmp_path, tensorrt____init__='__version__ = "10.9"')
    said = run(code, tmp_path, "tensorrt_rtx", "pycuda")
    assert said == (
        "PyCUDA cannot be imported (No module named 'pycuda'); pip install 'posecast[gpu]', "
        "which needs the CUDA toolkit"
    )


@pytest.mark.parametrize("code", [WHY, LOADED], ids=["why_missing", "loaded"])
def test_without_a_driver_it_says_so(code, tmp_path):
    pretend(
        tmp_path,
        tensorrt____init__='__version__ = "10.9"',
        pycuda____init__="",
        pycuda__driver="raise ImportError('libcuda.so.1: cannot open shared object file\\nmore')",
    )
    said = run(code, tmp_path)
    assert said == (
        "no NVIDIA driver (libcuda.so.1: cannot open shared object file); install it, or run where there is one"
    )


DRIVER = """
class Error(Exception): pass
def init(): {init}
class Device:
    count = staticmethod(lambda: 0)
"""


@pytest.mark.parametrize(
    ("init", "says"),
    [
        ("pass", "no NVIDIA GPU in this machine"),
        (
            "raise Error('cuInit failed: no device')",
            "the NVIDIA driver does not answer (cuInit failed: no device)",
        ),
    ],
)
def test_without_a_gpu_it_says_so(init, says, tmp_path):
    pretend(
        tmp_path,
        tensorrt____init__='__version__ = "10.9"',
        pycuda____init__="",
        pycuda__driver=DRIVER.format(init=init),
    )
    assert run(WHY, tmp_path).startswith(says)
    facts = "from engines.nvidia import tensorrt_backend as t; print(t.facts(0))"
    assert "'gpu': 'none', 'compute_capability': 'none', 'driver': 'none'" in run(facts, tmp_path)


def test_rewriting_without_onnx_names_the_extra(tmp_path):
    code = """
from engines.nvidia import variants
from engines.errors import BackendError
for rewrite in (variants.fp16, variants.symmetric):
    try:
        rewrite(b"")
    except BackendError as error:
        print(error)
"""
    line = "the onnx package cannot be imported (No module named 'onnx'); pip install 'posecast[gpu]'"
    assert run(code, tmp_path, "onnx").splitlines() == [line, line]


def test_a_gpu_that_tensorrt_for_rtx_does_not_know_needs_tensorrt(monkeypatch):
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    software.install(monkeypatch, capability=(9, 0), name="NVIDIA H200")
    assert tensorrt_backend.why_missing() is None
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    says = "TensorRT for RTX does not know GPUs of compute capability 9.0; pip install tensorrt beside it"
    assert tensorrt_backend.why_missing() == says


def test_with_a_gpu_tensorrt_is_preferred(software_gpu):
    assert tensorrt_backend.facts(0)["library"] == "tensorrt 10.9.0"


def test_without_a_gpu_tensorrt_for_rtx_is_preferred(monkeypatch):
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    software.install(monkeypatch)
    monkeypatch.setitem(sys.modules, "pycuda", None)
    assert tensorrt_backend.facts(0)["library"] == f"tensorrt_rtx {trt.__version__}"
