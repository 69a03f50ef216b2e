"""torchrun and srun: what they tell the processes they start. No torch."""

import os


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
