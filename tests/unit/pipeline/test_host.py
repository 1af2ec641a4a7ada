"""How many messages a stage takes at once: what its networks gain from, within what the run gathers."""

from pathlib import Path

import pytest

from pipeline.config import Config
from pipeline.stage import Host


class Network:
    """A session that says what batch is worth it."""

    def __init__(self, batch: int) -> None:
        self.batch = batch


@pytest.mark.parametrize(
    ("gathered", "networks", "expected"),
    [(8, [1], 1), (8, [16], 8), (8, [4], 4), (8, [16, 2], 2), (8, [16, 1], 1), (1, [16], 1)],
)
def test_a_batch_is_what_all_networks_gain_from(gathered, networks, expected) -> None:
    host = Host(Config(), Path(), cores=1, gathered=gathered)
    assert host.batch(*(Network(batch) for batch in networks)) == expected


def test_a_single_stream_gathers_nothing() -> None:
    assert Host(Config(), Path(), cores=1).batch(Network(16)) == 1
