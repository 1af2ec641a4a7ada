"""An NVIDIA GPU through PyCUDA: whether there is one, its context, and memory that is freed on every way out.

The context is the process's primary one, which the CUDA runtime inside TensorRT uses too, in all its threads; so the
networks of one stage share it. It is current only inside `Context.current`.
"""

import contextlib
import functools
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.errors import BackendError
from engines.nvidia.cuda_driver import PageLocked, current_context, pop_context

Array = NDArray[Any]

EXTRA: Final = "pip install 'posecast[gpu]'"
_NON_BLOCKING: Final = 1


@dataclass(frozen=True, slots=True)
class Gpu:
    """Name, compute capability ("8.9") and the driver's CUDA version ("13.0")."""

    name: str
    capability: str
    driver: str


def why_missing() -> str | None:
    """Why no GPU can be used here, in one line with what to do about it; None when one can."""
    try:
        importlib.import_module("pycuda")
    except ImportError as error:
        return f"PyCUDA cannot be imported ({one_line(error)}); {EXTRA}, which needs the CUDA toolkit"
    try:
        driver = importlib.import_module("pycuda.driver")
    except (ImportError, OSError) as error:
        return f"no NVIDIA driver ({one_line(error)}); install it, or run where there is one"
    try:
        driver.init()
        count = driver.Device.count()
    except driver.Error as error:
        return f"the NVIDIA driver does not answer ({one_line(error)}); see nvidia-smi"
    return None if count else "no NVIDIA GPU in this machine"


def gpu(device: int) -> Gpu:
    """The GPU of that number. Raises BackendError when there is none."""
    driver = _driver()
    with translated(driver, f"GPU {device}"):
        if not 0 <= device < driver.Device.count():
            raise BackendError(f"GPU {device}: there are {driver.Device.count()}, counted from 0; choose one of them")
        found = driver.Device(device)
        version = driver.get_driver_version()
        capability = ".".join(str(part) for part in found.compute_capability())
        return Gpu(found.name(), capability, f"{version // 1000}.{version % 1000 // 10}")


class Context:
    """The GPU's context, held from construction to `release`."""

    def __init__(self, device: int) -> None:
        """Raises BackendError when the GPU cannot be had."""
        self.label = f"GPU {device} ({gpu(device).name})"
        self.driver = _driver()
        with translated(self.driver, self.label):
            self._context = self.driver.Device(device).retain_primary_context()

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Inside, the context is this thread's, and what goes wrong is a BackendError in one line."""
        with translated(self.driver, self.label):
            self._context.push()
            try:
                yield
            finally:
                self.driver.Context.pop()

    def release(self) -> None:
        """Let the context go; everything in it must have been freed.

        In another thread than the one it was made in, PyCUDA holds it to the end of the process.
        """
        before = current_context()
        self._context.detach()
        if current_context() != before:
            pop_context()

    def free_bytes(self) -> int:
        """Memory of the GPU that is free now."""
        with self.current():
            return int(self.driver.mem_get_info()[0])


class Memory:
    """Allocations and other things to give back, all at once, last first. The context must be current."""

    def __init__(self, context: Context) -> None:
        self._driver, self._held = context.driver, contextlib.ExitStack()

    def host(self, shape: tuple[int, ...], dtype: str) -> Array:
        """A page-locked array of zeros; of no use after `free`."""
        array: Array = self._driver.pagelocked_empty(shape, np.dtype(dtype))
        self._held.callback(array.base.free)  # type: ignore[union-attr]
        array.fill(0)
        return array

    def device(self, size: int) -> int:
        """Address of `size` bytes of zeros on the GPU, at least one."""
        allocated = self._driver.mem_alloc(max(size, 1))
        self._held.callback(allocated.free)
        self._driver.memset_d8(allocated, 0, max(size, 1))
        return int(allocated)

    def keep(self, thing: Any) -> None:
        """Anything with `free`, to be freed with the rest."""
        self._held.callback(thing.free)

    def free(self) -> None:
        """Free everything, whatever goes wrong on the way; a second call does nothing."""
        self._held.close()


def stream(context: Context) -> Any:
    """A stream that does not wait for the default one. The context must be current."""
    return context.driver.Stream(_NON_BLOCKING)


def event(context: Context) -> Any:
    """An event; who waits for it sleeps, because several processes share the cores."""
    flags = context.driver.event_flags
    return context.driver.Event(flags.DISABLE_TIMING | flags.BLOCKING_SYNC)


@contextlib.contextmanager
def page_locked(context: Context, buffer: Any) -> Iterator[PageLocked]:
    """The buffer locked for copies to the GPU, where the driver can; see PageLocked."""
    with context.current():
        locked = PageLocked(buffer)
    try:
        yield locked
    finally:
        with context.current():
            locked.free()


@contextlib.contextmanager
def translated(driver: Any, label: str) -> Iterator[None]:
    """PyCUDA's errors as BackendErrors in one line."""
    try:
        yield
    except driver.MemoryError as error:
        raise BackendError(
            f"{label}: out of memory ({one_line(error)}); close other programs on it, or build for smaller batches"
        ) from error
    except driver.Error as error:
        raise BackendError(f"{label}: {one_line(error)}; see nvidia-smi, and restart the stage") from error


def one_line(error: object) -> str:
    """The first line that says something, shortened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__


@functools.cache
def _driver() -> Any:
    missing = why_missing()
    if missing is not None:
        raise BackendError(missing)
    return importlib.import_module("pycuda.driver")
