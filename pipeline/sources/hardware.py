"""Decoding by a graphics card where FFmpeg can and the machine has one; what is fallen back to is said."""

import functools
from dataclasses import dataclass
from typing import Final, Literal

import av
import av.error
from av.codec.hwaccel import HWAccel, hwdevices_available

Hardware = Literal["auto", "off"]

_CODECS: Final = ("h264", "hevc")


@dataclass(frozen=True, slots=True)
class Accelerator:
    """What decodes: a kind of device that FFmpeg knows, or none; `note` says which, or why there is none."""

    kind: str | None
    note: str

    def opening(self) -> HWAccel | None:
        """For `av.open`; what the device cannot decode the processor does."""
        return None if self.kind is None else HWAccel(self.kind, allow_software_fallback=True)


def accelerator(wanted: Hardware) -> Accelerator:
    """The first device that opens for one of the codecs of cameras."""
    return _found() if wanted == "auto" else Accelerator(None, "decoded by the processor (capture.hardware is off)")


@functools.cache
def _found() -> Accelerator:
    tried: dict[str, str] = {}
    for kind in hwdevices_available():
        for name in _CODECS:
            try:
                HWAccel(kind).create(av.codec.Codec(name, "r"))
            except NotImplementedError:
                continue  # built in, but not for this codec
            except (av.error.FFmpegError, ValueError) as error:
                tried[kind] = (error.strerror if isinstance(error, av.error.FFmpegError) else None) or "no device"
                continue
            return Accelerator(kind, f"decoded by {kind}")
    why = ", ".join(f"{kind}: {reason}" for kind, reason in tried.items()) or "FFmpeg has none for H.264 and H.265"
    return Accelerator(None, f"decoded by the processor; no hardware decoder ({why})")
