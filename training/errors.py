"""What can go wrong in training; the command line prints the message as one line and exits with code 2."""

from pathlib import Path


class TrainingError(Exception):
    """One line: what, where, what to do."""

    exit_code = 2


def unwritable(place: Path, error: OSError) -> TrainingError:
    """What to raise where a result cannot be written."""
    return TrainingError(f"{place}: cannot be written ({error.strerror or error}); choose another --out or make room")
