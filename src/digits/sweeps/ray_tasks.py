"""Jobs as tasks of Ray's. A task has the job run in a process of its own, as the pool does, on
whatever machine Ray finds; their folders are on a file system that all share.
"""

import logging
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from digits import signals
from digits.errors import InputError
from digits.signals import end_with_parent
from digits.sweeps.job import Job, find_this_package
from digits.text import flat

LOOK_EVERY_S = 1.0


class RayTasks:
    """At most `slots` tasks in Ray's queue, which wait for `cpus` and `gpus` each."""

    speaks = False

    def __init__(
        self, work: Callable[[Job], Job], slots: int, address: str | None, cpus: float, gpus: float
    ) -> None:
        self.work, self.slots = work, slots
        find_this_package()
        if address is None:
            # A cluster that is started here listens on all interfaces, and runs what it is sent:
            # only who knows the token may. Ray would keep one in a file.
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        import ray  # now: it looks at these variables once

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
            except KeyboardInterrupt:  # Ray's own, whatever the handler raised
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
    """The exit code of the work `text`. Ray cancels by KeyboardInterrupt: then the job saves."""
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
    while True:  # a wait without end would not hear the interrupt
        try:
            return process.wait(LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            continue
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
