"""Being told to stop, also from a signal's handler.

`threading.Event.set` takes a lock. A handler runs in the middle of whatever its thread does: if that is waiting for the
event, or a handler of the same signal, the lock is held by the very thread that now waits for it, for ever. So this is
an attribute, and whoever waits looks at it again and again.
"""

import time
from typing import Final

_TURN_S: Final = 0.02


class Stop:
    """False until it is told; then true for good."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told = False

    def set(self) -> None:
        """Tell it. Safe in a handler and in any thread."""
        self._told = True

    def is_set(self) -> bool:
        """Whether it was told."""
        return self._told

    def wait(self, timeout_s: float) -> bool:
        """Wait so long at most; whether it was told."""
        until = time.monotonic() + timeout_s
        while not self._told and (left_s := until - time.monotonic()) > 0:
            time.sleep(min(left_s, _TURN_S))
        return self._told
