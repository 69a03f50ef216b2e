"""What this machine is, and what it and its launchers (torchrun, srun) give to a process."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def cores() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def processes() -> int:
    """How many the launcher has started on all nodes; 0 without one."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    in_a_shell = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")  # as Lightning has it
    return 0 if in_a_shell else int(os.environ.get("SLURM_NTASKS", "0"))


def rank() -> int:
    """Which of them this is; 0 without a launcher."""
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
    """From here on denormals, floats below 1e-38, count as zero: in this thread, and in those that
    it starts. Call it before torch has computed anything, or torch's threads keep theirs.

    A CPU takes up to 100 times as long over them, and the mean squared gradients of pixels that are
    dark in nearly all images fade into them: by the tenth epoch it would take half as long again.
    """
    import numpy as np
    import torch

    for kind in (np.float32, np.float64):  # before 2.3 numpy warns, once, that it sees none
        np.finfo(kind)
    torch.set_flush_denormal(True)
