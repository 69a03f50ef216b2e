"""What a reading looks like beside its 28x28: how much was left out, and what strokes and paper are
like. Shapes: H W pixels.
"""

import numpy as np
from scipy import ndimage

from digits.images.drawn import WAYS
from digits.images.glyph import extent
from digits.images.ink import Ink
from digits.images.strokes import INKED

ROUGH = 13  # the place of four times the paper's standard deviation


def of(
    grey_HW: Ink, ink_HW: Ink, left_out_HW: Ink, kept_HW: Ink, own_HW: Ink, way: int
) -> tuple[float, ...]:
    """Of one glyph's ink, a part of what was kept of a picture's: TRAITS numbers near 0 to 1. What
    is left out of a long row is no part of the paper, and counts for nothing else.
    """
    left, upper, right, lower = extent(own_HW)
    side = max(right - left, lower - upper)
    near = slice(max(0, upper - 3), lower + 3), slice(max(0, left - 3), right + 3)
    border = np.concatenate([own_HW[0], own_HW[-1], own_HW[:, 0], own_HW[:, -1]]) > INKED
    paper = grey_HW[ndimage.maximum_filter(ink_HW, 5) <= INKED]
    paper = paper if paper.size else grey_HW.ravel()
    share = own_HW.sum() / kept_HW.sum()
    ink_HW = ink_HW - left_out_HW
    own_HW, grey_HW = own_HW[near], grey_HW[near]
    own = own_HW > INKED
    depth_HW = ndimage.distance_transform_edt(own)
    ridge = depth_HW[(depth_HW >= ndimage.maximum_filter(depth_HW, 3)) & own]
    inked = grey_HW[own_HW > min(0.7, own_HW.max() - 0.01)]
    steps_HW = ndimage.gaussian_gradient_magnitude(own_HW, 1)
    numbers = (
        np.log1p(ndimage.label(ink_HW > INKED)[1]) / 4,
        np.log1p(ndimage.label(own)[1]) / 4,
        1 - kept_HW.sum() / ink_HW.sum(),
        share,
        side / max(kept_HW.shape),
        min(right - left, lower - upper) / side,
        border.mean(),
        own.sum() / ((right - left) * (lower - upper)),
        4 * ridge.mean() / side,
        ridge.std() / ridge.mean(),
        own_HW[own].mean(),
        (steps_HW[own] < 0.05).mean(),
        abs(float(np.median(inked)) - float(np.median(paper))),
        4 * paper.std(),
        4 * inked.std(),
    )
    return (*map(float, numbers), *(float(way == n) for n in range(WAYS)))
