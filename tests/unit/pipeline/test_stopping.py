"""A stop is heard from a signal's handler, whatever the handler interrupts, itself included."""

import subprocess
import sys
import threading
import time

from pipeline.stopping import Stop
from tests.conftest import ROOT

STORM = """
import os, signal, subprocess, sys, threading
from pipeline.stopping import Stop
stop = {made}
signal.signal(signal.SIGTERM, lambda *_: stop.set())
sender = "import os, sys, time\\nfor _ in range(60000): os.kill(int(sys.argv[1]), 15)"
storm = subprocess.Popen([sys.executable, "-c", sender, str(os.getpid())])
while storm.poll() is None:
    stop.wait(0.001)
assert stop.is_set()
"""


def test_a_storm_of_signals_is_survived() -> None:
    """An Event in its place hangs within a second."""
    assert subprocess.run([sys.executable, "-c", STORM.format(made="Stop()")], cwd=ROOT, timeout=30).returncode == 0


def test_waiting_ends_when_told_and_when_the_time_is_over() -> None:
    stop = Stop()
    before = time.monotonic()
    assert not stop.wait(0.05)
    assert time.monotonic() - before >= 0.05
    threading.Timer(0.05, stop.set).start()
    assert stop.wait(5)
    assert time.monotonic() - before < 2
    assert stop.is_set() and stop.wait(0)
