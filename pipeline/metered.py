"""What the networks of a stage cost: calls and processor time, counted where they are called.

Only where it is asked for (`engines.metered`): to read a processor clock makes the kernel settle accounts, and on busy
cores it then gives the core to another process, just when a result is about to be handed on.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from engines.contracts import Contract
from engines.session import Array, Session


@dataclass(frozen=True, slots=True)
class Spent:
    """What each network of a stage has cost so far: calls, each member of a batch one, and processor nanoseconds of all
    threads."""

    calls: Counter[str] = field(default_factory=Counter)
    cpu_ns: Counter[str] = field(default_factory=Counter)


class Metered:
    """A session that adds up what its calls cost.

    The clock is that of the whole process, because a back-end works on threads of its own: what the process does
    besides, during a call, is counted with it.
    """

    def __init__(self, session: Session, spent: Spent) -> None:
        self._session, self._spent = session, spent

    @property
    def contract(self) -> Contract:
        """What the network takes and gives."""
        return self._session.contract

    @property
    def device(self) -> str:
        """Back-end, precision and threads, for people."""
        return self._session.device

    @property
    def batch(self) -> int:
        """How many subjects are worth one call."""
        return self._session.batch

    def close(self) -> None:
        """Give back what the engine holds of a device."""
        self._session.close()

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, as the session gives them."""
        before = time.process_time_ns()
        outputs = self._session.run(inputs)
        network = self._session.contract.network
        self._spent.cpu_ns[network] += time.process_time_ns() - before
        self._spent.calls[network] += len(next(iter(inputs.values())))
        return outputs
