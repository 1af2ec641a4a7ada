"""What may happen to a camera over RTSP, each as a script of faults against a real server behind `proxy.Proxy`.

Tests run all of them side by side, `benchmarks/faults.py` one after the other to measure.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pipeline import config
from pipeline.errors import SourceError
from pipeline.messages import SourceHealth
from pipeline.sources.live import LiveSource
from pipeline.sources.states import Change
from tests import rtsp
from tests.faults.proxy import Proxy
from tests.media import film

USER, PASSWORD = "ad min", "p@ss/w#r?d%:ä ü"
"""Everything in them that an address gives a meaning to."""

Act = Callable[["Stage"], None]


@dataclass(frozen=True)
class Scenario:
    """`steps`: seconds after the start (of the first picture, if `after_picture`) and what is done then.

    `fault_at` and `return_at` are the numbers of the steps with which the camera's trouble begins and ends.
    """

    name: str
    what: str
    steps: tuple[tuple[float, Act], ...] = ()
    fault_at: int | None = None
    return_at: int | None = None
    lasts_s: float = 4.0
    transport: Literal["tcp", "udp"] = "tcp"
    server: str = "h264"
    options: tuple[object, ...] = ()
    present: bool = True
    path: str = "live"
    host: str = "127.0.0.1"
    credentials: str = ""
    slow: bool = False
    """Too long for the tests, measured by the benchmark."""


@dataclass
class Seen:
    """A picture: when it came (s), its media time (s), its size."""

    at_s: float
    t_media_s: float
    width: int


@dataclass
class Outcome:
    """What came of a scenario. Times are seconds since its start."""

    scenario: Scenario
    changes: list[tuple[float, Change]] = field(default_factory=list)
    pictures: list[Seen] = field(default_factory=list)
    stepped: list[float] = field(default_factory=list)
    fatal: SourceError | None = None
    health: SourceHealth | None = None
    attempts_seen: int = 0
    closing_s: float = 0.0
    longest_poll_s: float = 0.0

    @property
    def states(self) -> list[str]:
        """States in order, repetitions left out."""
        states = [change.state for _, change in self.changes]
        return [state for at, state in enumerate(states) if at == 0 or state != states[at - 1]]

    @property
    def causes(self) -> set[str]:
        """Why it failed, each once."""
        return {change.cause for _, change in self.changes if change.cause is not None}

    @property
    def seen_s(self) -> float | None:
        """From the fault to the first word about it."""
        if self.scenario.fault_at is None:
            return None
        since = self.stepped[self.scenario.fault_at]
        return next((at - since for at, change in self.changes if at >= since and change.state != "live"), None)

    @property
    def back_s(self) -> float | None:
        """From the camera's return to its being live, which begins with a picture."""
        if self.scenario.return_at is None:
            return None
        since = self.stepped[self.scenario.return_at]
        return next((at - since for at, change in self.changes if at >= since and change.state == "live"), None)


class Stage:
    """Where a scenario is played: the proxy, and servers that can be put behind it."""

    def __init__(self, proxy: Proxy, ports: dict[str, int]) -> None:
        self.proxy, self.ports = proxy, ports

    def serve(self, server: str) -> None:
        """Another server takes the place of the one that is there."""
        self.proxy.target_port = self.ports[server]


def mode(name: str) -> Act:
    return lambda stage: setattr(stage.proxy, "mode", name)


def appear(stage: Stage) -> None:
    stage.proxy.appear()


def vanish(stage: Stage) -> None:
    stage.proxy.vanish()


def cut(stage: Stage) -> None:
    stage.proxy.cut()


def lose(share: float) -> Act:
    return lambda stage: setattr(stage.proxy, "loss", share)


def shift(seconds: float) -> Act:
    return lambda stage: setattr(stage.proxy, "shift", round(seconds * 90_000))


def keyless(whether: bool) -> Act:
    return lambda stage: setattr(stage.proxy, "keyless", whether)


def another(server: str) -> Act:
    """The camera comes back as another one."""

    def exchange(stage: Stage) -> None:
        stage.serve(server)
        stage.proxy.cut()

    return exchange


KNOWN = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@"

SCENARIOS = (
    Scenario("absent", "not there at the start", ((2.0, appear),), None, 0, 4.0, present=False),
    Scenario("off", "switched off, and on after 4 s", ((2.0, vanish), (6.0, appear)), 0, 1, 9.5),
    Scenario("cut", "connection cut", ((2.0, cut),), 0, 0, 5.0),
    Scenario("frozen", "cable out for 5 s (TCP)", ((2.0, mode("freeze")), (7.0, mode("pass"))), 0, 1, 10.5),
    Scenario("blip", "nothing for 1.3 s", ((2.0, mode("freeze")), (3.3, mode("pass"))), 0, 1, 5.0),
    Scenario("mute", "accepts, says nothing for 5 s", ((2.0, mode("silent")), (7.0, mode("pass"))), 0, 1, 10.5),
    Scenario("garbage", "noise for 5 s (TCP)", ((2.0, mode("garbage")), (7.0, mode("pass"))), 0, 1, 10.5),
    Scenario(
        "udp off", "switched off, and on after 4 s (UDP)", ((2.0, vanish), (6.0, appear)), 0, 1, 9.5, transport="udp"
    ),
    Scenario(
        "udp frozen",
        "cable out for 5 s (UDP)",
        ((2.0, mode("freeze")), (7.0, mode("pass"))),
        0,
        1,
        10.5,
        transport="udp",
    ),
    Scenario(
        "udp garbage", "noise for 4 s (UDP)", ((2.0, mode("garbage")), (6.0, mode("pass"))), 0, 1, 9.5, transport="udp"
    ),
    Scenario("loss", "30 % of the packets lost (UDP)", ((1.0, lose(0.3)),), lasts_s=8.0, transport="udp"),
    Scenario(
        "jumps",
        "its clock jumps an hour ahead, then back (UDP)",
        ((2.0, shift(3600.0)), (4.0, shift(0.0))),
        lasts_s=6.0,
        transport="udp",
    ),
    Scenario("wraps", "RTP timestamps wrap around", server="wrapping", lasts_s=5.0),
    Scenario("size", "another resolution every two seconds, mid-stream", server="sizes", lasts_s=7.0),
    Scenario("codec", "comes back with H.265", ((2.0, another("h265")),), 0, 0, 5.0),
    Scenario("h265", "H.265", server="h265", lasts_s=3.0),
    Scenario("secret", "odd characters in user and password", server="secret", credentials=KNOWN, lasts_s=3.0),
    Scenario("typed", "the same, typed as they are", server="secret", credentials=f"{USER}:{PASSWORD}@", lasts_s=3.0),
    Scenario("wrong", "wrong password (401)", server="secret", credentials="admin:secret@", lasts_s=2.0),
    Scenario("changed", "password changed while it was off", ((2.0, another("secret")),), 0, None, 5.0),
    Scenario("404", "no such stream (404)", path="nothing", lasts_s=3.0),
    Scenario("unknown", "host name not known", host="nowhere.invalid", lasts_s=3.0),
    Scenario(
        "keyless",
        "no key frames for 20 s (UDP)",
        ((0.0, keyless(True)), (20.0, keyless(False))),
        None,
        1,
        25.0,
        transport="udp",
        slow=True,
    ),
)


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[dict[str, int]]:
    """The cameras of all scenarios; their ports by name."""
    options = {"bf": "0", "g": "25", "preset": "ultrafast"}
    small = film(folder / "small.mp4", 50, options=options)
    large = film(folder / "large.mp4", 50, size=(320, 192), options=options)
    other = film(
        folder / "other.mp4", 50, codec="libx265", options={"x265-params": "log-level=none:bframes=0:keyint=25"}
    )
    h264 = rtsp.packets_of(small, folder / "h264")
    sizes = rtsp.packets_of(small, folder / "sizes", large)
    h265 = rtsp.packets_of(other, folder / "h265")
    ports = {name: rtsp.free_port() for name in ("h264", "sizes", "h265", "wrapping", "secret")}
    with contextlib.ExitStack() as stack:
        for name, packets, more in (
            ("h264", h264, ()),
            ("sizes", sizes, ()),
            ("h265", h265, ()),
            ("wrapping", h264, ("--offset", 2**32 - 2 * 90_000)),
            ("secret", h264, ("--user", USER, "--password", PASSWORD)),
        ):
            stack.enter_context(rtsp.serving(packets, ports[name], *more))
        yield ports


def play(scenario: Scenario, ports: dict[str, int]) -> Outcome:
    """Run a scenario against a `LiveSource`; the time it may take is its own."""
    settings = config.from_mapping({"source": {"rtsp_transport": scenario.transport}}, "scenario")
    outcome = Outcome(scenario)
    with Proxy(ports[scenario.server], scenario.present) as proxy:
        stage = Stage(proxy, ports)
        uri = f"rtsp://{scenario.credentials}{scenario.host}:{proxy.port}/{scenario.path}"
        source = LiveSource(uri, settings)
        try:
            _watch(source, stage, outcome)
        except SourceError as error:
            outcome.fatal = error
        outcome.health = source.health
        outcome.attempts_seen = proxy.accepted
        began = time.monotonic()
        source.close()
        outcome.closing_s = time.monotonic() - began
    return outcome


def _watch(source: LiveSource, stage: Stage, outcome: Outcome) -> None:
    steps = list(outcome.scenario.steps)
    began = time.monotonic()
    last = began
    while (now := time.monotonic()) - began < outcome.scenario.lasts_s:
        if steps and now - began >= steps[0][0]:
            outcome.stepped.append(now - began)
            steps.pop(0)[1](stage)
        for happened in source.poll(0.05):
            at_s = time.monotonic() - began
            if isinstance(happened, Change):
                outcome.changes.append((at_s, happened))
            else:
                outcome.pictures.append(Seen(at_s, happened.picture.t_media_ns * 1e-9, happened.picture.width))
        outcome.longest_poll_s = max(outcome.longest_poll_s, time.monotonic() - last)
        last = time.monotonic()


def play_all(scenarios: Sequence[Scenario], ports: dict[str, int]) -> dict[str, Outcome]:
    """Run scenarios side by side; outcomes by name."""
    outcomes: dict[str, Outcome] = {}

    def one(scenario: Scenario) -> None:
        outcomes[scenario.name] = play(scenario, ports)

    threads = [threading.Thread(target=one, args=(scenario,)) for scenario in scenarios]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    return outcomes
