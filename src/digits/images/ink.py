"""Where the ink is in a picture: paper, shadow, printed lines and noise taken away.
Shapes: H W pixels; `grey` 0 black to 1 white, `ink` 0 paper to 1 full ink.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from digits.images import ruled
from digits.images.paper import Grey, Paper

Guess = Callable[[Grey], Paper]
Ink = NDArray[np.float32]

FAINTEST = 0.06  # contrast of the faintest ink, of the range of grey
NOISES = 3.0  # standard deviations of the noise by which ink stands out
NOISY = 0.02
GAP = 0.09  # of the ink's longer side, at most between dashes
DARKEST = 0.15  # of the range: a shadow in which ink still takes away light


@dataclass(frozen=True)
class Raised:
    """How far each pixel stands out from the paper, the strongest ink's contrast and the noise."""

    paper_HW: Grey
    raised_HW: Ink
    peak: float
    noise: float

    def ink(self, above: float = 0) -> Ink:
        """How much ink each pixel has. What has less than the share `above` of the strongest is
        none, as a hand's shadow beside the ink.
        """
        strong = self.raised_HW[self.raised_HW >= self.peak / 2]
        full = self.peak if above else float(np.percentile(strong, 75))
        floor = above * full or min(max(0.08 * full, 2.5 * self.noise), full / 3)
        ink_HW: Ink = np.clip((self.raised_HW - floor) / (0.95 * full - floor), 0, 1)
        return ink_HW


def find(grey_HW: Grey, guess: Guess) -> Raised | None:
    """What stands out from such paper; None for a blank picture."""
    noise = _noise(grey_HW)
    if noise > NOISY:
        grey_HW = ndimage.gaussian_filter(grey_HW, 0.7)
    paper_HW, dark = guess(grey_HW)
    raised_HW, light = _above(paper_HW, grey_HW, dark)
    noise, peak = noise / light, _peak(raised_HW)
    lines_HW = ruled.lines(raised_HW, peak, noise)
    if lines_HW is not None:
        left = np.maximum(peak - lines_HW, peak / 4)
        raised_HW = np.clip(raised_HW - lines_HW, 0, None) * (peak / left)
        peak = _peak(raised_HW)
    if peak < max(FAINTEST, NOISES * noise):
        return None
    return Raised(paper_HW, raised_HW, peak, noise)


def filled(ink_HW: Ink) -> Ink:
    """Outlined strokes filled: inside an odd number of outlines."""
    labels_HW, count = ndimage.label(ink_HW > 0.3, np.ones((3, 3)))
    parts = (ndimage.binary_fill_holes(labels_HW == n) for n in range(1, min(count, 30) + 1))
    filled_HW: Ink = reduce(np.logical_xor, parts, labels_HW < 0).astype(np.float32)
    return filled_HW


def joined(ink_HW: Ink) -> Ink:
    """Dashes and dots as strokes."""
    inked_HW = ink_HW > 0.3
    size = (int(GAP * max(np.ptp(np.argwhere(inked_HW), 0), default=0)) | 1,) * 2
    return ndimage.grey_closing(ink_HW, size)


def _noise(grey_HW: Grey) -> float:
    """Standard deviation of the noise from pixel to pixel: of what a plane through neighbours does
    not explain (Immerkaer 1996, by the median so that edges don't count).
    """
    if min(grey_HW.shape) < 5:
        return 0.0
    rows = grey_HW[:-2:2] - 2 * grey_HW[1:-1:2] + grey_HW[2::2]
    both = rows[:, :-2:2] - 2 * rows[:, 1:-1:2] + rows[:, 2::2]
    return float(np.median(np.abs(both))) / 0.6745 / 6


def _peak(raised_HW: Ink) -> float:
    """The contrast of ink: what a stroke's few strongest pixels have, noise averaged out."""
    if min(raised_HW.shape) > 40:
        raised_HW = ndimage.uniform_filter(raised_HW, 3, mode="constant")
    count = min(max(1, raised_HW.size // 2000), 12)
    return float(np.partition(raised_HW, -count, axis=None)[-count])


def _above(paper_HW: Grey, grey_HW: Grey, dark: bool) -> tuple[Ink, float]:
    """How far each pixel differs from the paper around it, towards the ink's side, in units of the
    light there; and the median of that light.
    """
    raised_HW = paper_HW - grey_HW if dark else grey_HW - paper_HW
    some_hw = raised_HW[::2, ::2]
    low, high = some_hw.min(), some_hw.max()  # an opening takes the lower side of the noise
    raised_HW -= np.median(some_hw[some_hw <= max(low, high / 3)])
    if not dark:
        return np.maximum(raised_HW, 0), 1.0
    light_HW = np.maximum(paper_HW, DARKEST)  # ink takes away a part of it, wherever it falls
    return np.maximum(raised_HW, 0) / light_HW, float(np.median(light_HW))
