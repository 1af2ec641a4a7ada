"""What is told of imports is summed by package; no stage loads what it does not need."""

import subprocess
import sys

import pytest

from benchmarks import start


def test_what_modules_took_is_summed_by_package() -> None:
    told = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:     30000 |      30000 |   numpy._core\n"
        "import time:     20000 |      50000 | numpy\n"
        "import time:      1000 |       1000 | tiny\n"
        "some warning\n"
    )
    assert start._by_package(told) == {"numpy": pytest.approx(0.05)}


@pytest.mark.parametrize("stage", ["encode", "decode", "smooth", "publish"])
def test_only_stages_with_pictures_load_the_decoder_and_opencv(stage) -> None:
    unwanted = "{'av', 'cv2', 'rich', 'typer', 'matplotlib', 'torch', 'onnxruntime'}"
    code = f"import sys, pipeline.worker, pipeline.stages.{stage}; print(*({unwanted} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], cwd=start.ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.split() == []
