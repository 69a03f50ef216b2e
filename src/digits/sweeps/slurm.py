"""Jobs of SLURM's. What became of them is read from their folders, which all machines share."""

import re
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import submitit

from digits.errors import InputError
from digits.runs.folder import RunFolder
from digits.runs.status import KILLED, STOPPED
from digits.sweeps import job as jobs
from digits.sweeps.job import Job
from digits.text import flat

ID = "slurm_id"  # a file in a job's folder
OURS = ".slurm"  # a folder in the sweep's: of submitit's files
QUEUED = {"PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED",
          "REQUEUE_HOLD", "REQUEUE_FED", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED",
          "SPECIAL_EXIT", "PREEMPTED"}  # fmt: skip
SIGNAL_DELAY_S = 120  # of SIGUSR1 before the time limit
MOST_TRIES = 100  # of a job that is stopped, not by us
LOST = 1  # for a job's exit code that SLURM has forgotten


class Slurm:
    """At most `slots` jobs in the queue. `work` says what a job has to do."""

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
        """One that is in the queue still, of a sweep that was killed, is looked after."""
        with suppress(OSError):
            before = (job.folder / ID).read_text().strip()
            if before.isdecimal() and before in _states([before]):
                self.jobs[before] = job
                return
        try:
            number = str(self.executor.submit(jobs.begin, self.work(job)).job_id)
        except (submitit.core.utils.FailedJobError, RuntimeError, OSError) as error:
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
        """Whether it was stopped by SLURM (preempted, or at its time limit), not by a person."""
        status = RunFolder(job.folder).status()
        was_stopped = status is not None and status.status in (STOPPED, KILLED)
        cancelled = "JobState=CANCELLED" in said
        few = self.tries.get(job, 0) < MOST_TRIES
        return was_stopped and few and not (self.is_asked or cancelled)


def _executor(folder: Path, options: dict[str, Any]) -> Any:
    more = dict(options.pop("more", None) or {})
    names = {"timeout_min": "time", "mem_gb": "mem"}
    given = {names.get(name, name): value for name, value in options.items() if value is not None}
    given |= {"additional_parameters": {"requeue": True} | more, "use_srun": True}
    if "mem" in given:
        given["mem"] = f"{given['mem']}GB"
    executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=MOST_TRIES)
    executor.update_parameters(
        job_name="digits", signal_delay_s=SIGNAL_DELAY_S, nodes=1, ntasks_per_node=1, **given
    )
    return executor


def _states(numbers: Iterable[str]) -> dict[str, str]:
    """Of those in SLURM's queue. It may be away for a moment: then all count as there."""
    asked = list(numbers)
    if not asked:
        return {}
    said = _run("squeue", "--noheader", f"--jobs={','.join(asked)}", "--format=%i %T")
    if said is None:
        return dict.fromkeys(asked, "UNKNOWN")
    pairs = [line.split() for line in said.splitlines() if len(line.split()) == 2]
    return {number: state for number, state in pairs if state in QUEUED}


def _run(*command: str) -> str | None:
    """What it prints; None where SLURM does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    is_forgotten = "Invalid job id" in done.stderr
    return done.stdout if is_forgotten or not done.returncode else None


def _code(said: str) -> int:
    """Of a job that scontrol tells of, for some minutes: what its process exited with."""
    told = re.search(r" ExitCode=(\d+):(\d+)", said)
    return int(told[1]) or -int(told[2]) if told else LOST
