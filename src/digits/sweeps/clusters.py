"""Pools on other machines: SLURM's queue and Ray's. A job's folder, on a file system that all
machines share, says what became of the job.
"""

import logging
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from digits import signals
from digits.errors import InputError
from digits.runs.folder import RunFolder
from digits.runs.status import KILLED, STOPPED
from digits.signals import end_with_parent
from digits.sweeps import job as jobs
from digits.sweeps.job import Job
from digits.text import flat

ID = "slurm_id"  # a file in a job's folder
OURS = ".slurm"  # submitit's folder in the sweep's folder
QUEUED = {"PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED",
          "REQUEUE_HOLD", "REQUEUE_FED", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED",
          "SPECIAL_EXIT", "PREEMPTED"}  # fmt: skip
SIGNAL_DELAY_S = 120  # SIGUSR1 comes this long before the time limit
MOST_TRIES = 100  # how often a job that SLURM stops may begin
LOST = 1  # stands for an exit code that SLURM has forgotten
LOOK_EVERY_S = 1.0  # how often to look for Ray's interrupt


class Slurm:
    """Keeps at most `slots` jobs in SLURM's queue. `work` says what a job has to do."""

    speaks = False

    def __init__(
        self,
        folder: Path,
        work: Callable[[Job], Job],
        slots: int,
        poll_seconds: float,
        options: dict[str, Any],
    ) -> None:
        self.work, self.slots, self.poll_seconds = work, slots, poll_seconds
        jobs.find_this_package()
        self.executor = _executor(folder / OURS, options)
        self.jobs: dict[str, Job] = {}  # by SLURM's id
        self.tries: dict[Job, int] = {}
        self.is_asked = False

    def start(self, job: Job) -> None:
        """Submit the job, or wait for it if a killed sweep has left it in the queue."""
        with suppress(OSError):
            before = (job.folder / ID).read_text().strip()
            if before.isdecimal() and before in _states([before]):
                self.jobs[before] = job
                return
        try:
            number = str(self.executor.submit(jobs.begin, self.work(job)).job_id)
        except (RuntimeError, OSError) as error:
            raise InputError(f"hydra/launcher=slurm: sbatch: {flat(str(error))[-300:]}") from error
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / ID).write_text(number)
        self.jobs[number] = job
        self.tries[job] = self.tries.get(job, 0) + 1

    def wait(self) -> tuple[Job, int]:
        while True:
            queued = _states(self.jobs)
            for number in [number for number in self.jobs if number not in queued]:
                job = self.jobs.pop(number)
                (job.folder / ID).unlink(missing_ok=True)
                said = _run("scontrol", "show", "job", "--oneliner", number) or ""
                if not self._goes_on(job, said):
                    return job, _code(said)
                self.start(job)
            time.sleep(self.poll_seconds)

    def stop(self) -> None:
        states = _states(self.jobs)
        running = [number for number, state in states.items() if state == "RUNNING"]
        can_save = [] if self.is_asked else running
        others = [number for number in states if number not in can_save]
        if others:
            _run("scancel", *others)
        if can_save:
            _run("scancel", "--signal=TERM", *can_save)
        self.is_asked = True

    def _goes_on(self, job: Job, said: str) -> bool:
        """Whether SLURM, not a person, has stopped the job: preempted it, or at its time limit."""
        status = RunFolder(job.folder).status()
        was_stopped = status is not None and status.status in (STOPPED, KILLED)
        cancelled = "JobState=CANCELLED" in said
        few = self.tries.get(job, 0) < MOST_TRIES
        return was_stopped and few and not (self.is_asked or cancelled)


def _executor(folder: Path, options: dict[str, Any]) -> Any:
    more = dict(options.pop("more", None) or {})
    names = {"timeout_min": "time", "mem_gb": "mem"}
    given = {names.get(name, name): value for name, value in options.items() if value is not None}
    asked = {"requeue": True, "signal": f"USR1@{SIGNAL_DELAY_S}"}  # submitit's own is USR2
    given |= {"additional_parameters": asked | more, "use_srun": True}
    if "mem" in given:
        given["mem"] = f"{given['mem']}GB"
    import submitit

    executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=MOST_TRIES)
    executor.update_parameters(job_name="digits", nodes=1, ntasks_per_node=1, **given)
    return executor


def _states(numbers: Iterable[str]) -> dict[str, str]:
    """Return the states of the jobs in SLURM's queue; of all jobs while SLURM does not answer."""
    asked = list(numbers)
    if not asked:
        return {}
    said = _run("squeue", "--noheader", f"--jobs={','.join(asked)}", "--format=%i %T")
    if said is None:
        return dict.fromkeys(asked, "UNKNOWN")
    pairs = [line.split() for line in said.splitlines() if len(line.split()) == 2]
    return {number: state for number, state in pairs if state in QUEUED}


def _run(*command: str) -> str | None:
    """Return what a command of SLURM prints; None if SLURM does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    is_forgotten = "Invalid job id" in done.stderr
    return done.stdout if is_forgotten or not done.returncode else None


def _code(said: str) -> int:
    """Return a job's exit code, as scontrol prints it for some minutes after the job's end."""
    told = re.search(r" ExitCode=(\d+):(\d+)", said)
    return int(told[1]) or -int(told[2]) if told else LOST


class RayTasks:
    """Keeps at most `slots` tasks in Ray's queue, each of which waits for `cpus` and `gpus`. A task
    runs its job in a process of its own, as the local pool does.
    """

    speaks = False

    def __init__(
        self, work: Callable[[Job], Job], slots: int, address: str | None, cpus: float, gpus: float
    ) -> None:
        self.work, self.slots = work, slots
        jobs.find_this_package()
        if address is None:
            # A cluster that is started here listens on all interfaces, and would run what anyone
            # sends, so clients need a token. Ray's own token would be in a file.
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        import ray  # now: it reads these variables once

        self.ray: Any = ray
        try:
            ray.init(
                address=address or "local",
                ignore_reinit_error=True,
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}},
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(f"hydra.launcher.address={address}: {flat(str(error))}") from error
        remote: Any = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=-1, max_calls=1)
        self.task: Any = remote(run_in_process)
        self.jobs: dict[Any, Job] = {}  # by reference
        self.is_asked = False

    def start(self, job: Job) -> None:
        self.jobs[self.task.remote(self.work(job).to_json())] = job

    def wait(self) -> tuple[Job, int]:
        while True:
            try:
                ready, _ = self.ray.wait(list(self.jobs), num_returns=1, timeout=LOOK_EVERY_S)
            except KeyboardInterrupt:  # Ray raises its own, not the handler's
                signals.raise_again()
                raise signals.Stopped(signal.SIGINT) from None
            if ready:
                try:
                    code = int(self.ray.get(ready[0]))
                except (self.ray.exceptions.RayError, KeyboardInterrupt):
                    code = 1
                return self.jobs.pop(ready[0]), code

    def stop(self) -> None:
        for reference in self.jobs:
            self.ray.cancel(reference, force=self.is_asked)
        self.is_asked = True


def run_in_process(text: str) -> int:
    """Run the job `text`, and return its exit code. When Ray cancels it, let the job save first."""
    process = subprocess.Popen(
        [sys.executable, "-m", "digits.sweeps.job"],
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(end_with_parent, os.getpid()) if sys.platform == "linux" else None,
    )
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.close()
    while True:  # an endless wait would not hear the interrupt
        try:
            return process.wait(LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            continue
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
