"""What lies under the ink: guesses at the paper's light, and a sheet cut out of its surroundings.
Shapes: H W pixels, h w of a coarse picture; `grey` 0 black to 1 white.
"""

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Grey = NDArray[np.float32]
Quad = NDArray[np.float64]  # (4, 2): corners x, y, from the upper left clockwise
Paper = tuple[Grey, bool]  # the light, and whether ink is darker

COARSE = 32  # pixels of the longer side at which medians are taken, at every second place
WIDE = 0.7  # of the longer side: a neighbourhood
LEVELS = (0.2, 0.35, 0.5, 0.65, 0.8)  # tried if Otsu's shows no sheet
EDGE = 0.09  # of a sheet's side, where its border and its shadow may be


def around(grey_HW: Grey) -> Paper:
    """The median of each pixel's neighbourhood. Ink is the smaller part, and differs more."""
    coarse = Image.fromarray(grey_HW)
    coarse.thumbnail((COARSE, COARSE), Image.Resampling.BOX, reducing_gap=None)
    grey_hw = np.asarray(coarse)
    reach = max(1, round(WIDE * max(grey_hw.shape) / 2))
    padded_hw = np.pad(grey_hw, (reach + 1, reach + 3), "edge")  # one place more on each side
    near = sliding_window_view(padded_hw, (2 * reach,) * 2)[:-1:2, :-1:2]
    median_hw = np.partition(near.reshape(*near.shape[:2], -1), half := 2 * reach**2)[..., half]
    paper_hw = ndimage.gaussian_filter(median_hw, reach / 6, mode="nearest")
    box = 1, 1, 1 + coarse.width / 2, 1 + coarse.height / 2
    paper = Image.fromarray(paper_hw).resize(coarse.size, Image.Resampling.BICUBIC, box)
    is_dark = bool(((grey_hw - np.asarray(paper)) ** 3).sum() < 0)
    return np.asarray(paper.resize(grey_HW.shape[::-1], Image.Resampling.BICUBIC)), is_dark


def narrow(grey_HW: Grey, dark: bool, share: float) -> Paper:
    """All but strokes thinner than a share of the longer side: it keeps the edges of shadows and
    folds.
    """
    size = (int(share * max(grey_HW.shape)) | 1,) * 2
    without = ndimage.grey_closing if dark else ndimage.grey_opening
    return without(ndimage.uniform_filter(grey_HW, 3), size, mode="nearest"), dark


def sheets(grey: Image.Image) -> Iterator[Quad]:
    """The corners of the largest bright and the largest dark quadrilateral, without their edges."""
    small = grey.copy()
    small.thumbnail((160, 160), Image.Resampling.BOX)
    values_HW = ndimage.gaussian_filter(np.asarray(small, dtype=np.float32), 1)
    low, high = np.percentile(values_HW, [2, 98])
    levels = [_otsu(values_HW), *(low + (high - low) * np.array(LEVELS))]
    for side in (np.greater, np.less_equal):
        found = (quad for level in levels if (quad := _corners(side(values_HW, level))) is not None)
        if (quad := next(found, None)) is not None:
            middle = quad.mean(0)
            yield (middle + (quad - middle) * (1 - 2 * EDGE)) * (grey.width / small.width)


def straightened(grey: Image.Image, quad: Quad) -> Image.Image:
    sides = np.hypot(*(np.roll(quad, -1, 0) - quad).T)
    size = (max(8, round(max(sides[0], sides[2]))), max(8, round(max(sides[1], sides[3]))))
    corners = quad[[0, 3, 2, 1]].ravel()  # Pillow goes counterclockwise
    return grey.transform(size, Image.Transform.QUAD, list(corners), Image.Resampling.BILINEAR)


def _corners(mask_HW: NDArray[np.bool_]) -> Quad | None:
    """Of the largest part of the mask; None if that is no quadrilateral, or is nearly all of the
    picture, or little.
    """
    labels_HW, count = ndimage.label(mask_HW)
    if count == 0:
        return None
    largest = 1 + np.bincount(labels_HW.ravel())[1:].argmax()
    part_HW = ndimage.binary_fill_holes(labels_HW == largest)
    y, x = np.nonzero(part_HW)
    ends = [(x + y).argmin(), (x - y).argmax(), (x + y).argmax(), (x - y).argmin()]
    quad = np.stack([x[ends], y[ends]], 1).astype(np.float64)
    across, down = quad, np.roll(quad, -1, 0)
    area = abs((across[:, 0] * down[:, 1] - down[:, 0] * across[:, 1]).sum()) / 2
    if not 0.06 * mask_HW.size < area < 0.95 * mask_HW.size or not 0.85 < len(x) / area < 1.25:
        return None
    return quad + 0.5


def _otsu(values: Grey) -> float:
    """The level that divides the values into the two most different classes (Otsu 1979)."""
    counts, edges = np.histogram(values, 64)
    middles = (edges[1:] + edges[:-1]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    sums = (counts * middles).cumsum()
    means = sums / np.maximum(below, 1), (sums[-1] - sums) / np.maximum(above, 1)
    return float(edges[1 + (below * above * (means[0] - means[1]) ** 2).argmax()])
