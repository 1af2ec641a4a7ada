"""The classic Pose solution of mediapipe on a clip, by a loop as its documentation has it: decode, convert, pose.

Runs in an environment of its own (`chain.py` makes it) and imports nothing of this project. Prints JSON.

    python peer_mediapipe.py CLIP SKIPPED
"""

import json
import os
import sys
import time

import cv2
import mediapipe
import numpy as np


def main() -> None:
    """Frames a second from the end of frame SKIPPED on, and processor time a frame."""
    clip, skipped = sys.argv[1], int(sys.argv[2])
    video = cv2.VideoCapture(clip)
    done_s, cpu_s, tracked = [], [], []
    with mediapipe.solutions.pose.Pose(model_complexity=1) as pose:
        while True:
            good, picture = video.read()
            if not good:
                break
            found = pose.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            done_s.append(time.perf_counter())
            cpu_s.append(time.process_time())
            tracked.append(found.pose_landmarks is not None)
    if len(done_s) <= 2 * skipped:
        sys.exit(f"{clip}: {len(done_s)} pictures are too few")
    counted = len(done_s) - skipped - 1
    times_ms = np.diff(done_s[skipped:]) * 1e3
    seen = np.array(tracked[skipped + 1 :])
    result = {
        "frames": len(done_s),
        "tracked": sum(tracked),
        "fps": counted / (done_s[-1] - done_s[skipped]),
        "cpu_ms": (cpu_s[-1] - cpu_s[skipped]) * 1e3 / counted,
        "tracked_ms": float(np.median(times_ms[seen])) if seen.any() else None,
        "versions": {"mediapipe": mediapipe.__version__, "opencv": cv2.__version__, "numpy": np.__version__},
        "cores": os.cpu_count(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
