"""How far apart two sides are, and whether that is too little to matter."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit

LEVEL = 0.95
MARGIN = 0.001  # a tenth of a percentage point, chosen before any side was run


@dataclass(frozen=True)
class Summary:
    """Of a side's seeds: the mean's interval by Student's t, and the spread of single seeds."""

    n: int
    mean: float
    sd: float
    low: float
    high: float

    @property
    def seed(self) -> tuple[float, float]:
        """The interval that another seed falls into with a probability of 95 %."""
        half = _quantile(self.n - 1) * self.sd * (1 + 1 / self.n) ** 0.5
        return self.mean - half, self.mean + half


@dataclass(frozen=True)
class Difference:
    """Of two means: its interval (Welch, 1947), and the greater p of two one-sided tests that it is
    beyond -MARGIN or MARGIN (TOST; Schuirmann, 1987): below 0.05 the sides are equivalent.
    """

    mean: float
    low: float
    high: float
    tost: float

    @property
    def is_equivalent(self) -> bool:
        return self.tost < 1 - LEVEL


def summary(scores: Sequence[float]) -> Summary:
    """Raises StatisticsError for fewer than two scores."""
    n, mean, sd = len(scores), statistics.fmean(scores), statistics.stdev(scores)
    half = _quantile(n - 1) * sd / n**0.5
    return Summary(n, mean, sd, mean - half, mean + half)


def difference(scores: Sequence[float], others: Sequence[float]) -> Difference:
    """Return how far the mean of `scores` is above that of `others`."""
    squares = [statistics.variance(some) / len(some) for some in (scores, others)]
    freedoms = [len(some) - 1 for some in (scores, others)]
    error = sum(squares) ** 0.5
    freedom = sum(squares) ** 2 / sum(s * s / f for s, f in zip(squares, freedoms, strict=True))
    mean, half = statistics.fmean(scores) - statistics.fmean(others), _quantile(freedom) * error
    tost = float(stdtr(freedom, (abs(mean) - MARGIN) / error))
    return Difference(mean, mean - half, mean + half, tost)


def _quantile(freedom: float) -> float:
    return float(stdtrit(freedom, (1 + LEVEL) / 2))
