"""Resume within an epoch with a loader that can't save its position, as PyTorch's DataLoader."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.utilities import CombinedLoader
from lightning_utilities.core.apply_func import apply_to_collection
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from digits.errors import InputError
from digits.runs.checkpoint import check_random_states, random_states, set_random_states
from digits.text import flat

CPU = torch.device("cpu")  # loaders draw random numbers there


class Replayed:
    """Replays a loader's epoch after a resume: it starts with the epoch's first random states,
    reads the batches used before once more, and drops them. `done` counts the batches used.
    """

    def __init__(self, loader: Any, done: Callable[[], int]) -> None:
        self.loader, self.done = loader, done
        self.skip = 0
        self.begun: dict[str, Any] = {}  # random states at the epoch's first batch
        self.is_loaded = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["loader"], name)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        if not self.is_loaded:
            self.skip, self.begun = 0, {}
        self.is_loaded = False
        return self._rest()

    def _rest(self) -> Iterator[Any]:
        """Yield the rest. This runs from the first `next` on, after the run's states are set."""
        now = random_states(CPU)
        self.begun = self.begun or now
        set_random_states(self.begun, CPU)
        batches = iter(self.loader)
        for _ in range(self.skip):
            next(batches)
        if self.skip:
            set_random_states(now, CPU)
        yield from batches

    def state_dict(self) -> dict[str, Any]:
        given = self.done()
        with suppress(TypeError):  # it has no length
            given = (given - 1) % len(self) + 1 if given else 0  # a short one is given repeatedly
        return {"given": given, "begun": self.begun}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises InputError for a state that is not from `state_dict`."""
        try:
            self.skip, self.begun, self.is_loaded = int(state["given"]), state["begun"], True
            if self.skip or self.begun:
                check_random_states(self.begun)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise InputError(f"ckpt_path: damaged: {flat(repr(error))[:80]}") from error


def from_there(data: LightningDataModule, trainer: Trainer, settings: DictConfig) -> None:
    """Let `data` return PyTorch's loaders in a form that `trainer` can resume within an epoch,
    unless `settings` make Lightning replace these loaders.
    """
    if settings.get("overfit_batches") or settings.get("use_distributed_sampler"):
        return
    give = data.train_dataloader

    @wraps(give)
    def gives() -> Any:
        given = give()
        if isinstance(given, CombinedLoader):
            given.flattened = [replayed(loader) for loader in given.flattened]
        return apply_to_collection(given, DataLoader, replayed)

    def replayed(loader: Any) -> Any:
        return Replayed(loader, done) if isinstance(loader, DataLoader) else loader

    def done() -> int:
        return trainer.fit_loop.epoch_loop.batch_progress.current.ready

    data.train_dataloader = gives  # type: ignore[method-assign]
