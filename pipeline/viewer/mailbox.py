"""What waits for one browser: never more than a bound, whatever the browser does."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Final

TEXTS: Final = 600
"""Messages that may wait: some three seconds of poses of a fast camera."""
_PICTURES: Final = 2
UNSEEN: Final = 4
"""Pictures on their way that a browser has not shown yet. What is not sent cannot be late: a slow line gets fewer."""


class Mailbox:
    """Filled by one thread, emptied by another. Full, it drops the oldest and counts it."""

    def __init__(self, stream: str, wake: Callable[[], None], first: Iterable[str] = ()) -> None:
        """`stream`: whose pictures and poses; `wake` is called, in the filling thread, when there is something."""
        self.stream = stream
        self.dropped: Counter[str] = Counter()
        self._texts = deque(first)  # the greeting does not count
        self._pictures: deque[bytes] = deque()
        self._unseen = 0
        self._wake = wake
        self._lock = threading.Lock()

    def text(self, text: str) -> None:
        """A message for the page."""
        with self._lock:
            if len(self._texts) >= TEXTS:
                self._texts.popleft()
                self.dropped["view_message"] += 1
            self._texts.append(text)
        self._wake()

    def picture(self, data: bytes) -> None:
        """A picture, whose pose was put in before; the newest are the ones that stay."""
        with self._lock:
            if len(self._pictures) >= _PICTURES:
                self._pictures.popleft()
                self.dropped["view_picture"] += 1
            self._pictures.append(data)
        self._wake()

    def seen(self) -> None:
        """The browser has got one more picture."""
        with self._lock:
            self._unseen = max(0, self._unseen - 1)
        self._wake()

    def take(self) -> list[str | bytes]:
        """What may be sent now: the messages, then a picture, so that a pose is never later than its picture."""
        with self._lock:
            taken: list[str | bytes] = list(self._texts)
            self._texts.clear()
            if self._pictures and self._unseen < UNSEEN:
                taken.append(self._pictures.popleft())
                self._unseen += 1
            return taken
