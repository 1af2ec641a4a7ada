"""The browsers that look, and what goes to all of them."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping

from pipeline.viewer import wire
from pipeline.viewer.mailbox import Mailbox
from pipeline.viewer.memory import Memory


class Browsers:
    """A mailbox for each. Filled by the edge's thread, joined and left in the server's."""

    def __init__(self, greetings: Mapping[str, wire.ViewHello], memory: Memory) -> None:
        """`greetings`: the hello of each stream."""
        self._greetings = greetings
        self._memory = memory
        self._mailboxes: tuple[Mailbox, ...] = ()
        self._gone: Counter[str] = Counter()
        self._lock = threading.Lock()

    def join(self, stream: str, wake: Callable[[], None]) -> Mailbox:
        """A mailbox for one that looks at a stream; at the first one if there is none of that name."""
        greeting = self._greetings.get(stream) or next(iter(self._greetings.values()))
        first = [wire.text(greeting), *self._memory.of(greeting.stream)]
        mailbox = Mailbox(greeting.stream, wake, first)
        with self._lock:
            self._mailboxes = (*self._mailboxes, mailbox)
        return mailbox

    def leave(self, mailbox: Mailbox) -> None:
        """It does not look any more."""
        with self._lock:
            self._mailboxes = tuple(one for one in self._mailboxes if one is not mailbox)
            self._gone += mailbox.dropped

    @property
    def count(self) -> int:
        """How many look."""
        return len(self._mailboxes)

    def watched(self, stream: str) -> bool:
        """Whether anybody looks at a stream."""
        return any(mailbox.stream == stream for mailbox in self._mailboxes)

    @property
    def dropped(self) -> Counter[str]:
        """What they did not get, by cause."""
        with self._lock:
            return sum((mailbox.dropped for mailbox in self._mailboxes), self._gone.copy())

    def tell(self, text: str, stream: str) -> None:
        """A message to all that look at a stream; empty: to all."""
        for mailbox in self._mailboxes:
            if stream in ("", mailbox.stream):
                mailbox.text(text)

    def show(self, data: bytes, stream: str) -> None:
        """A picture to all that look at a stream."""
        for mailbox in self._mailboxes:
            if mailbox.stream == stream:
                mailbox.picture(data)
