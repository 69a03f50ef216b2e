"""Where the ink is in a picture: paper, shadow, printed lines and noise taken away.
Shapes: H W pixels; `grey` 0 black to 1 white, `ink` 0 paper to 1 full ink.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from digits.images import ruled
from digits.images.paper import is_sheet

Grey = NDArray[np.float32]
Ink = NDArray[np.float32]

COARSE = 64  # pixels of the longer side at which paper is estimated
WIDEST_STROKE = 0.28  # of the longer side; what is wider both ways counts as paper
FAINTEST = 0.06  # contrast of the faintest ink, of the range of grey
NOISES = 3.0  # standard deviations of the noise by which ink stands out
NOISY = 0.02
LONG_EDGE = 0.7  # of a side: a shadow reaches along it, a stroke does not
SHADOW_EDGE = 0.6  # of full ink: what the edge of a shadow leaves at most
LIGHT_INK = -1.0  # the score below which ink is lighter than paper without a single level
DARKEST = 0.15  # of the range: a shadow in which ink still takes away light


def find(grey_HW: Grey) -> Ink | None:
    """How much ink each pixel has; None for a blank picture."""
    noise = _noise(grey_HW)
    if noise > NOISY:
        grey_HW = ndimage.gaussian_filter(grey_HW, 0.7)
    raised_HW, light, shadowed = _above_paper(grey_HW, noise)
    noise, peak = noise / light, _peak(raised_HW)
    lines_HW = ruled.lines(raised_HW, peak, noise)
    if lines_HW is not None:
        left = np.maximum(peak - lines_HW, peak / 4)
        raised_HW = np.clip(raised_HW - lines_HW, 0, None) * (peak / left)
        peak = _peak(raised_HW)
    if peak < max(FAINTEST, NOISES * noise):
        return None
    full = float(np.percentile(raised_HW[raised_HW >= peak / 2], 75))
    floor = min(max(0.08 * full, 2.5 * noise), full / 3)
    if shadowed:
        raised_HW[ndimage.maximum_filter(raised_HW, 3) < SHADOW_EDGE * full] = 0
    ink_HW: Ink = np.clip((raised_HW - floor) / (0.95 * full - floor), 0, 1)
    return ink_HW


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


def _above_paper(grey_HW: Grey, noise: float) -> tuple[Ink, float, bool]:
    """How far each pixel differs from the paper around it, towards the ink's side, in units of the
    light there; the median of that light; and whether there is a shadow.
    """
    coarse_hw = _resized(grey_HW, COARSE)
    paper_hw, dark, shadowed = _paper(coarse_hw, noise)
    height, width = grey_HW.shape
    paper = Image.fromarray(paper_hw).resize((width, height), Image.Resampling.BICUBIC)
    paper_HW = np.asarray(paper)
    raised_HW = paper_HW - grey_HW if dark else grey_HW - paper_HW
    some_hw = raised_HW[::2, ::2]
    low, high = some_hw.min(), some_hw.max()  # an opening takes the lower side of the noise
    raised_HW -= np.median(some_hw[some_hw <= max(low, high / 3)])
    if not dark:
        return np.maximum(raised_HW, 0), 1.0, shadowed
    light_HW = np.maximum(paper_HW, DARKEST)  # ink takes away a part of it, wherever it falls
    return np.maximum(raised_HW, 0) / light_HW, float(np.median(light_HW)), shadowed


def _resized(grey_HW: Grey, longest: int) -> Grey:
    height, width = grey_HW.shape
    scale = min(1.0, longest / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(grey_HW).resize(size, Image.Resampling.BOX))


def _paper(grey_hw: Grey, noise: float) -> tuple[Grey, bool, bool]:
    """The picture without its ink, whether ink is darker than paper, and whether there is a shadow
    or the like on paper whose border has a level.
    """
    plain_hw = _plain(grey_hw, noise)
    if plain_hw is not None:
        paper_hw = _trend(grey_hw, plain_hw, rounds=2)
        rest_hw = grey_hw - paper_hw
        dark = bool((rest_hw**3).sum() < 0)
        raised_hw = -rest_hw if dark else rest_hw
        if is_sheet(raised_hw > raised_hw.max() / 2) or not _is_lit_unevenly(raised_hw):
            return paper_hw, dark, False
    paper_hw = _trend(grey_hw, np.ones_like(grey_hw), rounds=6)
    rest_hw = grey_hw - paper_hw
    dark = _is_dark(rest_hw)
    under_hw = -_opened(-rest_hw, WIDEST_STROKE) if dark else _opened(rest_hw, WIDEST_STROKE)
    return paper_hw + under_hw, dark, plain_hw is not None


def _plain(grey_hw: Grey, noise: float) -> Grey | None:
    """1 where a picture has the level of its border, 0 elsewhere; None if that has no level."""
    border = np.concatenate([grey_hw[0], grey_hw[-1], grey_hw[:, 0], grey_hw[:, -1]])
    near = max(0.06, 3 * noise)
    counts, levels = np.histogram(border, np.arange(-0.03, 1.06, 0.06))
    level = levels[counts.argmax()] + 0.03
    plain_hw = np.abs(grey_hw - level) < near
    if (np.abs(border - level) < near).mean() < 0.4 or plain_hw.mean() < 0.25:
        return None
    plain: Grey = plain_hw.astype(np.float32)
    return plain


def _is_lit_unevenly(rest_hw: Grey) -> bool:
    """Whether there is more than paper and ink: a band of light, a shadow's plateau."""
    most = float(rest_hw.max())
    if np.percentile(rest_hw, 0.1) < -0.25 * most:
        return True
    sides = rest_hw[0], rest_hw[-1], rest_hw[:, 0], rest_hw[:, -1]
    if not any(_longest_run(side > 0.2 * most) > LONG_EDGE * len(side) for side in sides):
        return False
    return bool(0.25 * most < _opened(rest_hw, 0.4).max() < 0.75 * most)


def _longest_run(marked: NDArray[np.bool_]) -> int:
    runs, _ = ndimage.label(marked)
    return int(np.bincount(runs.ravel())[1:].max(initial=0))


def _trend(grey_hw: Grey, first_hw: Grey, rounds: int) -> Grey:
    """The smooth part of the light (a quadratic surface), fitted to what is most of the picture
    (Tukey's weights), starting from the pixels that count in `first_hw`.
    """
    height, width = grey_hw.shape
    terms = _terms(height, width)
    some = (slice(None, None, 2), slice(None, None, 2)) if min(height, width) > 16 else ...
    values, first = grey_hw[some].ravel(), first_hw[some].ravel()
    if not first.any():
        return np.full_like(grey_hw, np.median(grey_hw))
    fitted = terms.reshape(height, width, -1)[some].reshape(len(values), -1)
    weight, flat = first, 1e-6 * np.eye(6) + 1e-3 * np.diag([0, 1, 1, 1, 1, 1])
    for _ in range(rounds):
        weighted = fitted * weight[:, None]
        factors = np.linalg.solve(weighted.T @ fitted + flat, weighted.T @ values)
        off = np.abs(values - fitted @ factors)
        scale = max(2.5 * float(np.median(off[first > 0])), 0.02)
        weight = first * np.maximum(0, 1 - (off / scale) ** 2) ** 2
    trend_hw: Grey = (terms @ factors).reshape(height, width).astype(np.float32)
    return trend_hw


@lru_cache(maxsize=64)
def _terms(height: int, width: int) -> Grey:
    y_hw, x_hw = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = [np.ones_like(x_hw), x_hw, y_hw, x_hw * y_hw, x_hw**2, y_hw**2]
    return np.stack(terms, -1).reshape(-1, 6).astype(np.float32)


def _is_dark(rest_hw: Grey) -> bool:
    """Whether the ink is darker than the paper: strokes are narrow and hold more contrast than the
    gaps between them, at several widths; and ink is the smaller part.
    """
    smooth_hw = ndimage.uniform_filter(rest_hw, 3, mode="nearest")
    score = -10 * (smooth_hw**3).sum() / ((smooth_hw**2).sum() ** 1.5 + 1e-3)
    for stroke in (0.08, 0.15, 0.28):
        size = (int(stroke * max(rest_hw.shape)) | 1,) * 2
        dark = ((ndimage.grey_closing(smooth_hw, size, mode="nearest") - smooth_hw) ** 2).sum()
        light = ((smooth_hw - ndimage.grey_opening(smooth_hw, size, mode="nearest")) ** 2).sum()
        least = 0.02 * (dark + light) + 1e-4
        score += np.log((dark + least) / (light + least))
    return bool(score > LIGHT_INK)


def _opened(rest_hw: Grey, narrow: float) -> Grey:
    """Without what stands out and is narrower than `narrow` (a fraction of the longer side)."""
    size = (int(narrow * max(rest_hw.shape)) | 1,) * 2
    smooth_hw = ndimage.uniform_filter(rest_hw, 3, mode="nearest")
    opened_hw = ndimage.grey_opening(smooth_hw, size, mode="nearest")
    return ndimage.gaussian_filter(opened_hw, 1.5, mode="nearest")
