"""What cameras, transmission and graphics do to a picture. RGB uint8 in and out; geometry stays within a few pixels."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from training.synth import surfaces, things

Array = npt.NDArray[Any]


def taken(rng: np.random.Generator, image: Array) -> Array:
    """A picture as it comes out of some camera: exposure, resolution, focus, shake, noise, interlacing."""
    if rng.random() < 0.85:
        image = metered(rng, image)
    if rng.random() < 0.3:
        image = coarse(rng, image)
    if rng.random() < 0.2:
        image = defocused(rng, image)
    if rng.random() < 0.12:
        image = streaked(rng, image)
    if rng.random() < 0.35:
        image = exposed(rng, image)
    if rng.random() < 0.4:
        image = noisy(rng, image)
    if rng.random() < 0.05:
        image = interlaced(rng, image)
    return image


def sent(rng: np.random.Generator, image: Array) -> Array:
    """A picture as it arrives: a share through H.264 or a poor JPEG."""
    kind = rng.random()
    if kind < 0.07:
        return by_video(rng, image)
    if kind < 0.17:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 60))]
        return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR))
    return image


def metered(rng: np.random.Generator, image: Array) -> Array:
    """Exposure and contrast as a camera sets them: nearly black to nearly white, most of the way."""
    low, high = np.percentile(image[::5, ::5].max(-1), (2, 98))
    black, white = rng.uniform(4, 40), rng.uniform(195, 254)
    gain = float(np.clip((white - black) / max(high - low, 1.0), 0.8, 3.5))
    share = float(rng.uniform(0.6, 1.0))
    ramp = np.arange(256.0)
    set_to = white + (ramp - high) * gain
    # A shoulder instead of a cut: what is brighter than white keeps some of its drawing.
    set_to = np.where(set_to > 225, 225 + 30 * np.tanh((set_to - 225) / 30), set_to)
    return np.asarray(cv2.LUT(image, np.clip(ramp + share * (set_to - ramp), 0, 255).astype(np.uint8)))


def coarse(rng: np.random.Generator, image: Array) -> Array:
    """Few pixels made many."""
    side = len(image)
    small = int(side * rng.uniform(0.3, 0.8))
    image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    kind = cv2.INTER_CUBIC if rng.random() < 0.3 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=kind))


def defocused(rng: np.random.Generator, image: Array) -> Array:
    """Out of focus: a disc of confusion, or a softer blur."""
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.8))))
    radius = float(rng.uniform(1, 3))
    reach = int(np.ceil(radius))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1).astype(np.float32)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()))


def streaked(rng: np.random.Generator, image: Array, longest: int = 11) -> Array:
    """Motion of the camera during the exposure: the mean of the picture along a short straight way."""
    length = int(rng.integers(3, longest))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    middle = (length - 1) / 2
    kernel = cv2.warpAffine(kernel, cv2.getRotationMatrix2D((middle, middle), rng.uniform(0, 180), 1), (length, length))
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()))


def exposed(rng: np.random.Generator, image: Array) -> Array:
    """Too bright, too dark, flat, coloured, vignetted: one table per channel."""
    gain = float(np.exp(rng.normal(0.05, 0.22)))
    if rng.random() < 0.1:
        gain *= float(rng.choice([0.5, 1.8]))
    ramp = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.2))
    ramp = ramp * gain * np.exp(rng.normal(0, 0.05, 3)) + rng.normal(0, 0.03)
    image = cv2.LUT(image, np.clip(ramp * 255, 0, 255).astype(np.uint8)[None])
    if rng.random() < 0.15:
        x = np.linspace(-1, 1, len(image), dtype=np.float32)
        fall = 1 - rng.uniform(0.1, 0.35) * (x[:, None] ** 2 + x[None] ** 2)
        image = (image * np.clip(fall, 0, 1)[..., None]).astype(np.uint8)
    return np.asarray(image)


def noisy(rng: np.random.Generator, image: Array) -> Array:
    """Noise of the sensor, coloured or grey, fine or smeared by the camera's own filter."""
    side, strength = len(image), float(np.exp(rng.uniform(np.log(2), np.log(24))))
    if rng.random() < 0.5:
        grain = np.repeat(surfaces.speckle(rng, side, side)[..., None], 3, 2)
    else:
        grain = surfaces.speckle(rng, side, 3 * side).reshape(side, side, 3)
    if rng.random() < 0.4:
        grain = 1.8 * cv2.blur(grain, (2, 2))
    return np.clip(image + strength * grain, 0, 255).astype(np.uint8)


def interlaced(rng: np.random.Generator, image: Array) -> Array:
    """Two fields of a moving picture woven together."""
    shift = float(rng.uniform(0.7, 3.5)) * rng.choice([-1, 1])
    fields = [
        cv2.warpAffine(image, np.array([[1, 0, s], [0, 1, 0]]), image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        for s in (shift / 2, -shift / 2)
    ]
    out = fields[0].copy()
    step = int(rng.choice([1, 2]))
    for row in range(step):
        out[row :: 2 * step] = fields[1][row :: 2 * step]
    return np.asarray(out)


def by_video(rng: np.random.Generator, image: Array) -> Array:
    """The last of three frames of a slow pan, after H.264 at a low bit rate."""
    side = len(image)
    shift = rng.normal(0, 1.5, 2)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="h264") as container:
        options = {"crf": str(int(rng.integers(26, 40))), "preset": "ultrafast", "threads": "1", "tune": "zerolatency"}
        stream = container.add_stream("libx264", rate=Fraction(25), options=options)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for number in (2, 1, 0):
            matrix = np.array([[1, 0, number * shift[0]], [0, 1, number * shift[1]]])
            moved = image
            if number:
                moved = cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(moved), format="rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer, "r", format="h264") as container:
        frames = list(container.decode(video=0))
    return np.asarray(frames[-1].to_ndarray(format="rgb24"))


def graphics(rng: np.random.Generator, image: Array) -> tuple[Array, Array]:
    """Scoreboard, name plate, clock or logo over the picture; returns it and what they cover [S, S] bool."""
    side = len(image)
    out, covered = image.astype(np.float32), np.zeros(image.shape[:2], bool)
    for _ in range(int(rng.integers(1, 4))):
        height, width = int(side * rng.uniform(0.05, 0.13)), int(side * rng.uniform(0.12, 0.7))
        plate = np.empty((height, width, 3), np.float32)
        plate[:] = surfaces.pick(rng, surfaces.BOLD + surfaces.GREYS)
        if rng.random() < 0.4:
            plate[:, : height // 2] = surfaces.any_colour(rng)
        things.write(rng, plate, np.full(3, 255.0 if plate.mean() < 140 else 10.0))
        top = int(rng.choice([rng.uniform(0.0, 0.1), rng.uniform(0.78, 0.87)]) * side)
        left = int(rng.uniform(0.02, max(0.03, 0.98 - width / side)) * side)
        clear = float(rng.choice([0.0, 0.3]))
        part = np.s_[top : top + height, left : left + width]
        held = out[part]
        out[part] = held * clear + plate[: held.shape[0], : held.shape[1]] * (1 - clear)
        covered[part] = True
    return out.clip(0, 255).astype(np.uint8), covered
