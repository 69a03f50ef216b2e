"""Jobs on this machine: how many fit, what each of them gets of it, and a process for each, which a
server forks that has imported all before.

A plain fork of a process that has computed would hang: OpenMP's threads are not in the child.
"""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from omegaconf import DictConfig

from digits import signals
from digits.errors import InputError
from digits.machine import cores
from digits.signals import KILL
from digits.sweeps import job as jobs
from digits.sweeps.job import Job

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Slots:
    """`count` jobs with `threads` for each of their processes; on GPUs, `devices` of each job."""

    count: int
    threads: int
    devices: tuple[tuple[str, ...], ...] = ()

    def environment(self, slot: int) -> dict[str, str]:
        return {VISIBLE: ",".join(self.devices[slot])} if self.devices else {}


def divide(trainer: DictConfig, asked: int | None, jobs: int | None) -> Slots:
    """This machine among as many of the `jobs` (None: many) as were `asked` for, by default as fit:
    a thread for each process or, with GPUs, as many GPUs as a job has devices. No more than that:
    jobs that fight for a core are slower than jobs that wait.

    Raises InputError if more were asked for.
    """
    there = gpus() if trainer.accelerator in ("auto", "gpu", "cuda") else []
    each = trainer.devices if isinstance(trainer.devices, int) and trainer.devices > 0 else None
    units = len(there) or cores()
    most = max(1, units // each) if each else 1
    if trainer.accelerator == "mps":
        most = 1
    limit = cores() if there else most  # a small job leaves room on a GPU for others
    if asked is not None and not (type(asked) is int and 1 <= asked <= limit):
        raise InputError(f"hydra.launcher.jobs={asked}: expected a whole number from 1 to {limit}")
    count = min(asked or most, jobs or asked or most)
    threads = max(1, cores() // (count * (1 if there else each or 1)))
    if not there or not each:
        return Slots(count, threads)
    shares = [there[i * each % len(there) :][:each] for i in range(count)]
    return Slots(count, threads, tuple(map(tuple, shares)))


def gpus() -> list[str]:
    """What CUDA's names for them are, without torch, which takes a second to import."""
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


PRELOADED = "digits.sweeps.preloaded"


class Forks:
    """At most `slots` processes. `work` says what a job has to do in the slot it gets, from 0."""

    speaks = False

    def __init__(self, slots: int, work: Callable[[Job, int], Job]) -> None:
        self.slots, self.work = slots, work
        self.running: dict[int, tuple[Job, int, BaseProcess]] = {}  # by sentinel
        self.is_asked = False
        methods = multiprocessing.get_all_start_methods()
        self.context: Any = multiprocessing.get_context(
            "forkserver" if "forkserver" in methods else "spawn"  # Windows
        )
        self.context.set_forkserver_preload([PRELOADED])
        jobs.find_this_package()  # the server does not have this process's sys.path
        if self.context.get_start_method() == "forkserver":
            resource_tracker.ensure_running()  # now: once it has started, it lets all signals go
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
    """multiprocessing would run the program's main module again in each process."""
    main = sys.modules["__main__"]
    nothing = ModuleType("__main__")
    nothing.__spec__ = None
    sys.modules["__main__"] = nothing
    try:
        yield
    finally:
        sys.modules["__main__"] = main
