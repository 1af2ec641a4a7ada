"""What can go wrong with the networks, as a tree. A message is one line: what, where, what to do.

EngineError
├── WeightsError    a network's file is missing, altered or not listed
├── BackendError    a back-end is not installed, or cannot do what was asked of it
└── ContractError   a tensor or a model file is not what the network's contract says
"""


class EngineError(Exception):
    """One line: what, where, what to do."""


class WeightsError(EngineError):
    """A network's file is missing, altered or not listed in the manifest."""


class BackendError(EngineError):
    """A back-end is not installed, or cannot do what was asked of it."""


class ContractError(EngineError):
    """A tensor or a model file is not what the network's contract says."""
