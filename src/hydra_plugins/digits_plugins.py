"""What Hydra finds here: sweepers, launchers, and that a user's own configs come first. The work is
done in digits.sweeps and digits.runs.
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
    """Those that digits.runs.configs.own_first names."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        from digits.runs import configs

        for folder in reversed(configs.own()):
            search_path.prepend("own", f"file://{folder}", SearchPathQuery(provider="main"))


class SweeperOfOurs(Sweeper):
    """Its jobs go through digits.sweeps.sweep, whose folder keeps what is done."""

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        from hydra.core.plugins import Plugins

        from digits.sweeps.sweep import Sweep

        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.of = Sweep(config, hydra_context, task_function, launcher)


class GridSweeper(SweeperOfOurs):
    """Every combination of the values given, and of those in `params`."""

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        self.params = params or {}

    def sweep(self, arguments: list[str]) -> None:
        from digits.sweeps.sweep import grid

        self.of.run_all(grid(arguments, self.params, self.of.loader))


class OptunaSweeper(SweeperOfOurs):
    """`options` are those of configs/hydra/sweeper/optuna.yaml."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def sweep(self, arguments: list[str]) -> None:
        from digits.sweeps.search import Search

        with self.of.around():
            Search(self.options, self.of.config, self.of).run(arguments)


class PoolLauncher(Launcher):
    """Its `pool(work, count)` runs jobs, `count` of them if that is known, which do what
    `work(job, threads, environment)` says; see digits.sweeps.sweep.
    """

    config: DictConfig

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        raise NotImplementedError("this launcher is for the commands of digits")


class LocalLauncher(PoolLauncher):
    """This machine's cores, or its GPUs, divided among `jobs` at once; null: as many as fit."""

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
    """`options` are those of submitit and sbatch; see configs/hydra/launcher/slurm.yaml."""

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
    """See configs/hydra/launcher/ray.yaml."""

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
