"""Makes the golden of `test_golden.py`: the poses of the sample dive's first frames.

    python tests/replay/make_golden.py

Run it, look at the difference it prints, and say in the commit why the numbers moved.
"""

from pathlib import Path

import numpy as np

from engines.skeleton import J
from pipeline import config
from pipeline.messages import PoseFrame
from pipeline.ring import Ring, slot_bytes_for
from pipeline.sources import open_source
from pipeline.stage import Host, ring_path
from pipeline.stages import capture, decode, encode, smooth, track

FRAMES = 40
GOLDEN = Path(__file__).with_name("dive_golden.npz")
SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "dive.mp4"


def poses(run_dir: Path) -> list[PoseFrame]:
    """Final poses of the first frames, computed by the stages one after the other in this process."""
    settings = config.from_mapping(
        {"policy": "replay", "smooth": {"final": True}, "engines": {"precision": "fp32", "threads": 1}}, "golden"
    )
    host = Host(settings, run_dir, cores=1)
    source = open_source(str(SAMPLE), settings)
    ring = Ring.create(ring_path(run_dir, settings.stream), settings.capture.ring_slots, slot_bytes_for(1920, 1080))
    first = capture.Capture(settings, ring, source.info)
    rest = [stage.build(host) for stage in (track, encode, decode, smooth)]
    out = []
    for seq, picture in zip(range(FRAMES), source.pictures(), strict=False):
        messages = [first.step(picture, seq, 0)]
        for stage in rest:
            messages = list(stage.step(messages)) if messages else []
        out += messages
    source.close()
    ring.close()
    out += rest[-1].flush(settings.stream)
    return [message for message in out if isinstance(message, PoseFrame) and message.revision == "final"]


def columns(found: list[PoseFrame]) -> dict[str, np.ndarray]:
    """The numbers that are compared; NaN where nobody is tracked."""
    box = [pose.box_img_px or (np.nan,) * 4 for pose in found]
    joints_img = [pose.joints_img_px or [(np.nan, np.nan)] * J for pose in found]
    joints_root = [pose.joints_root_m or [(np.nan,) * 3] * J for pose in found]
    return {
        "seq": np.array([pose.seq for pose in found]),
        "box_img_px": np.array(box, np.float32),
        "joints_img_px": np.array(joints_img, np.float32),
        "joints_root_m": np.array(joints_root, np.float32),
    }


def main() -> None:
    """Write the golden anew and print how far it moved."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        made = columns(poses(Path(folder)))
    if GOLDEN.is_file():
        with np.load(GOLDEN) as old:
            for name, values in made.items():
                print(f"{name}: moved by at most {np.nanmax(np.abs(values - old[name])):.4g}")
    np.savez_compressed(GOLDEN, **made)


if __name__ == "__main__":
    main()
