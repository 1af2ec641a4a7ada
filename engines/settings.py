"""What a user may say about how networks are run."""

from dataclasses import dataclass
from typing import Final, Literal

Backend = Literal["auto", "openvino", "onnxruntime", "tensorrt"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
DEVICE_PATTERN: Final = r"^(auto|cpu|cuda:\d{1,2})$"
"""`cuda:0` is the first NVIDIA GPU."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What runs a network; `auto` takes the best the machine has, int8 is for the networks that have such a file.

    `weights` is a folder, empty for the shipped one; `threads` are those of one network, 0 for one a core; `calls` of a
    network run at once and share its threads; `cache` is the folder of built engines, empty for the user's. Not
    `checked`, an engine is used whatever it gives: for measuring networks with random weights.
    """

    backend: Backend = "auto"
    precision: Precision = "auto"
    weights: str = ""
    threads: int = 0
    calls: int = 1
    device: str = "auto"
    cache: str = ""
    checked: bool = True
