"""A stage's share of the machine, and how many messages it takes at once."""

from pathlib import Path

import pytest

from pipeline.config import Config
from pipeline.stage import Host
from pipeline.topology import STAGES

ENCODE = next(row for row in STAGES if row.name == "encode")


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


def test_live_all_threads_work_on_one_picture_and_in_a_replay_each_on_its_own() -> None:
    live, replay = (Host.of(ENCODE, Config(policy=policy), Path()) for policy in ("live", "replay"))
    assert (live.threads, live.calls, live.gathered) == (ENCODE.threads, 1, 1)
    assert (replay.threads, replay.calls, replay.gathered) == (ENCODE.threads, ENCODE.threads, ENCODE.threads)


def test_several_streams_gather_what_the_settings_say() -> None:
    assert Host.of(ENCODE, Config(), Path(), streams=3).gathered == Config().batch.size
