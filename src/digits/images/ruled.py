"""Ruled and squared paper's printed lines. Shapes: H W pixels."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Ink = NDArray[np.float32]

TILT = 9  # pixels from edge to edge, of at most 160: 3 degrees


def lines(raised_HW: Ink, peak: float, noise: float) -> Ink | None:
    """How far printed lines stand out at each pixel; None without any. `peak` is how far ink
    stands out, `noise` a standard deviation.
    """
    if min(raised_HW.shape) < 20:
        return None
    rows, columns = raised_HW[[1, -2]].ravel(), raised_HW[:, [1, -2]].ravel()
    if (np.concatenate([rows, columns]) > max(0.04, 3 * noise)).mean() < 0.02:
        return None
    lines_HW = np.maximum(_lines_along(raised_HW, peak), _lines_along(raised_HW.T, peak).T)
    return lines_HW if lines_HW.max() > max(0.03, 1.5 * noise) else None


def _lines_along(raised_HW: Ink, peak: float) -> Ink:
    """What most of a row has in common, in rows at the tilt at which they differ most."""
    height, width = raised_HW.shape
    capped_HW = np.minimum(raised_HW, peak / 2)
    fewer = slice(None, None, 3)
    tilts = range(-TILT, TILT + 1)
    profiles = [_sheared(capped_HW[:, fewer], tilt).mean(1) for tilt in tilts]
    tilt = max(zip(tilts, profiles, strict=True), key=lambda each: float(np.diff(each[1]).std()))[0]
    level_HW = _sheared(capped_HW, tilt)
    profile = np.percentile(level_HW, 55, axis=1)
    profile -= np.median(profile)
    ends = max(2, width // 10)  # printed lines run from edge to edge
    for end_HW in (level_HW[:, :ends], level_HW[:, -ends:]):
        profile = np.minimum(profile, 2 * ndimage.maximum_filter1d(np.median(end_HW, 1), 3))
    profile = np.where(profile > 0.02, ndimage.maximum_filter1d(profile, 3), 0)
    runs, count = ndimage.label(profile)
    if count < 2 or np.bincount(runs)[1:].max() > max(5, 0.06 * height):
        return np.zeros_like(raised_HW)
    return _sheared(np.broadcast_to(profile[:, None], raised_HW.shape), -tilt).astype(np.float32)


def _sheared(raised_HW: Ink, tilt: int) -> Ink:
    """Each column moved up, by `tilt` pixels more at the right edge than at the left."""
    height, width = raised_HW.shape
    columns = np.arange(width)
    moved = np.rint((columns / width - 0.5) * tilt).astype(np.intp)
    rows = np.clip(np.arange(height)[:, None] + moved, 0, height - 1)
    sheared_HW: Ink = raised_HW[rows, columns]
    return sheared_HW
