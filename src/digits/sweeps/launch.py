"""Running the jobs of a sweep: as many at once as a pool has slots, whatever becomes of each."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from digits.errors import OUR_FAULT, InputError, flat
from digits.redact import redacted
from digits.runs.folder import FINISHED, KILLED, STOPPED, RunFolder, Status, is_pruned
from digits.sweeps.folder import last_line


@dataclass(frozen=True)
class Job:
    """`words` are its overrides, as the sweep has them, `label` those that make it out; `folder` is
    where it is to be, or is.
    """

    number: int
    words: tuple[str, ...]
    folder: Path
    label: str = ""
    environment: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"job {self.number} ({self.label})"


@dataclass(frozen=True)
class Outcome:
    """What became of a job: `code` is what its process exited with."""

    job: Job
    code: int
    status: Status

    @property
    def is_pruned(self) -> bool:
        return is_pruned(RunFolder(self.job.folder).measured())

    @property
    def objective(self) -> Any:
        return self.status.objective if self.status.status == FINISHED else None


class Pool(Protocol):
    """Where jobs run. `speaks` where their own output is what the terminal shows."""

    slots: int
    speaks: bool

    def start(self, job: Job) -> None: ...

    def wait(self) -> tuple[Job, int]:
        """Any job that has ended, and its exit code. A signal may interrupt it."""
        ...

    def stop(self) -> None:
        """Ask the jobs that run to save and end; called again, end them."""
        ...


class Launch:
    """Runs jobs in `pool`. With `fail_fast` none is started after one that failed."""

    def __init__(self, pool: Pool, fail_fast: bool) -> None:
        self.pool, self.fail_fast = pool, fail_fast
        self.codes: list[int] = []  # of the jobs that failed
        self.running = self.started = 0

    def run(
        self,
        next_job: Callable[[], Job | None],
        ended: Callable[[Outcome], object],
        count: int | None = None,
    ) -> None:
        """Until `next_job` gives None; `count` is how many there will be, if that is known.
        KeyboardInterrupt, of a signal, comes once the jobs under way have saved.
        """
        bar = tqdm(total=count, unit="job", disable=self.pool.speaks or None, leave=False)
        with bar:
            try:
                while True:
                    while self.running < self.pool.slots and (job := self._next(next_job)):
                        self.pool.start(job)
                        self.running += 1
                        self.started += 1
                    if not self.running:
                        return
                    self._end_one(bar, ended)
            except KeyboardInterrupt:
                self._stop(bar, ended)
                raise

    def _next(self, next_job: Callable[[], Job | None]) -> Job | None:
        return None if self.fail_fast and self.codes else next_job()

    def _end_one(self, bar: Any, ended: Callable[[Outcome], object]) -> None:
        job, code = self.pool.wait()
        self.running -= 1
        outcome = Outcome(job, code, _status(job, code))
        if outcome.status.status != FINISHED or code:
            self.codes.append(code or OUR_FAULT)
            if not (self.pool.speaks or outcome.status.status == STOPPED):
                bar.write(redacted(f"error: {job}: {_line(outcome)}"), file=sys.stderr)
        bar.update()
        ended(outcome)

    def _stop(self, bar: Any, ended: Callable[[Outcome], object]) -> None:
        """Each further signal asks again."""
        while self.running:
            try:
                self.pool.stop()
                while self.running:
                    self._end_one(bar, ended)
            except KeyboardInterrupt:
                continue


def _status(job: Job, code: int) -> Status:
    """One that could not write it, since it was refused before, has it written here."""
    run = RunFolder(job.folder)
    if code > 0 and (run.status() or Status(KILLED)).status == KILLED:
        run.begin()
        run.end(InputError(last_line(run) or f"exit code {code}"))
    return run.status() or Status(KILLED)


def _line(outcome: Outcome) -> str:
    status = outcome.status
    how = f"{status.status}, exit code {outcome.code}"
    return flat(status.error or f"{how}: {last_line(RunFolder(outcome.job.folder))}")
