"""hydra/sweeper=grid and optuna, where Hydra finds them; digits.sweeps does the work."""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig


class SweeperOfOurs(Sweeper):
    """Its jobs go through digits.sweeps.sweep, whose folder keeps what is done."""

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        from hydra.core.plugins import Plugins

        from digits.sweeps.sweep import Sweep

        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.context = hydra_context
        self.of = Sweep(config, hydra_context, task_function, launcher)


class GridSweeper(SweeperOfOurs):
    """Every combination of the values given, and of those in `params`."""

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        self.params = params or {}

    def sweep(self, arguments: list[str]) -> None:
        from digits.sweeps.sweep import grid

        self.of.run_all(grid(arguments, self.params, self.context.config_loader))


class OptunaSweeper(SweeperOfOurs):
    """`options` are those of configs/hydra/sweeper/optuna.yaml."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def sweep(self, arguments: list[str]) -> None:
        from digits.sweeps.search import Search

        with self.of.around():
            Search(self.options, self.of.config, self.of).run(arguments)
