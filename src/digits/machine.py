"""What a process gets from this machine and from its launcher (torchrun, srun)."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def processes() -> int:
    """Return how many processes the launcher has started on all nodes; 0 without a launcher."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    in_a_shell = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")  # Lightning's rule
    return 0 if in_a_shell else int(os.environ.get("SLURM_NTASKS", "0"))


def rank() -> int:
    """Return this process's rank among the launcher's processes; 0 without a launcher."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["RANK"])
    return int(os.environ.get("SLURM_PROCID", "0")) if processes() else 0


@contextmanager
def environment_restored() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def flush_denormals() -> None:
    """Treat denormals, floats below 1e-38, as zeros in this thread and in those that it starts.
    Call it before torch computes anything: threads that torch has started keep their denormals.

    A CPU takes up to 100 times as long for a denormal, and the mean squared gradients of pixels
    that are dark in nearly all images become denormals: the tenth epoch would take half as long
    again.
    """
    import numpy as np
    import torch

    for kind in (np.float32, np.float64):  # numpy before 2.3 warns once that there are none
        np.finfo(kind)
    torch.set_flush_denormal(True)
