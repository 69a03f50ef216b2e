"""How the processes of a run find each other, or give up."""

import threading
from typing import Any

import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy

from digits.errors import InputError
from digits.text import flat

LOOK_EVERY_S = 0.1  # how often to look for a signal
STRATEGIES: dict[object, dict[str, Any]] = {
    "ddp": {},
    "ddp_find_unused_parameters_true": {"find_unused_parameters": True},
}


class DDP(DDPStrategy):
    """Lightning's DDP, but it handles signals while it waits for the other processes."""

    def setup_distributed(self) -> None:
        """Raises InputError if a process does not come within 30 minutes."""
        failures: list[Exception] = []

        def meet() -> None:
            try:
                super(DDP, self).setup_distributed()
            except Exception as error:
                failures.append(error)

        thread = threading.Thread(target=meet, daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(LOOK_EVERY_S)
        if failures and isinstance(failures[0], dist.DistError):
            raise InputError(self._who_is_missing(failures[0])) from failures[0]
        if failures:
            raise failures[0]

    def _who_is_missing(self, error: Exception) -> str:
        environment = self.cluster_environment
        assert environment is not None
        return (
            f"trainer.num_nodes={self.num_nodes}: some of the run's processes did not come to "
            f"{environment.main_address}:{environment.main_port}; "
            f"expected {self.world_size} ({flat(str(error))[:100]})"
        )


def strategy(name: object) -> object:
    """Return the strategy that the Trainer gets for trainer.strategy=NAME."""
    return DDP(**STRATEGIES[name]) if name in STRATEGIES else name
