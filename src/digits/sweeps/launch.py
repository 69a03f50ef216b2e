"""Running the jobs of a sweep: as many at once as a pool has slots, whatever becomes of each."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hydra.core.utils import configure_log
from tqdm import tqdm

from digits import signals
from digits.errors import INPUT_IS_WRONG, OUR_FAULT, InputError, exit_code, one_line
from digits.runs import status
from digits.runs.folder import RunFolder
from digits.runs.status import FINISHED, KILLED, STOPPED, Status
from digits.sweeps.job import Job
from digits.sweeps.sweep_folder import last_line
from digits.text import flat, redacted

log = logging.getLogger(__name__)

Ended = Callable[[Job, Status], object]


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
        self.code = 0  # the worst: our fault outweighs wrong input
        self.running = 0
        self.is_stopping = False

    def run(
        self, next_job: Callable[[], Job | None], ended: Ended, count: int | None = None
    ) -> int:
        """Until `next_job` gives None; `count` is how many there will be, if that is known. Returns
        the worst exit code. KeyboardInterrupt, of a signal, comes once the jobs under way have
        saved.
        """
        with tqdm(total=count, unit="job", disable=self.pool.speaks or None, leave=False) as bar:
            try:
                while True:
                    while self.running < self.pool.slots and (job := self._next(next_job)):
                        with signals.held():  # none is started that nobody waits for
                            self.pool.start(job)
                            self.running += 1
                    if not self.running:
                        return self.code
                    self._end_one(bar, ended)
            except KeyboardInterrupt:
                self._stop(bar, ended)
                raise

    def _next(self, next_job: Callable[[], Job | None]) -> Job | None:
        return None if self.fail_fast and self.code else next_job()

    def _end_one(self, bar: Any, ended: Ended) -> None:
        job, code = self.pool.wait()
        self.running -= 1
        found = self._status(job, code)
        if found.status != FINISHED or code:
            is_worse = code != INPUT_IS_WRONG or self.code == OUR_FAULT
            self.code = OUR_FAULT if is_worse else INPUT_IS_WRONG
            if found.status != STOPPED:
                bar.write(redacted(f"error: {job}: {_line(job, code, found)}"), file=sys.stderr)
        bar.update()
        ended(job, found)

    def _status(self, job: Job, code: int) -> Status:
        """One that could not write it, since it was refused before, has it written here."""
        run = RunFolder(job.folder)
        found = run.status()
        if found is None and self.is_stopping:
            return Status(STOPPED)  # before it had begun
        if code > 0 and (found or Status(KILLED)).status == KILLED:
            _record(job, InputError(last_line(run) or f"exit code {code}"))
        return run.status() or Status(KILLED)

    def _stop(self, bar: Any, ended: Ended) -> None:
        """Each further signal asks again."""
        self.is_stopping = True
        while self.running:
            try:
                self.pool.stop()
                while self.running:
                    self._end_one(bar, ended)
            except KeyboardInterrupt:
                continue


class OneAfterTheOther:
    """Jobs in this process, by Hydra's own launcher; `placed` gives a job's words and its place."""

    slots, speaks = 1, True

    def __init__(self, launcher: Any, placed: Callable[[Job], Sequence[str]]) -> None:
        self.launcher, self.placed = launcher, placed
        self.job: Job | None = None
        self.is_stopped = False

    def start(self, job: Job) -> None:
        self.job = job
        log.info("#%d : %s", job.number, job.label)

    def wait(self) -> tuple[Job, int]:
        job = self.job
        assert job
        if self.is_stopped:
            return job, 130
        before = dict(os.environ)
        os.environ.update(job.environment)
        try:
            self.launcher.launch([self.placed(job)], job.number)
        except SystemExit as end:
            return job, int(end.code or 0)
        except Exception as error:  # its settings can't be composed
            _record(job, error)
            return job, exit_code(error)
        finally:
            os.environ.clear()
            os.environ.update(before)
            configure_log(self.launcher.config.hydra.hydra_logging)
        return job, 0

    def stop(self) -> None:
        """The signal has stopped it."""
        self.is_stopped = True


def _record(job: Job, error: Exception) -> None:
    run = RunFolder(job.folder)
    if run.status() is None:
        run.path.mkdir(parents=True, exist_ok=True)
    status.begin(run.path)
    status.end(run.path, InputError(one_line(error)))


def _line(job: Job, code: int, found: Status) -> str:
    how = f"{found.status}, exit code {code}"
    return flat(found.error or f"{how}: {last_line(RunFolder(job.folder))}")
