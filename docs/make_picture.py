"""Makes docs/demo.jpg: moments of the sample dive, each around the athlete, with the skeleton over the picture.

    python docs/make_picture.py results/demo

Takes what `make demo` wrote; nothing in it is drawn by hand.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from pipeline.config import Config
from pipeline.edges.overlay import Overlay, bgr_of
from pipeline.edges.poses import Poses
from pipeline.replay import SAMPLE
from pipeline.sources import open_source

MOMENTS = 6
IN_THE_AIR = 0.74
"""Share of the sample after which the diver is under water."""
TILE_PX = 400
OUT = Path(__file__).with_name("demo.jpg")


def main() -> None:
    """Write the picture."""
    poses = Poses.read(Path(sys.argv[1]) / "poses.npz")
    tracked = np.flatnonzero(poses.tracked)
    chosen = {
        int(poses.seq[at]): poses.box_img_px[at]
        for at in tracked[np.linspace(8, IN_THE_AIR * len(tracked), MOMENTS).astype(int)]
    }
    overlay = Overlay(poses)
    tiles = []
    source = open_source(str(SAMPLE), Config())
    for seq, picture in enumerate(source.pictures()):
        if seq in chosen:
            bgr = bgr_of(picture)
            overlay.draw(bgr, seq)
            tiles.append(around(bgr, chosen[seq]))
    source.close()
    cv2.imwrite(str(OUT), np.hstack(tiles), [cv2.IMWRITE_JPEG_QUALITY, 88])


def around(bgr: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The square around a box, as a tile."""
    left, top, right, bottom = box
    side = min(1.5 * max(right - left, bottom - top), *bgr.shape[:2])
    u = np.clip((left + right - side) / 2, 0, bgr.shape[1] - side)
    v = np.clip((top + bottom - side) / 2, 0, bgr.shape[0] - side)
    return cv2.resize(
        bgr[round(v) : round(v + side), round(u) : round(u + side)], (TILE_PX, TILE_PX), interpolation=cv2.INTER_CUBIC
    )


if __name__ == "__main__":
    main()
