"""How many jobs fit on this machine at once, and what each of them gets of it."""

import os
import shutil
import subprocess
from dataclasses import dataclass

from omegaconf import DictConfig

from digits.errors import InputError
from digits.machine import cores

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
