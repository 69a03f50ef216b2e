"""hydra/launcher=local: what Hydra looks for here. The work is done in digits.sweeps."""

from collections.abc import Callable, Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig


class PoolLauncher(Launcher):
    """Its `pool` runs the jobs; the sweep of a command takes it (digits.commands.sweeping)."""

    config: DictConfig

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        self.config, self.context, self.task = config, hydra_context, task_function

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        raise NotImplementedError("this launcher is for the commands of digits")


class LocalLauncher(PoolLauncher):
    """This machine's cores, or its GPUs, divided among `jobs` at once; null: as many as fit."""

    def __init__(self, jobs: int | None = None) -> None:
        self.jobs = jobs

    def pool(self, work: Callable[..., Any], count: int | None) -> Any:
        """None where one fits at a time: then a process of its own is no quicker."""
        from digits.sweeps import slots
        from digits.sweeps.pool import Forks

        shares = slots.divide(self.config.trainer, self.jobs, count)
        if shares.count == 1 and self.jobs is None:
            return None
        return Forks(
            shares.count,
            lambda job, slot: work(job, shares.threads, shares.environment(slot)),
        )
