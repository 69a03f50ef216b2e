"""How the processes of a run find each other, or give up."""

import threading
from datetime import timedelta

import lightning as L
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from digits.errors import InputError
from digits.text import flat

PATIENCE_S = 300.0  # from one process's arrival to the last's: they import torch, on any node
LOOK_EVERY_S = 0.1  # for a signal


def install(trainer: L.Trainer) -> None:
    """Let the processes of `trainer` meet here: torch would wait half an hour, deaf to signals."""
    strategy = trainer.strategy
    if not isinstance(strategy, DDPStrategy):
        return
    set_up = strategy.setup_distributed

    def meet_and_set_up() -> None:
        strategy.set_world_ranks()
        if not dist.is_initialized():
            _wait_for(strategy)
        set_up()

    strategy.setup_distributed = meet_and_set_up  # type: ignore[method-assign]


def _wait_for(strategy: DDPStrategy) -> None:
    """Raises InputError where a process does not come in time. Signals are heard: it is another
    thread that waits.
    """
    failures: list[Exception] = []

    def meet() -> None:
        try:
            _meet(strategy)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=meet, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(LOOK_EVERY_S)
    if failures and isinstance(failures[0], dist.DistError):
        raise InputError(_who_is_missing(strategy, failures[0])) from failures[0]
    if failures:
        raise failures[0]


def _who_is_missing(strategy: DDPStrategy, error: Exception) -> str:
    environment = strategy.cluster_environment
    assert environment is not None
    where = f"{environment.main_address}:{environment.main_port}"
    return (
        f"trainer.num_nodes={strategy.num_nodes}: some of the run's processes did not come to "
        f"{where} in {PATIENCE_S:g} s; expected {strategy.world_size} ({flat(str(error))[:100]})"
    )


def _meet(strategy: DDPStrategy) -> None:
    environment, device = strategy.cluster_environment, strategy.root_device
    assert environment is not None
    rank, count = environment.global_rank(), environment.world_size()
    address = f"tcp://{environment.main_address}:{environment.main_port}"
    patience = timedelta(seconds=PATIENCE_S)
    store, _, _ = next(rendezvous(address, rank, count, timeout=patience))
    store.set(f"digits/{rank}", "here")
    store.wait([f"digits/{other}" for other in range(count)], patience)
    store.set_timeout(strategy._timeout)
    dist.init_process_group(
        strategy._get_process_group_backend(),
        store=PrefixStore("default_pg", store),
        rank=rank,
        world_size=count,
        timeout=strategy._timeout,
        device_id=None if device.type == "cpu" else device,
    )
