"""A sheet of paper that lies on something else. Shapes: H W pixels."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


def is_sheet(mask_HW: Mask) -> bool:
    """Whether the mask is one large rectangle away from the picture's edge, filled but for what is
    written on it.
    """
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    if not len(rows) or min(rows[0], columns[0]) == 0:
        return False
    inside_HW = mask_HW[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    short, long = sorted(inside_HW.shape)
    if short < 0.35 * long or long < 0.3 * max(mask_HW.shape) or inside_HW.mean() < 0.55:
        return False
    return float(ndimage.binary_fill_holes(inside_HW).mean()) > 0.85
