"""A run as data, finished or not: reading it neither runs nor writes anything in its folder."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from digits.errors import InputError
from digits.files import read_at_most
from digits.runs import recorded
from digits.runs.folder import RunFolder
from digits.runs.monitors import BEST, by_common_names, common
from digits.runs.status import Status

MAX_BYTES = 1 << 24  # of metrics.csv: 10,000 epochs have 2 MB; four times as many can be read
MAX_ROWS = 1 << 20

STAGES = {"train": "training", "val": "validation", "test": "test"}
OF_AN_EPOCH = ("train/", "val/")  # not of a test, which follows the epochs

Metrics = dict[str, float]


@dataclass(frozen=True)
class Run:
    """What a run left. `metrics` is metrics.json, with last and best values; `epochs` has the
    scores of each epoch, from 0, by name (losses, fractions); `seconds` of training are None if
    unknown.
    """

    path: Path
    status: Status | None
    overrides: list[str]
    config: dict[str, Any]
    metrics: dict[str, Any]
    epochs: dict[int, Metrics]

    @property
    def numbers(self) -> Metrics:
        """Return the finite numbers of metrics.json, scores by their common names."""
        return by_common_names(_finite(self.metrics))

    @property
    def accuracy(self) -> tuple[str, float] | None:
        """Return (stage, accuracy) of the test, else of validation's best epoch, else of training:
        from metrics.json or, before that exists, from the epochs so far.
        """
        scores = self.numbers or self._so_far
        for name in ("test/acc", f"val/acc{BEST}", "train/acc"):
            if name in scores:
                return STAGES[name.partition("/")[0]], scores[name]
        return None

    @property
    def _so_far(self) -> Metrics:
        """Return the last scores, and the best accuracy, by the names they get in metrics.json."""
        epochs = [_finite(scores) for _, scores in sorted(self.epochs.items())]
        last = {name: value for scores in epochs for name, value in scores.items()}
        validated = [scores["val/acc"] for scores in epochs if "val/acc" in scores]
        return last | ({f"val/acc{BEST}": max(validated)} if validated else {})

    @property
    def seconds(self) -> float | None:
        seconds = self.metrics.get("fit_seconds")
        return float(seconds) if isinstance(seconds, int | float) else None


def read(path: Path | str) -> Run:
    """Read the run in a folder. Raises InputError if there is none, or it can't be read."""
    run = RunFolder(path)
    return Run(
        run.path,
        run.status(),
        recorded.words(run),
        recorded.config(run),
        run.measured(),
        epochs(run),
    )


def epochs(run: RunFolder) -> dict[int, Metrics]:
    """Return each epoch's scores in metrics.csv, by their common names; an epoch may have several
    rows there. A row that a kill cut off is left out. Raises InputError if the file is damaged.
    """
    path = run.metrics_csv
    found: dict[int, Metrics] = {}
    try:
        rows = csv.reader(StringIO(read_at_most(path, MAX_BYTES).decode(), newline=""))
        header = next(rows, [])
        at = header.index("epoch") if "epoch" in header else len(header)
        scores = [(n, name) for n, name in enumerate(header)
                  if common(name).startswith(OF_AN_EPOCH)]  # fmt: skip
        for count, row in enumerate(rows):
            if count == MAX_ROWS:
                raise ValueError("too many rows")
            epoch = _number(row[at]) if at < len(row) == len(header) else math.nan
            told = {name: _number(row[n]) for n, name in scores if row[n]} if epoch == epoch else {}
            if told and epoch.is_integer():
                found.setdefault(int(epoch), {}).update(by_common_names(told))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: no run's metrics, or damaged, or too large") from error
    return found


def _finite(told: Mapping[str, Any]) -> Metrics:
    return {
        name: float(value)
        for name, value in told.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
