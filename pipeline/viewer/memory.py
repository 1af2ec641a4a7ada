"""What a page that is opened later is told: the dives so far, and how the stages are. All of it bounded."""

from collections import OrderedDict, deque
from typing import Final

from flight.report import DiveReport
from pipeline.messages import Health
from pipeline.viewer import wire

_DIVES: Final = 50
_POSES: Final = 1_500
"""Frames of a stream whose poses are kept for its next dive; half a minute of a fast camera."""
_BEFORE_S: Final = 1.0
_AFTER_S: Final = 0.4


class Memory:
    """The last of everything. Read by the server's thread, written by the edge's: values are replaced, not changed."""

    def __init__(self) -> None:
        self._poses: dict[str, OrderedDict[int, wire.ViewPose]] = {}
        self._dives: dict[str, deque[str]] = {}
        self._health: dict[tuple[str, str], str] = {}

    def pose(self, pose: wire.ViewPose) -> None:
        """The latest revision of a frame is the one that is kept."""
        poses = self._poses.setdefault(pose.stream, OrderedDict())
        if poses and pose.seq < next(iter(poses)):
            return
        poses[pose.seq] = pose
        while len(poses) > _POSES:
            poses.popitem(last=False)

    def poses_of(self, stream: str, report: DiveReport) -> list[wire.ViewPose]:
        """The poses of a dive, and of a moment before and after."""
        first_ms = 1000 * (report.take_off_s.value - _BEFORE_S)
        last_ms = 1000 * (report.entry_s.value + _AFTER_S)
        poses = self._poses.get(stream, OrderedDict())
        found = [pose for pose in poses.values() if pose.mm and first_ms <= pose.t_ms <= last_ms]
        return sorted(found, key=lambda pose: pose.seq)

    def dive(self, stream: str, text: str) -> None:
        """A dive, as it was told."""
        self._dives.setdefault(stream, deque(maxlen=_DIVES)).append(text)

    def health(self, health: Health) -> None:
        """A heartbeat."""
        self._health[health.stage, health.stream] = wire.text(health)

    def of(self, stream: str) -> list[str]:
        """What a new page is told behind the hello."""
        return [*self._dives.get(stream, ()), *tuple(self._health.values())]
