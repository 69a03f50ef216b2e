"""What this machine and its launchers (torchrun, srun) give to a process."""

import os
import sys


def cores() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def processes() -> int:
    """How many the launcher has started on all nodes; 0 without one. As Lightning has it, an
    interactive shell of SLURM's is none.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    if os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive"):
        return 0
    return int(os.environ.get("SLURM_NTASKS", "0"))


def rank() -> int:
    """Which of them this is; 0 without a launcher."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["RANK"])
    return int(os.environ.get("SLURM_PROCID", "0")) if processes() else 0
