"""Jobs on this machine, each in a process that a server forks: it has imported all before.

A plain fork of a process that has computed would hang: OpenMP's threads are not in the child.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from digits.signals import KILL
from digits.sweeps import job as jobs
from digits.sweeps.job import Job

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
            with _interrupts_held():
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
def _interrupts_held() -> Iterator[None]:
    """Ctrl+C waits, for a process that is started here too, until that ignores it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


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
