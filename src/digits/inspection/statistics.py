"""What a classifier's results say, and how surely. Shapes: N images, K classes, G bins."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]
Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

LEVEL = 0.95  # of all intervals
FRACTIONS = ("acc", "accuracy", "f1", "precision", "recall")  # scores from 0 to 1


@dataclass(frozen=True)
class Reliability:
    """Of images in G bins of equal width by confidence: how many, and their accuracy (fractions; 0
    in an empty bin). `error` is the expected calibration error.
    """

    count_G: Ints
    accuracy_G: Floats
    error: float


@dataclass(frozen=True)
class Difference:
    """Of pairs: how many, their mean, its 95 % interval and the probability of a mean at least as
    far from 0 if there is no difference (None for one pair, and without any spread).
    """

    pairs: int
    mean: float
    interval: tuple[float, float] | None
    p: float | None = None

    def __str__(self) -> str:
        return "{:.4f} to {:.4f}".format(*self.interval) if self.interval else "-"


def confusion(labels_N: Ints, predicted_N: Ints, classes: int) -> Ints:
    """Counts (K, K): rows are true classes, columns predicted ones."""
    pairs_N = labels_N.astype(np.int64) * classes + predicted_N
    return np.bincount(pairs_N, minlength=classes * classes).reshape(classes, classes)


def by_class(counts_KK: Ints) -> Floats:
    """Precision, recall and their harmonic mean, F1: (K, 3), nan for 0 of 0."""
    right_K = np.diag(counts_KK)
    with np.errstate(invalid="ignore"):
        precision_K, recall_K = right_K / counts_KK.sum(0), right_K / counts_KK.sum(1)
        f1_K = 2 * right_K / (counts_KK.sum(0) + counts_KK.sum(1))
    return np.stack([precision_K, recall_K, f1_K], 1)


def wilson(correct: int, count: int) -> tuple[float, float]:
    """The interval of a fraction (E. B. Wilson, 1927), at 95 %; (0, 1) for no images."""
    if not count:
        return 0.0, 1.0
    z, share = statistics.NormalDist().inv_cdf((1 + LEVEL) / 2), correct / count
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return (middle - half) / scale, (middle + half) / scale


def students(scores: Sequence[float], least: float, most: float) -> tuple[float, float]:
    """A mean's 95 % interval by Student's t (Gosset, 1908), cut to what it can be, from `least` to
    `most`: the true mean is in there, so that the cut interval misses it no more often. Raises
    ValueError for fewer than two scores.
    """
    from scipy.special import stdtrit  # 0.1 s

    quantile = float(stdtrit(len(scores) - 1, (1 + LEVEL) / 2))
    half = quantile * statistics.stdev(scores) / len(scores) ** 0.5
    mean = statistics.fmean(scores)
    return max(least, mean - half), min(most, mean + half)


def difference(
    scores: Mapping[Any, float], others: Mapping[Any, float], most: float
) -> Difference | None:
    """How far `scores` are above `others` under the same keys; None if they share none. A mean is
    from -`most` to `most`.
    """
    found = [score - others[key] for key, score in scores.items() if key in others]
    if not found:
        return None
    interval = students(found, -most, most) if len(found) > 1 else None
    return Difference(len(found), statistics.fmean(found), interval, _paired(found))


def _paired(differences: Sequence[float]) -> float | None:
    """Student's t test of pairs, on both sides."""
    from scipy.special import stdtr

    spread = statistics.stdev(differences) if len(differences) > 1 else 0.0
    if not spread:
        return None
    t = statistics.fmean(differences) / spread * len(differences) ** 0.5
    return float(2 * stdtr(len(differences) - 1, -abs(t)))


def mcnemar(is_right_N: Bools, is_right_too_N: Bools) -> tuple[int, int, float]:
    """Of two classifiers on the same images: how many only the first has right, how many only the
    second, and the probability of a split at least as uneven if they are equally good (McNemar,
    1947; exact, by the binomial).
    """
    from scipy.stats import binomtest  # 0.5 s

    only_first = int((is_right_N & ~is_right_too_N).sum())
    only_second = int((~is_right_N & is_right_too_N).sum())
    if only_first + only_second == 0:
        return 0, 0, 1.0
    return only_first, only_second, float(binomtest(only_first, only_first + only_second).pvalue)


def reliability(confidence_N: Floats, is_right_N: Bools, bins: int = 15) -> Reliability:
    """In `bins` of equal width over (0, 1] (C. Guo et al., On Calibration of Modern Neural
    Networks, 2017, section 2).
    """
    bin_N = np.clip(np.ceil(confidence_N * bins).astype(int) - 1, 0, bins - 1)
    count_G = np.bincount(bin_N, minlength=bins)
    filled_G = np.maximum(count_G, 1)
    confidence_G = np.bincount(bin_N, confidence_N, bins) / filled_G
    accuracy_G = np.bincount(bin_N, is_right_N, bins) / filled_G
    gaps_G = count_G * np.abs(accuracy_G - confidence_G)
    return Reliability(count_G, accuracy_G, float(gaps_G.sum() / max(1, len(bin_N))))
