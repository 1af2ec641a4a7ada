"""Several sources through one encoder: every frame of each comes out in order, and none colours another."""

import threading
from pathlib import Path

import av
import numpy as np
import pytest

from engines.codecs import Crop, img_from_crop
from engines.contracts import CROP_H, CROP_W
from pipeline import config
from pipeline.messages import Event, Observation, PoseFrame, Track
from pipeline.run_dir import new_run_dir
from pipeline.stage import Host
from pipeline.stages import encode
from pipeline.streams import Stream
from pipeline.subscribe import Subscription
from pipeline.supervisor import Supervisor
from pipeline.topology import STAGES
from tests.media import HEIGHT, WIDTH, film
from tests.posecast import SAMPLE, left_behind, require_weights

FRAMES = 70
PICTURES = 40


def beginning(path: Path) -> Path:
    """The first frames of the sample dive, smaller."""
    with av.open(str(SAMPLE)) as source, av.open(str(path), "w") as sink:
        made = sink.add_stream("libx264", rate=50, options={"preset": "ultrafast", "crf": "20"})
        made.width, made.height, made.pix_fmt = 960, 540, "yuv420p"
        for frame, _ in zip(source.decode(video=0), range(FRAMES), strict=False):
            smaller = frame.reformat(960, 540, "yuv420p")
            smaller.pict_type = 0
            sink.mux(made.encode(smaller))
        sink.mux(made.encode(None))
    return path


def published(streams: list[Stream], processes: dict[str, str] | None = None) -> list[PoseFrame | Event]:
    """All that a run of paced files publishes, through the real processes."""
    run_dir = new_run_dir()
    endpoint = f"ipc://{run_dir}/poses.sock"
    settings = config.from_mapping(
        {
            "policy": "replay",
            "smooth": {"final": True},
            "source": {"paced": True},
            "publish": {"endpoint": endpoint},
            "processes": processes or {},
        },
        "test",
    )
    messages: list[PoseFrame | Event] = []
    ready = threading.Event()

    def listen() -> None:
        with Subscription(endpoint, ("pose/", "event/")) as subscription:
            for message in subscription:
                ready.set()
                if isinstance(message, PoseFrame | Event):
                    messages.append(message)

    listener = threading.Thread(target=listen, daemon=True)

    def start_listening() -> None:
        listener.start()
        assert ready.wait(20)

    outcome = Supervisor(settings, streams, before_capture=start_listening, run_dir=run_dir).run()
    listener.join(10)
    assert (outcome.exit_code, outcome.error, outcome.stopped) == (0, "", False)
    assert not listener.is_alive(), "the listener did not hear all streams end"
    return messages


@pytest.mark.slow
def test_every_frame_of_each_source_comes_out_in_order(tmp_path) -> None:
    require_weights()
    dive = beginning(tmp_path / "dive.mp4")
    other = film(tmp_path / "film.mp4", PICTURES)
    messages = published([Stream("one", str(dive)), Stream("film", str(other)), Stream("two", str(dive))])
    by_stream = {
        name: [m for m in messages if isinstance(m, PoseFrame) and m.stream == name] for name in ("one", "film", "two")
    }
    for name, poses in by_stream.items():
        frames = PICTURES if name == "film" else FRAMES
        for revision in ("provisional", "refined", "final"):
            assert [pose.seq for pose in poses if pose.revision == revision] == list(range(frames)), (name, revision)
        size = (WIDTH, HEIGHT) if name == "film" else (960, 540)
        assert {(pose.width, pose.height) for pose in poses} == {size}
        kinds = [m.kind for m in messages if isinstance(m, Event) and m.stream == name]
        assert (kinds[0], kinds[-1]) == ("stream_started", "stream_ended")
    assert np.mean([pose.tracked for pose in by_stream["one"]]) > 0.5
    content = [
        [(p.seq, p.revision, p.subject, p.box_img_px, p.joints_img_px, p.joints_root_m) for p in by_stream[name]]
        for name in ("one", "two")
    ]
    assert content[0] == content[1], "the same pictures give the same poses, whatever came between them"
    assert left_behind([]) == []


@pytest.mark.slow
@pytest.mark.parametrize("rest", ["eyes", "rest"])
def test_several_sources_in_few_processes(tmp_path, rest) -> None:
    """All that computes in one process, or one for each camera and one for the rest."""
    require_weights()
    processes = {row.name: "eyes" if row.per == "stream" else rest for row in STAGES} | {"publish": "publish"}
    films = [film(tmp_path / f"{frames}.mp4", frames) for frames in (15, 30)]
    messages = published([Stream(path.stem, str(path)) for path in films], processes)
    for name in ("15", "30"):
        final = [m.seq for m in messages if isinstance(m, PoseFrame) and m.stream == name and m.revision == "final"]
        assert final == list(range(int(name)))


def crop_of(seed: int, stream: str) -> Track:
    box = Crop((480.0, 270.0), 200.0)
    noise = np.random.default_rng(seed).integers(0, 256, (CROP_H // 16, CROP_W // 16, 3), dtype=np.uint8)
    return Track(
        stream=stream,
        seq=seed,
        t_media_ns=0,
        t_capture_ns=0,
        width=960,
        height=540,
        rate_hz=50.0,
        subject=1,
        state="followed",
        presence=1.0,
        crop_img_px=(*box.centre_img_px, box.height_px),
        img_from_crop=tuple(img_from_crop(box).ravel()),
        crop=noise.repeat(16, 0).repeat(16, 1).tobytes(),
    )


def test_the_network_gives_a_batch_what_it_gives_each(tmp_path) -> None:
    require_weights()
    settings = config.from_mapping(
        {"engines": {"precision": "fp32", "threads": 1}, "decode": {"source": "image"}}, "test"
    )
    stage = encode.build(Host(settings, tmp_path, cores=1, gathered=8))
    tracks = [crop_of(seed, stream) for seed, stream in enumerate("abc")]
    together: list[Observation] = list(stage.step(tracks))
    for one, track in zip(together, tracks, strict=True):
        (alone,) = stage.step([track])
        assert one.stream == track.stream
        assert np.allclose(one.joints_conf, alone.joints_conf, atol=1e-3)
        embeddings = [np.frombuffer(seen.embedding or b"", "<f4") for seen in (one, alone)]
        assert np.allclose(*embeddings, atol=1e-2 * np.abs(embeddings[0]).max())
    assert together[0].joints_conf != together[1].joints_conf
