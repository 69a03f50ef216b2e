"""A digit's ink to 28x28 the way MNIST was made. Shapes: H W pixels.

MNIST's digits were "size normalized to fit in a 20x20 pixel box while preserving their aspect
ratio", with "grey levels as a result of the anti-aliasing", and "centered in a 28x28 image by
computing the center of mass of the pixels" (LeCun, Cortes and Burges, The MNIST database).
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from digits.data.mnist import SIDE
from digits.images.drawn import Box, Pixels
from digits.images.ink import Ink

FIT = 20
CENTRE = 14.5  # of mass, from the left and upper edge: training digits have 14.5, sd 0.3
THIN, THICK = 2.1, 3.5  # FIT's pixels: the median of training digits; 1 of 20 is thicker
UNIT = 3  # pixels to one of FIT's where strokes are measured
MARKED, FAINT = 0.65, 0.4  # the ink of a pixel inside a stroke, and inside a thin one
STEEPER = 1.35  # a power of ink: the soft edges of an enlarged picture are no part of a stroke


def fitted(ink_HW: Ink) -> Pixels:
    """One digit's ink, which must not be empty, as MNIST's 28x28."""
    left, upper, right, lower = extent(ink_HW)
    ink_HW = _like_a_pen(_drawn_large(ink_HW[upper:lower, left:right]))
    across, down = _ends(ink_HW.max(0)), _ends(ink_HW.max(1))
    window = SIDE / FIT * max(across[1] - across[0], down[1] - down[0])
    room = int(window) + 1
    x, y = _begin(ink_HW.sum(0), across, window) + room, _begin(ink_HW.sum(1), down, window) + room
    box = x, y, x + window, y + window
    image = Image.fromarray(np.pad(ink_HW * 255, room))
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX, box=box)
    return np.clip(np.asarray(small) + 0.5, 0, 255).astype(np.uint8)


def extent(ink_HW: Ink, least: float = 0.25) -> Box:
    """The box around all pixels with more ink than `least`."""
    inked_HW = ink_HW > least
    rows, columns = np.flatnonzero(inked_HW.any(1)), np.flatnonzero(inked_HW.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _drawn_large(ink_HW: Ink) -> Ink:
    """UNIT times as large as it will be, with a margin."""
    height, width = ink_HW.shape
    scale = UNIT * FIT / max(height, width)
    around = Image.fromarray(np.pad(ink_HW, 2))
    size = max(1, round((width + 4) * scale)), max(1, round((height + 4) * scale))
    return np.asarray(around.resize(size, Image.Resampling.BILINEAR))


def _like_a_pen(ink_HW: Ink) -> Ink:
    """Strokes thinner than THIN or thicker than THICK get that width; others get steeper edges."""
    edt = ndimage.distance_transform_edt
    depth_HW, kept_HW = edt(ink_HW > MARKED), ink_HW**STEEPER
    if _width(depth_HW) < THIN:
        faint = min(FAINT, float(ink_HW.max()) / 2)  # a thin line has no more when enlarged
        depth_HW, kept_HW = edt(ink_HW > faint), ink_HW
    width = _width(depth_HW)
    grow = (min(max(width, THIN), THICK) - width) / 2 * UNIT
    if width == 0 or abs(grow) < 0.1 * UNIT:
        return kept_HW
    depth_HW = np.pad(depth_HW, max(0, int(grow) + 2))
    signed_HW = depth_HW - edt(depth_HW == 0)
    grown_HW: Ink = np.clip(signed_HW + grow + 0.5, 0, 1).astype(np.float32)
    return grown_HW if grown_HW.max() > 0.5 else kept_HW


def _width(depth_HW: NDArray[np.float64]) -> float:
    """A stroke's width in FIT's pixels, from its pixels' distances to its edge, as if it were a
    bar; 0 without a stroke.
    """
    inside = depth_HW[depth_HW > 0]
    return (4 * float(inside.mean()) - 2) / UNIT if len(inside) else 0.0


def _ends(profile: Ink) -> tuple[float, float]:
    """Where a profile first and last passes a half, between pixels."""
    inked = np.flatnonzero(profile >= 0.5)
    if len(inked) == 0:
        return 0.0, float(len(profile))
    around = np.pad(profile, 1)
    first, last = int(inked[0]) + 1, int(inked[-1]) + 1
    rise, fall = around[first] - around[first - 1], around[last] - around[last + 1]
    return (
        first - 0.5 - float((around[first] - 0.5) / rise),
        last - 0.5 + float((around[last] - 0.5) / fall),
    )


def _begin(mass: Ink, ends: tuple[float, float], window: float) -> float:
    """Where a window begins that is centred on the mass, or as nearly as keeps all ink inside."""
    centre = float((mass * (np.arange(len(mass)) + 0.5)).sum() / mass.sum())
    return min(max(centre - CENTRE / SIDE * window, ends[1] - window), ends[0])
