"""Batches made ahead of their use, by processes of their own."""

import multiprocessing
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, Final, Generic, TypeVar

import cv2

T = TypeVar("T")

AHEAD: Final = 3
"""Batches under way per worker."""

_make: Callable[..., Any] | None = None
"""What a worker makes; set when it starts."""


class Prefetch(Generic[T]):
    """Calls `make(step, *arguments)` for coming steps before they are asked for; 0 workers make them when asked.

    What comes back depends on `step` and `arguments` alone, however many workers there are.
    """

    def __init__(self, make: Callable[..., T], workers: int) -> None:
        self.make, self.workers = make, workers
        self._pool: ProcessPoolExecutor | None = None
        self._under_way: OrderedDict[tuple[Any, ...], Future[T]] = OrderedDict()

    def get(self, step: int, *arguments: Any) -> T:
        """Batch number `step`; starts the ones after it."""
        if self.workers == 0:
            return self.make(step, *arguments)
        if self._pool is None:
            # Not forked: threads of the mathematics and picture libraries do not survive a fork.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.workers, context, _start_worker, (self.make,))
        wanted = [(k, *arguments) for k in range(step, step + 1 + AHEAD * self.workers)]
        for key in [key for key in self._under_way if key not in wanted]:
            self._under_way.pop(key).cancel()
        for key in wanted:
            if key not in self._under_way:
                self._under_way[key] = self._pool.submit(_call, *key)
        return self._under_way.pop(wanted[0]).result()

    def close(self) -> None:
        """Ends the workers."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _start_worker(make: Callable[..., Any]) -> None:
    global _make
    _make = make
    cv2.setNumThreads(1)


def _call(step: int, *arguments: Any) -> Any:
    assert _make is not None
    return _make(step, *arguments)
