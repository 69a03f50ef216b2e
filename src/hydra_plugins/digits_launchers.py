"""hydra/launcher=local, slurm and ray, where Hydra finds them; digits.sweeps does the work."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf


class PoolLauncher(Launcher):
    """Its `pool(work, count)` runs jobs, `count` of them if that is known, which do what
    `work(job, threads, environment)` says; see digits.sweeps.sweep.
    """

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

    def pool(self, work: Any, count: int | None) -> Any:
        from digits.sweeps import slots
        from digits.sweeps.pool import Forks

        shares = slots.divide(self.config.trainer, self.jobs, count)
        return Forks(
            shares.count,
            lambda job, slot: work(job, shares.threads, shares.environment(slot)),
        )


class SlurmLauncher(PoolLauncher):
    """`options` are those of submitit and sbatch; see configs/hydra/launcher/slurm.yaml."""

    def __init__(self, jobs: int, poll_seconds: float, **options: Any) -> None:
        self.jobs, self.poll_seconds = jobs, poll_seconds
        self.options: Any = OmegaConf.to_container(OmegaConf.create(options), resolve=True)

    def pool(self, work: Any, count: int | None) -> Any:
        from digits.sweeps.slurm import Slurm

        threads = self.options.get("cpus_per_task")
        return Slurm(
            Path(self.config.hydra.sweep.dir),
            lambda job: work(job, threads, {}, is_here=False),
            self.jobs,
            self.poll_seconds,
            dict(self.options),
        )


class RayLauncher(PoolLauncher):
    """See configs/hydra/launcher/ray.yaml."""

    def __init__(self, address: str | None, jobs: int, num_cpus: float, num_gpus: float) -> None:
        self.address, self.jobs, self.cpus, self.gpus = address, jobs, num_cpus, num_gpus

    def pool(self, work: Any, count: int | None) -> Any:
        from digits.sweeps.folder import STORAGE
        from digits.sweeps.ray_tasks import RayTasks

        threads = max(1, int(self.cpus))
        study = {name: os.environ[name] for name in (STORAGE,) if name in os.environ}
        return RayTasks(
            lambda job: work(job, threads, study, is_here=False),
            self.jobs,
            self.address,
            self.cpus,
            self.gpus,
        )
