"""A network that runs: opened by its contract, whatever the back-end, and checked against it at each call."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from numpy.typing import NDArray

from engines import store
from engines.checks import check_inputs
from engines.choice import candidates
from engines.contracts import Contract
from engines.errors import BackendError
from engines.opening import Opening, Refused, Runner
from engines.settings import EngineSettings

Array = NDArray[Any]
_log: Final = logging.getLogger(__name__)


class Session(Protocol):
    """A network ready to run."""

    @property
    def contract(self) -> Contract:
        """What it takes and gives."""

    @property
    def device(self) -> str:
        """Back-end, precision and threads, for people."""

    @property
    def batch(self) -> int:
        """How many subjects are worth one call; 1 where a batch costs as much as its members."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, the caller's own arrays. Raises ContractError when an input is not as agreed."""

    def close(self) -> None:
        """Give back what the engine holds of a device."""


class CheckedSession:
    """A runner behind the contract of its network."""

    def __init__(self, contract: Contract, runner: Runner, because: str = "") -> None:
        self._contract, self._runner = contract, runner
        self.device = f"{runner.device}, because {because}" if because else runner.device
        self.batch = runner.batch

    @property
    def contract(self) -> Contract:
        """What the network takes and gives."""
        return self._contract

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name. Raises ContractError naming the input, what was expected and what came."""
        check_inputs(self._contract, inputs)
        return self._runner.infer(inputs)

    def close(self) -> None:
        """Give back what the engine holds of a device."""
        self._runner.close()


def open_session(
    contract: Contract,
    settings: EngineSettings,
    cores: int,
    axes: Mapping[str, int] | None = None,
    say: Callable[[str], None] = _log.info,
) -> CheckedSession:
    """A session for the network of `contract`, on at most `cores` threads.

    `axes` are the sizes of the contract's free axes to expect (default: a batch of 1): the engine is built for them;
    other sizes run as well. An engine is checked once on this machine; one that fails is passed over where the choice
    is left to `auto`. `say` hears what takes time. Raises WeightsError, BackendError or ContractError.
    """
    store.usable(contract.network, settings.weights)
    settings = replace(settings, threads=settings.threads or max(1, cores))
    because: list[str] = []
    for candidate in candidates(contract.network, settings):
        if candidate.because and candidate.because not in because:
            because.append(candidate.because)
            _log.warning("%s: %s", contract.network, candidate.because)
        try:
            runner = Opening(contract, candidate, settings, {"B": 1} if axes is None else axes, say).runner()
        except Refused as refusal:
            because.append(f"not {candidate.precision}: {refusal}")
            _log.warning("%s: %s", contract.network, because[-1])
            continue
        session = CheckedSession(contract, runner, "; ".join(because))
        _log.info("%s: %s", contract.network, session.device)
        return session
    raise BackendError(f"{contract.network}: {because[-1]}; set engines.precision to auto, or to fp32")
