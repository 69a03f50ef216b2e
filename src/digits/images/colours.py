"""Ink that differs from its paper in colour alone."""

import numpy as np
from PIL import Image

THUMBNAIL = 64  # pixels
LEAST = 12.0  # levels of standard deviation; printing and compression have less
STRETCHED = 2.0  # at most: more would show noise


def as_grey(image: Image.Image) -> Image.Image | None:
    """The picture along the direction in which its colours differ most (their first principal
    component); None if they hardly do.
    """
    if image.mode in ("1", "L", "LA", "I", "F") or image.mode.startswith("I;"):
        return None
    rgb = image.convert("RGB")
    small = rgb.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    colours = np.asarray(small, dtype=np.float64).reshape(-1, 3)
    spread, directions = np.linalg.eigh(np.cov(colours.T))
    if spread[-1] < LEAST**2:
        return None
    along = directions[:, -1]
    values = colours @ along
    low, high = float(values.min()), float(values.max())
    gain = min(STRETCHED, 255 / (high - low))
    matrix = (*(gain * float(part) for part in along), 127.5 - gain * (low + high) / 2)
    return rgb.convert("L", matrix)
