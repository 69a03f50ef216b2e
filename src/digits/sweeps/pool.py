"""Run a sweep's jobs, as many at once as a pool has slots; a job that fails stops no other. On this
machine's pool a server, which has imported everything, forks a process for each job.

A plain fork of a process that has computed would hang: the child lacks OpenMP's threads.
"""

import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, Protocol

from hydra.core.utils import configure_log
from omegaconf import DictConfig
from tqdm import tqdm

from digits import signals
from digits.errors import INPUT_IS_WRONG, OUR_FAULT, InputError, exit_code, one_line
from digits.machine import cores, environment_restored
from digits.runs import status
from digits.runs.folder import RunFolder
from digits.runs.status import FINISHED, KILLED, STOPPED, Status
from digits.signals import KILL
from digits.sweeps import job as jobs
from digits.sweeps.job import Job
from digits.sweeps.sweep_folder import last_line
from digits.text import flat, redacted

log = logging.getLogger(__name__)

PRELOADED = "digits.sweeps.preloaded"
VISIBLE = "CUDA_VISIBLE_DEVICES"
Ended = Callable[[Job, Status], object]


class Pool(Protocol):
    """A place where jobs run. If it `speaks`, the terminal shows the jobs' own output."""

    slots: int
    speaks: bool

    def start(self, job: Job) -> None: ...

    def wait(self) -> tuple[Job, int]:
        """Wait for any job to end; return it and its exit code. A signal may interrupt the wait."""
        ...

    def stop(self) -> None:
        """Ask the running jobs to save and end; called again, end them at once."""
        ...


class Launch:
    """Runs jobs in `pool`. With `fail_fast` it starts no job after one has failed."""

    def __init__(self, pool: Pool, fail_fast: bool) -> None:
        self.pool, self.fail_fast = pool, fail_fast
        self.code = 0  # the worst exit code: our fault is worse than wrong input
        self.running = 0
        self.is_stopping = False

    def run(
        self,
        next_job: Callable[[], Job | None],
        ended: Ended,
        count: int | None = None,
        done: int = 0,
    ) -> int:
        """Run jobs until `next_job` returns None; `count` is how many there will be, if known, with
        those that are `done` already. Return the worst exit code. A signal's KeyboardInterrupt
        comes once the running jobs have saved.
        """
        quiet = self.pool.speaks or None
        with tqdm(total=count, initial=done, unit="job", disable=quiet, leave=False) as bar:
            try:
                while True:
                    while self.running < self.pool.slots and (job := self._next(next_job)):
                        with signals.held():  # a signal must not come in between
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
        """Return the job's status; write it here for a job that was refused before it could."""
        run = RunFolder(job.folder)
        found = run.status()
        if found is None and self.is_stopping:
            return Status(STOPPED)  # it had not begun
        if code > 0 and (found or Status(KILLED)).status == KILLED:
            _record(job, InputError(last_line(run) or f"exit code {code}"))
        return run.status() or Status(KILLED)

    def _stop(self, bar: Any, ended: Ended) -> None:
        """Wait for the running jobs to stop; each further signal asks them again."""
        self.is_stopping = True
        while self.running:
            try:
                self.pool.stop()
                while self.running:
                    self._end_one(bar, ended)
            except KeyboardInterrupt:
                continue


class OneAfterTheOther:
    """Runs jobs in this process by Hydra's launcher; `placed` returns a job's words and folder."""

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
        try:
            with environment_restored():
                os.environ.update(job.environment)
                self.launcher.launch([self.placed(job)], job.number)
        except SystemExit as end:
            return job, int(end.code or 0)
        except Exception as error:  # the job's settings can't be composed
            _record(job, error)
            return job, exit_code(error)
        finally:
            configure_log(self.launcher.config.hydra.hydra_logging)
        return job, 0

    def stop(self) -> None:
        """Note that the signal has stopped the job."""
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


@dataclass(frozen=True)
class Slots:
    """Room for `count` jobs, with `threads` for each process and, on GPUs, `devices` by job."""

    count: int
    threads: int
    devices: tuple[tuple[str, ...], ...] = ()

    def environment(self, slot: int) -> dict[str, str]:
        return {VISIBLE: ",".join(self.devices[slot])} if self.devices else {}


def divide(trainer: DictConfig, asked: int | None, jobs: int | None) -> Slots:
    """Divide this machine among as many of the `jobs` (None: many) as were `asked` for, or as fit:
    a process needs a core or, with GPUs, a job needs as many GPUs as it has devices. No more jobs
    run at once: jobs that fight for a core are slower than jobs that wait.

    Raises InputError if more were asked for.
    """
    there = gpus() if trainer.accelerator in ("auto", "gpu", "cuda") else []
    each = trainer.devices if isinstance(trainer.devices, int) and trainer.devices > 0 else None
    units = len(there) or cores()
    most = max(1, units // each) if each else 1
    if trainer.accelerator == "mps":
        most = 1
    limit = cores() if there else most  # small jobs may share a GPU
    if asked is not None and not (type(asked) is int and 1 <= asked <= limit):
        raise InputError(f"hydra.launcher.jobs={asked}: expected a whole number from 1 to {limit}")
    count = min(asked or most, jobs or asked or most)
    threads = max(1, cores() // (count * (1 if there else each or 1)))
    if not there or not each:
        return Slots(count, threads)
    shares = [there[i * each % len(there) :][:each] for i in range(count)]
    return Slots(count, threads, tuple(map(tuple, shares)))


def gpus() -> list[str]:
    """Return CUDA's names of the GPUs, without torch, whose import takes a second."""
    if (told := os.environ.get(VISIBLE)) is not None:
        return [name for name in told.split(",") if name.strip() and name != "-1"]
    if not (program := shutil.which("nvidia-smi")):
        return []
    command = [program, "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split()


class Forks:
    """Runs at most `slots` processes. `work` says what a job has to do in its slot, from 0."""

    speaks = False

    def __init__(self, slots: int, work: Callable[[Job, int], Job]) -> None:
        self.slots, self.work = slots, work
        self.running: dict[int, tuple[Job, int, BaseProcess]] = {}  # by the process's sentinel
        self.is_asked = False
        methods = multiprocessing.get_all_start_methods()
        self.context: Any = multiprocessing.get_context(
            "forkserver" if "forkserver" in methods else "spawn"  # on Windows
        )
        self.context.set_forkserver_preload([PRELOADED])
        jobs.find_this_package()  # the server lacks this process's sys.path
        if self.context.get_start_method() == "forkserver":
            resource_tracker.ensure_running()  # before signals wait: it would unblock them
            with signals.held():
                forkserver.ensure_running()

    def start(self, job: Job) -> None:
        taken = {slot for _, slot, _ in self.running.values()}
        slot = next(slot for slot in range(self.slots) if slot not in taken)
        process = self.context.Process(target=jobs.run, args=(self.work(job, slot),))
        with _without_main():
            process.start()
        self.running[process.sentinel] = job, slot, process

    def wait(self) -> tuple[Job, int]:
        sentinel: Any = wait(list(self.running))[0]
        job, _, process = self.running.pop(sentinel)
        process.join()
        code = process.exitcode or 0
        process.close()
        return job, code

    def stop(self) -> None:
        for _, _, process in self.running.values():
            if process.is_alive() and process.pid:
                os.kill(process.pid, KILL if self.is_asked else signal.SIGTERM)
        self.is_asked = True


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep multiprocessing from running the program's main module again in each process."""
    main = sys.modules["__main__"]
    nothing = ModuleType("__main__")
    nothing.__spec__ = None
    sys.modules["__main__"] = nothing
    try:
        yield
    finally:
        sys.modules["__main__"] = main
