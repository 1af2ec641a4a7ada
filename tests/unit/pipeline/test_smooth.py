"""Revisions: every frame gets each of its revisions once and in order, the tail included; events tell the subject."""

from collections import Counter

import msgspec
import numpy as np
import pytest

from engines.contracts import TEMPORAL_FRAME, TEMPORAL_LIVE, TEMPORAL_WINDOW
from engines.skeleton import J
from pipeline import config
from pipeline.messages import Event, Hypotheses, PoseFrame
from pipeline.stages.smooth import Smooth, SmoothStreams
from tests.unit.pipeline.test_window import Echo


def hypotheses(seq: int, rate_hz: float = 50.0, subject: int = 1, count: int = 1) -> Hypotheses:
    seen = subject > 0
    pose = np.full((count, J, 3), seq, np.float32) + np.arange(count, dtype=np.float32)[:, None, None]
    return Hypotheses(
        stream="s",
        seq=seq,
        t_media_ns=round(seq / rate_hz * 1e9),
        t_capture_ns=0,
        width=640,
        height=480,
        rate_hz=rate_hz,
        subject=subject,
        state="followed" if seen else "none",
        presence=0.9 if seen else 0.1,
        crop_img_px=(0.0, 0.0, 2.0) if seen else None,
        joints_img_px=tuple((float(seq) + j, float(j % 5)) for j in range(J)) if seen else (),
        joints_conf=(0.9,) * J if seen else (),
        count=count if seen else 0,
        joints_root_m=pose.tobytes() if seen else None,
    )


def smoothed(frames: list[Hypotheses], **changes: object) -> list[PoseFrame | Event]:
    settings = msgspec.structs.replace(config.Config(), smooth=config.Smooth(**changes))
    stage = Smooth(settings, *(Echo(contract) for contract in (TEMPORAL_FRAME, TEMPORAL_LIVE, TEMPORAL_WINDOW)))
    out: list[PoseFrame | Event] = []
    for frame in frames:
        out += stage.step(frame)
    return [*out, *stage.flush()]


def poses(messages: list, revision: str) -> list[PoseFrame]:
    return [message for message in messages if isinstance(message, PoseFrame) and message.revision == revision]


def kinds(messages: list) -> list[str]:
    return [message.kind for message in messages if isinstance(message, Event)]


@pytest.mark.parametrize("frames", [1, 5, 13, 14, 100, 300])
@pytest.mark.parametrize("rate_hz", [10.0, 30.0, 50.0, 120.0])
def test_every_frame_gets_each_revision_once(frames, rate_hz) -> None:
    out = smoothed([hypotheses(seq, rate_hz) for seq in range(frames)], final=True)
    for revision in ("provisional", "refined", "final"):
        assert [pose.seq for pose in poses(out, revision)] == list(range(frames))


def test_later_revisions_come_later() -> None:
    out = smoothed([hypotheses(seq) for seq in range(200)], final=True)
    position = {(pose.seq, pose.revision): at for at, pose in enumerate(out) if isinstance(pose, PoseFrame)}
    for seq in range(200):
        assert position[seq, "provisional"] < position[seq, "refined"] < position[seq, "final"]


def test_lookahead_is_what_it_says() -> None:
    out = smoothed([hypotheses(seq) for seq in range(60)], provisional=2, refined=13)
    newest = -1
    for message in out:
        if not isinstance(message, PoseFrame):
            continue
        if message.revision == "provisional":
            newest = max(newest, message.seq + 2)
            assert message.lookahead == 2
        elif newest < 59:
            assert message.seq == newest - 13


def test_first_frames_take_the_decoders_pose_then_the_windows() -> None:
    """The decoder's pose is the same for all joints, so root-relative zero; the window's shows the keypoints."""
    out = poses(smoothed([hypotheses(seq) for seq in range(20)]), "provisional")
    spread = [np.ptp(np.asarray(pose.joints_root_m)[:, 0]) for pose in out]
    assert spread[:8] == [0.0] * 8
    assert all(value > 1 for value in spread[8:])


def test_no_subject_is_said_as_data() -> None:
    out = smoothed([hypotheses(seq, subject=1 if 5 <= seq < 30 else 0) for seq in range(40)], final=True)
    final = poses(out, "final")
    assert [pose.seq for pose in final if pose.tracked] == list(range(5, 30))
    absent = final[0]
    assert (absent.joints_root_m, absent.joints_img_px, absent.metric) == ((), (), "none")
    assert kinds(out) == ["stream_started", "subject_acquired", "subject_lost", "stream_ended"]


def test_restarted_stream_begins_a_new_window() -> None:
    out = smoothed([hypotheses(seq) for seq in range(30)] + [hypotheses(seq) for seq in range(30)], final=True)
    counts = Counter(pose.seq for pose in poses(out, "final"))
    assert counts == dict.fromkeys(range(30), 2)
    assert "stream_restarted" in kinds(out)


def test_spread_of_hypotheses_is_told() -> None:
    single = poses(smoothed([hypotheses(0)]), "refined")[0]
    several = poses(smoothed([hypotheses(0, count=3)]), "refined")[0]
    assert single.joints_sd_m == ()
    assert several.joints_sd_m == pytest.approx([1.0] * J)


def test_an_empty_stream_says_nothing() -> None:
    assert smoothed([]) == []


def test_another_subject_begins_when_nothing_is_owed_of_the_former() -> None:
    out = smoothed([hypotheses(seq, subject=1 if seq < 30 else 2) for seq in range(60)], final=True)
    frames = [message for message in out if isinstance(message, PoseFrame)]
    second = next(i for i, frame in enumerate(frames) if frame.subject == 2)
    former = [frame.seq for frame in frames[:second] if frame.revision == "final"]
    assert former == list(range(30))
    assert [frame.seq for frame in frames if frame.revision == "final"] == list(range(60))


def test_streams_do_not_know_of_each_other() -> None:
    """Mixed as they come, each gives what it gives alone, and its tail when it ends."""
    settings = msgspec.structs.replace(config.Config(), smooth=config.Smooth(final=True))
    lengths = {"a": 60, "b": 35}
    stage = SmoothStreams(
        lambda _: Smooth(settings, *map(Echo, (TEMPORAL_FRAME, TEMPORAL_LIVE, TEMPORAL_WINDOW))), "echo"
    )
    found: dict[str, list[PoseFrame | Event]] = {name: [] for name in lengths}
    for seq in range(max(lengths.values())):
        for name, length in lengths.items():
            if seq < length:
                for message in stage.step([msgspec.structs.replace(hypotheses(seq), stream=name)]):
                    found[name].append(message)
            elif seq == length:
                found[name] += stage.flush(name)
    found["a"] += stage.flush("a")
    for name, length in lengths.items():
        alone = smoothed([msgspec.structs.replace(hypotheses(seq), stream=name) for seq in range(length)], final=True)
        assert found[name] == alone
    assert list(stage.flush("never seen")) == []


def test_frames_before_a_gap_are_refined_by_the_network() -> None:
    """The decoder's poses are the same for all joints, so root-relative zero; the network's show the keypoints."""
    frames = [hypotheses(seq) for seq in range(60)]
    late = [msgspec.structs.replace(frame, t_media_ns=frame.t_media_ns + 5_000_000_000) for frame in frames[40:]]
    refined = poses(smoothed(frames[:40] + late), "refined")
    assert [pose.seq for pose in refined] == list(range(60))
    assert all(np.ptp(np.asarray(pose.joints_root_m)[:, 0]) > 1 for pose in refined[:40])


def test_without_a_subject_the_network_rests() -> None:
    live = Echo(TEMPORAL_LIVE)
    stage = Smooth(config.Config(), Echo(TEMPORAL_FRAME), live)
    out = [message for seq in range(60) for message in stage.step(hypotheses(seq, subject=int(seq < 20)))]
    assert live.calls == 33 - 8  # from the ninth frame on, and until the last frame of the subject is refined
    assert [pose.seq for pose in poses(out, "refined") if pose.tracked] == list(range(20))
