"""The plugins that Hydra finds: sweepers, launchers, and a search path with a user's own configs
first. digits.sweeps and digits.runs do the work.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf


class OwnConfigsFirst(SearchPathPlugin):
    """Puts the folders that digits.runs.configs.own_first names before the project's configs."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        from digits.runs import configs

        for folder in reversed(configs.own()):
            search_path.prepend("own", f"file://{folder}", SearchPathQuery(provider="main"))


class SweeperOfOurs(Sweeper):
    """Runs its jobs through digits.sweeps.sweep, which records in a folder what is done."""

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        from hydra.core.plugins import Plugins

        from digits.sweeps.sweep import Sweep

        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.of = Sweep(config, hydra_context, task_function, launcher)


class GridSweeper(SweeperOfOurs):
    """Runs every combination of the values on the command line and in `params`."""

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        self.params = params or {}

    def sweep(self, arguments: list[str]) -> None:
        from digits.sweeps.sweep import grid

        self.of.run_all(grid(arguments, self.params, self.of.loader))


class OptunaSweeper(SweeperOfOurs):
    """Takes the options of configs/hydra/sweeper/optuna.yaml."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def sweep(self, arguments: list[str]) -> None:
        from digits.sweeps.search import Search

        with self.of.around():
            Search(self.options, self.of.config, self.of).run(arguments)


class PoolLauncher(Launcher):
    """Makes a pool for a sweep by its method `pool(work, count)`: `count` is the number of jobs, if
    known; `work(job, threads, environment)` says what a job has to do; see digits.sweeps.sweep.
    """

    config: DictConfig

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        raise NotImplementedError("this launcher is for the commands of digits")


class LocalLauncher(PoolLauncher):
    """Divides this machine's cores, or its GPUs, among `jobs` at once; None: as many as fit."""

    def __init__(self, jobs: int | None = None) -> None:
        self.jobs = jobs

    def pool(self, work: Any, count: int | None) -> Any:
        from digits.sweeps.pool import Forks, divide

        shares = divide(self.config.trainer, self.jobs, count)
        return Forks(
            shares.count,
            lambda job, slot: work(job, shares.threads, shares.environment(slot)),
        )


class SlurmLauncher(PoolLauncher):
    """Takes options of submitit and sbatch; see configs/hydra/launcher/slurm.yaml."""

    def __init__(self, jobs: int, poll_seconds: float, **options: Any) -> None:
        self.jobs, self.poll_seconds = jobs, poll_seconds
        self.options: Any = OmegaConf.to_container(OmegaConf.create(options), resolve=True)

    def pool(self, work: Any, count: int | None) -> Any:
        from digits.sweeps.clusters import Slurm

        threads = self.options.get("cpus_per_task")
        return Slurm(
            Path(self.config.hydra.sweep.dir),
            lambda job: work(job, threads, {}, is_here=False),
            self.jobs,
            self.poll_seconds,
            dict(self.options),
        )


class RayLauncher(PoolLauncher):
    """Takes the options of configs/hydra/launcher/ray.yaml."""

    def __init__(self, address: str | None, jobs: int, num_cpus: float, num_gpus: float) -> None:
        self.address, self.jobs, self.cpus, self.gpus = address, jobs, num_cpus, num_gpus

    def pool(self, work: Any, count: int | None) -> Any:
        from digits.sweeps.clusters import RayTasks
        from digits.sweeps.sweep_folder import STORAGE

        threads = max(1, int(self.cpus))
        study = {name: os.environ[name] for name in (STORAGE,) if name in os.environ}
        return RayTasks(
            lambda job: work(job, threads, study, is_here=False),
            self.jobs,
            self.address,
            self.cpus,
            self.gpus,
        )
