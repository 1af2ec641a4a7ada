"""What can go wrong in training; the command line prints the message as one line and exits with code 2."""


class TrainingError(Exception):
    """One line: what, where, what to do."""

    exit_code = 2
