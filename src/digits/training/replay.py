"""Going on within an epoch of data that can't say where it was: PyTorch's DataLoader, for one."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from lightning.pytorch import Trainer

from digits.errors import InputError
from digits.runs.checkpoint import check_random_states, random_states, set_random_states
from digits.text import flat

CPU = torch.device("cpu")  # where loaders draw


class Replayed:
    """A `loader` whose epoch is given again up to where it was, from the random states it began
    with; what it gave by then is read once more and dropped. `done` counts the batches used.
    """

    def __init__(self, loader: Any, done: Callable[[], int]) -> None:
        self.loader, self.done = loader, done
        self.skip = 0
        self.begun: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["loader"], name)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        """(Runs from the first `next` on: after the run's own random states are set.)"""
        now, skip, self.skip = random_states(CPU), self.skip, 0
        if skip:
            set_random_states(self.begun, CPU)
        else:
            self.begun = now
        batches = iter(self.loader)
        for _ in range(skip):
            next(batches)
        if skip:
            set_random_states(now, CPU)
        yield from batches

    def state_dict(self) -> dict[str, Any]:
        return {"given": self.done(), "begun": self.begun}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises InputError for other states."""
        try:
            self.skip, self.begun = int(state["given"]), state["begun"]
            if self.skip:
                check_random_states(self.begun)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise InputError(f"ckpt_path: damaged: {flat(repr(error))[:80]}") from error


def install(trainer: Trainer) -> None:
    """Let `trainer` go on within an epoch whichever loaders it is given."""
    loop = trainer.fit_loop
    load = loop._load_combined_loader_states

    def wrap_and_load() -> None:
        combined = loop._combined_loader
        assert combined is not None
        combined.flattened = [
            loader
            if hasattr(loader, "load_state_dict")
            else Replayed(loader, lambda: loop.epoch_loop.batch_progress.current.ready)
            for loader in combined.flattened
        ]
        load()

    loop._load_combined_loader_states = wrap_and_load  # type: ignore[method-assign]
