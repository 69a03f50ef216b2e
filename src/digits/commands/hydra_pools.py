"""Jobs run by launchers of Hydra's kind, which compose a job's settings and call its task."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.core.utils import JobReturn

from digits.errors import exit_code, one_line
from digits.runs.folder import RunFolder
from digits.sweeps.launch import Job

BASIC = "hydra._internal.core_plugins.basic_launcher"
STOPPED = 130  # as a shell has it for Ctrl+C

Placed = Callable[[Job], Sequence[str]]


class Here:
    """One job after the other in this process, by Hydra's own `launcher`. `placed` gives a job's
    words, with its folder.
    """

    slots, speaks = 1, True

    def __init__(self, launcher: Any, placed: Placed) -> None:
        self.launcher, self.placed = launcher, placed
        self.job: Job | None = None
        self.is_stopped = False

    def start(self, job: Job) -> None:
        self.job = job

    def wait(self) -> tuple[Job, int]:
        job = self.job
        assert job
        if self.is_stopped:
            return job, STOPPED
        os.environ.update(job.environment)
        try:
            with _quiet(logging.getLogger(BASIC)):
                (result,) = self.launcher.launch([self.placed(job)], job.number)
            _ = result.return_value
        except Exception as error:
            _record(job, error)
            return job, exit_code(error)
        return job, 0

    def stop(self) -> None:
        """The signal has stopped it."""
        self.is_stopped = True


class Elsewhere:
    """All jobs at once, by a launcher that nothing is known of."""

    slots, speaks = sys.maxsize, True

    def __init__(self, launcher: Any, placed: Placed) -> None:
        self.launcher, self.placed = launcher, placed
        self.jobs: list[Job] = []
        self.ended: list[tuple[Job, int]] = []
        self.is_stopped = False

    def start(self, job: Job) -> None:
        self.jobs.append(job)

    def wait(self) -> tuple[Job, int]:
        if self.is_stopped and self.jobs:
            return self.jobs.pop(), STOPPED
        if not self.ended:
            words = [self.placed(job) for job in self.jobs]
            results = self.launcher.launch(words, self.jobs[0].number)
            self.ended = list(zip(self.jobs, map(_code, results), strict=True))
            self.jobs.clear()
        return self.ended.pop(0)

    def stop(self) -> None:
        """The signal has gone to them all."""
        self.is_stopped = True


def _code(result: JobReturn | None) -> int:
    """None comes from a process that was killed."""
    if result is None:
        return 1
    try:
        _ = result.return_value
    except Exception as error:
        return exit_code(error)
    return 0


def _record(job: Job, error: Exception) -> None:
    """Of a job that was refused before it could."""
    run = RunFolder(job.folder)
    if run.status() is None:
        print(f"error: {job}: {one_line(error)}", file=sys.stderr)
        run.path.mkdir(parents=True, exist_ok=True)
        run.begin()
        run.end(error)


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """It would tell of one job each time."""

    def tells_more(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Launching 1 jobs")

    logger.addFilter(tells_more)
    try:
        yield
    finally:
        logger.removeFilter(tells_more)
