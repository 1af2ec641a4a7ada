"""The few calls of the NVIDIA driver that PyCUDA lacks: graphs of captured streams, and memory locked in place.

PyCUDA 2026.1 knows no graphs, its `register_host_memory` crashes with NumPy 2, and it leaves a primary context that it
lets go of on the driver's stack.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from engines.errors import BackendError

LIBRARY: Final = "libcuda.so.1"
_THREAD_LOCAL: Final = 1
"""Capture mode: what other threads do meanwhile neither enters the graph nor breaks it."""
_PORTABLE: Final = 1
_READ_ONLY: Final = 8
_POINTER: Final = ctypes.c_void_p
_ARGUMENTS: Final[dict[str, tuple[Any, ...]]] = {
    "cuStreamBeginCapture_v2": (_POINTER, ctypes.c_int),
    "cuStreamEndCapture": (_POINTER, ctypes.POINTER(_POINTER)),
    "cuGraphInstantiateWithFlags": (ctypes.POINTER(_POINTER), _POINTER, ctypes.c_ulonglong),
    "cuGraphLaunch": (_POINTER, _POINTER),
    "cuGraphExecDestroy": (_POINTER,),
    "cuGraphDestroy": (_POINTER,),
    "cuMemHostRegister_v2": (_POINTER, ctypes.c_size_t, ctypes.c_uint),
    "cuMemHostUnregister": (_POINTER,),
    "cuCtxGetCurrent": (ctypes.POINTER(_POINTER),),
    "cuCtxPopCurrent_v2": (ctypes.POINTER(_POINTER),),
    "cuGetErrorString": (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
}


class Graph:
    """Work of a stream, recorded once and launched as a whole. Its context must be current in every call."""

    def __init__(self, stream: int, enqueue: Callable[[], None]) -> None:
        """Records what `enqueue` puts on the stream. Raises BackendError when the driver cannot record it."""
        self._ready = _POINTER()
        recorded = _POINTER()
        _call("cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)
        try:
            enqueue()
        except BaseException:
            # The recording has to end, or the stream stays of no use; what it holds is not wanted.
            if _function("cuStreamEndCapture")(stream, ctypes.byref(recorded)) == 0 and recorded:
                _call("cuGraphDestroy", recorded)
            raise
        _call("cuStreamEndCapture", stream, ctypes.byref(recorded))
        try:
            _call("cuGraphInstantiateWithFlags", ctypes.byref(self._ready), recorded, 0)
        finally:
            _call("cuGraphDestroy", recorded)

    def launch(self, stream: int) -> None:
        """Put the recorded work on a stream. Raises BackendError."""
        _call("cuGraphLaunch", self._ready, stream)

    def free(self) -> None:
        """Give the graph back; a second call does nothing."""
        if self._ready:
            ready, self._ready = self._ready, _POINTER()
            _call("cuGraphExecDestroy", ready)


class PageLocked:
    """A buffer locked where it is (a shared-memory ring, say), so that copies to the GPU need no copy in between.

    Where the driver cannot, `why_not` says so and everything works as before, only slower. The buffer must outlive it.
    """

    def __init__(self, buffer: Any) -> None:
        """`buffer` is anything contiguous with a buffer: an array, an mmap, shared memory. Needs a current context."""
        self.why_not: str | None = None
        self._bytes: NDArray[np.uint8] | None = np.frombuffer(buffer, np.uint8)
        flags = _PORTABLE if self._bytes.flags.writeable else _PORTABLE | _READ_ONLY
        try:
            _call("cuMemHostRegister_v2", self._bytes.ctypes.data, self._bytes.nbytes, flags)
        except BackendError as error:
            self._bytes, self.why_not = None, str(error)

    def free(self) -> None:
        """Unlock the buffer; a second call does nothing."""
        if self._bytes is not None:
            place, self._bytes = self._bytes.ctypes.data, None
            _call("cuMemHostUnregister", place)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.free()


def current_context() -> int:
    """The driver's handle of this thread's current context, 0 for none."""
    found = _POINTER()
    _call("cuCtxGetCurrent", ctypes.byref(found))
    return found.value or 0


def pop_context() -> None:
    """Take this thread's current context off its stack."""
    _call("cuCtxPopCurrent_v2", ctypes.byref(_POINTER()))


def _call(name: str, *arguments: Any) -> None:
    code = _function(name)(*arguments)
    if code != 0:
        raise BackendError(f"the NVIDIA driver refused {name} ({_text(code)}); update the driver")


@cache
def _function(name: str) -> Any:
    try:
        function = getattr(ctypes.CDLL(LIBRARY), name)
    except (OSError, AttributeError) as error:
        raise BackendError(f"the NVIDIA driver lacks {name} ({error}); update the driver") from error
    function.argtypes, function.restype = _ARGUMENTS[name], ctypes.c_int
    return function


def _text(code: int) -> str:
    text = ctypes.c_char_p()
    if _function("cuGetErrorString")(code, ctypes.byref(text)) or not text.value:
        return f"error {code}"
    return text.value.decode(errors="replace")
