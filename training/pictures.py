"""Disturbances of training pictures: colour, blur, low resolution, noise, JPEG, occluders. Pictures are uint8
RGB (h, w, 3)."""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def disturb(rng: np.random.Generator, picture: Picture, occlude: bool = True) -> Picture:
    """A random selection of all disturbances, in the order in which a camera makes them."""
    if occlude and rng.random() < 0.3:
        picture = occluded(rng, picture)
    picture = coloured(rng, picture)
    if rng.random() < 0.35:
        picture = blurred(rng, picture)
    if rng.random() < 0.35:
        picture = noisy(rng, picture)
    if rng.random() < 0.25:
        picture = compressed(rng, picture)
    return picture


def coloured(rng: np.random.Generator, picture: Picture) -> Picture:
    """Gain and offset per channel, saturation, gamma; applied as one table per channel and one 3x3 matrix."""
    gamma = np.exp(rng.normal(0, 0.2))
    gain = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.06, 3))
    offset = rng.normal(0, 0.04) + rng.normal(0, 0.02, 3)
    ramp = np.linspace(0, 1, 256)[:, None] ** gamma * gain + offset
    table = np.clip(ramp * 255, 0, 255).astype(np.uint8)[None]
    picture = np.asarray(cv2.LUT(picture, table))
    if rng.random() < 0.5:
        keep = 0.0 if rng.random() < 0.1 else rng.uniform(0.4, 1.4)
        grey = np.tile(np.array([0.299, 0.587, 0.114]), (3, 1))
        picture = np.asarray(cv2.transform(picture, keep * np.eye(3) + (1 - keep) * grey))
    return picture


def blurred(rng: np.random.Generator, picture: Picture) -> Picture:
    """Motion blur, defocus, or a picture of lower resolution; strength relative to its height."""
    height, width = picture.shape[:2]
    kind = rng.integers(3)
    if kind == 0:
        length = max(3, int(rng.uniform(0.01, 0.06) * height) | 1)
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1
        turn = cv2.getRotationMatrix2D((length // 2, length // 2), rng.uniform(0, 180), 1)
        kernel = cv2.warpAffine(kernel, turn, (length, length))
        return np.asarray(cv2.filter2D(picture, -1, kernel / max(float(kernel.sum()), 1e-6)))
    if kind == 1:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.002, 0.008) * height))
    factor = rng.uniform(0.3, 0.8)
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def noisy(rng: np.random.Generator, picture: Picture) -> Picture:
    """Gaussian noise of up to 15 grey values; drawn as bytes, which is many times faster than as floats."""
    strength = rng.uniform(2, 15)
    grain = np.frombuffer(rng.bytes(picture.size), np.int8).reshape(picture.shape)
    noise = (grain.astype(np.int16) * int(strength * 256 / 74)) >> 8
    return np.clip(picture.astype(np.int16) + noise, 0, 255).astype(np.uint8)


def compressed(rng: np.random.Generator, picture: Picture) -> Picture:
    """JPEG at quality 20 to 70."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 70))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def occluded(rng: np.random.Generator, picture: Picture) -> Picture:
    """One to three rectangles of plain colour, noise or another part of the picture."""
    out = picture.copy()
    height, width = out.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        h, w = (rng.uniform(0.06, 0.3, 2) * height).astype(int)
        h, w = max(2, h), min(max(2, w), width - 1)
        y, x = int(rng.integers(height - h)), int(rng.integers(max(1, width - w)))
        patch = out[y : y + h, x : x + w]
        kind = rng.integers(3)
        if kind == 0:
            patch[:] = rng.integers(0, 256, 3)
        elif kind == 1:
            patch[:] = rng.integers(0, 256, patch.shape)
        else:
            sy, sx = int(rng.integers(height - h)), int(rng.integers(max(1, width - w)))
            patch[:] = picture[sy : sy + h, sx : sx + w]
    return out
