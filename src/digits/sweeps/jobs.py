"""A sweep's jobs, as their folders tell of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from digits.errors import InputError, flat
from digits.runs import recorded
from digits.runs.folder import RunFolder
from digits.runs.status import DIVERGED, FAILED, FINISHED, KILLED, PRUNED, Status, is_pruned
from digits.runs.words import OF_THE_FOLDER, key, unquoted
from digits.sweeps.folder import OF_THE_SWEEP, SweepFolder, last_line

WAITING = "waiting"  # of a job: planned, not begun
LOST = (FAILED, DIVERGED, KILLED)


@dataclass(frozen=True)
class Job:
    """What a job's folder says. `words` are its overrides; `seconds` those of its fit."""

    name: str
    words: dict[str, str]
    status: str
    line: str | None
    seconds: float | None
    ended: str | None
    measured: dict[str, Any]
    run: RunFolder

    def score(self, metric: str) -> float | None:
        """A number that was measured; None for none, and for those that are not finite."""
        value = self.measured.get(metric)
        is_number = isinstance(value, int | float) and math.isfinite(value)
        return float(value) if is_number and self.status == FINISHED else None  # type: ignore[arg-type]


def settings(words: Sequence[str]) -> dict[str, str]:
    """Overrides as values by name, without those that say where a job is."""
    kept = [word for word in words if key(word) not in (*OF_THE_FOLDER, *OF_THE_SWEEP)]
    return {key(word): flat(unquoted(word.partition("=")[2])) for word in kept}


def read(sweep: SweepFolder) -> list[Job]:
    planned = sweep.planned()
    jobs = {sweep.name(folder): _job(sweep, folder, planned) for folder in sweep.runs()}
    for name, words in planned.items():
        waiting = Job(
            name, settings(words), WAITING, None, None, None, {}, RunFolder(sweep.path / name)
        )
        jobs.setdefault(name, waiting)
    return list(jobs.values())


def _job(sweep: SweepFolder, folder: RunFolder, planned: dict[str, list[str]]) -> Job:
    name, status = sweep.name(folder), folder.status()
    try:
        words = planned.get(name) or recorded.words(folder)
    except InputError:
        words = []
    measured = folder.measured()
    seconds = measured.get("fit_seconds")
    return Job(
        name,
        settings(words),
        _kind(status, measured),
        _line(folder, status),
        float(seconds) if isinstance(seconds, int | float) else None,
        status.ended if status else None,
        measured,
        folder,
    )


def _kind(status: Status | None, measured: dict[str, Any]) -> str:
    if status is None:
        return WAITING
    return PRUNED if status.status == FINISHED and is_pruned(measured) else status.status


def _line(folder: RunFolder, status: Status | None) -> str | None:
    """The last that was said of a job that came to no good."""
    if status is None or status.status not in LOST:
        return None
    return flat(status.error or "") or last_line(folder)
