"""Ten ways to spoil a digit, each of an image (28, 28) of floats from 0 (paper) to 255 (ink), plain
rather than quick. Random are only signs, and noise.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

Image = NDArray[np.float64]
Mask = NDArray[np.bool_]
Random = np.random.Generator

ENLARGED = 4  # times, to move a stroke's edge by less than a pixel
PEN = 0.5  # pixels: half of the width that thinning leaves of a stroke, at least
INK = 64  # from here on a pixel is part of a stroke
RING = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.uint8)  # a bit for each neighbour


def nothing(image: Image, strength: float, random: Random) -> Image:
    return image


def rotation(image: Image, degrees: float, random: Random) -> Image:
    """Either way."""
    angle = np.deg2rad(degrees) * _sign(random)
    return _mapped(image, [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def shift(image: Image, pixels: float, random: Random) -> Image:
    """Diagonally: by so many pixels across, and as many up or down."""
    there = pixels * _sign(random), pixels * _sign(random)
    moved: Image = ndimage.shift(image, there, order=1)
    return moved


def scale(image: Image, factor: float, random: Random) -> Image:
    return _mapped(image, np.eye(2) / factor)


def shear(image: Image, fraction: float, random: Random) -> Image:
    """Rows slide by this fraction of their height above the middle, either way."""
    return _mapped(image, [[1.0, 0.0], [fraction * _sign(random), 1.0]])


def thicker(image: Image, pixels: float, random: Random) -> Image:
    """Strokes get wider by so many pixels in all, half of them on each side."""
    return _reduced(_dilated(_enlarged(image), pixels / 2))


def thinner(image: Image, pixels: float, random: Random) -> Image:
    """Strokes get narrower by so many pixels in all, but keep a pen's width around their skeleton:
    no stroke vanishes or breaks.
    """
    large = _enlarged(image)
    eroded = 255 - _dilated(255 - large, pixels / 2)
    core = _dilated(skeleton(large >= INK).astype(float), PEN)
    return _reduced(np.maximum(eroded, large * core))


def noise(image: Image, sd: float, random: Random) -> Image:
    """Normal noise of each pixel by itself; `sd` is a fraction of full ink, before the values are
    cut to those that a pixel can have.
    """
    return image + random.normal(0, 255 * sd, image.shape)


def blur(image: Image, sigma: float, random: Random) -> Image:
    blurred: Image = ndimage.gaussian_filter(image, sigma)
    return blurred


def contrast(image: Image, factor: float, random: Random) -> Image:
    """The ink fades to this fraction."""
    return image * factor


def crop(image: Image, margin: float, random: Random) -> Image:
    """The square around the ink with a margin (pixels), resized to the whole image."""
    rows, columns = np.nonzero(image >= INK)
    ends = np.array([[rows.min(), columns.min()], [rows.max(), columns.max()]])
    side = float((ends[1] - ends[0]).max() + 1 + 2 * margin)
    return _mapped(image, np.eye(2) * side / len(image), ends.mean(0))


@dataclass(frozen=True)
class Corruption:
    """One of the functions, with its strengths, mildest first, and their unit."""

    spoil: Callable[[Image, float, Random], Image]
    unit: str
    strengths: tuple[float, ...]

    @property
    def name(self) -> str:
        return self.spoil.__name__


UNCHANGED = Corruption(nothing, "", (0,))
CORRUPTIONS = (
    Corruption(rotation, "degrees", (10, 15, 20, 30, 45)),
    Corruption(shift, "px diagonally", (1, 2, 3, 4, 5)),
    Corruption(scale, "times", (0.5, 0.65, 0.8, 1.2, 1.35)),
    Corruption(shear, "of the height", (0.1, 0.2, 0.3, 0.4, 0.6)),
    Corruption(thicker, "px in all", (0.5, 1, 1.5, 2, 3)),
    Corruption(thinner, "px in all", (0.5, 1, 1.5, 2, 3)),
    Corruption(noise, "sd, of full ink", (0.05, 0.1, 0.2, 0.3, 0.4)),
    Corruption(blur, "px (sigma)", (0.5, 0.75, 1, 1.5, 2)),
    Corruption(contrast, "of the ink", (0.8, 0.6, 0.45, 0.3, 0.15)),
    Corruption(crop, "px of margin", (4, 3, 2, 1, 0)),
)


def spoilt(
    images_NHW: NDArray[np.uint8], corruption: Corruption, strength: float
) -> NDArray[np.uint8]:
    """All images, with random numbers that are the same each time."""
    random = np.random.default_rng(0)
    each = (corruption.spoil(image.astype(float), strength, random) for image in images_NHW)
    return np.stack([image.round().clip(0, 255).astype(np.uint8) for image in each])


def skeleton(mask: Mask) -> Mask:
    """One pixel wide, as connected as `mask` (Zhang and Suen, A Fast Parallel Algorithm for
    Thinning Digital Patterns, 1984).
    """
    while True:
        before = mask.sum()
        for outside in _OUTSIDE:
            neighbours = ndimage.correlate(mask.astype(np.uint8), RING, mode="constant")
            mask = mask & ~outside[neighbours]
        if mask.sum() == before:
            return mask


def _outside(first: bool) -> Mask:
    """For each of the 256 neighbourhoods whether its middle goes in the first, or the second, half
    of a step.
    """
    ring_256 = np.arange(256)[:, None] >> np.arange(8) & 1  # from above, clockwise
    count, begins = ring_256.sum(1), (np.roll(ring_256, -1, 1) > ring_256).sum(1)
    above, right, below, left = (ring_256[:, place] for place in (0, 2, 4, 6))
    ends = (right & below & (above | left)) if first else (above & left & (right | below))
    goes: Mask = (count >= 2) & (count <= 6) & (begins == 1) & (ends == 0)
    return goes


_OUTSIDE = _outside(True), _outside(False)


def _sign(random: Random) -> float:
    return float(random.choice([-1, 1]))


def _mapped(image: Image, matrix: ArrayLike, middle: Image | None = None) -> Image:
    """Each pixel from where `matrix` maps it, seen from the middle; `middle` comes there."""
    map_22, centre = np.asarray(matrix, float), (np.array(image.shape) - 1) / 2
    offset = (centre if middle is None else middle) - map_22 @ centre
    mapped: Image = ndimage.affine_transform(image, map_22, offset, order=1)
    return mapped


def _enlarged(image: Image) -> Image:
    return image.repeat(ENLARGED, 0).repeat(ENLARGED, 1)


def _reduced(large: Image) -> Image:
    rows, columns = (side // ENLARGED for side in large.shape)
    small: Image = large.reshape(rows, ENLARGED, columns, ENLARGED).mean((1, 3))
    return small


def _dilated(large: Image, radius: float) -> Image:
    """By a disc of `radius` pixels before the enlargement. The image goes on as at its edge."""
    reach = int(radius * ENLARGED)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.hypot(y, x) <= radius * ENLARGED
    dilated: Image = ndimage.grey_dilation(large, footprint=disc, mode="nearest")
    return dilated
