"""How many processes a run has, and whether they can be started and share the work: asked before
one is started. torch is imported only to count GPUs. What is no number of devices Lightning says.
"""

from omegaconf import DictConfig, ListConfig

from digits import machine
from digits.data import shares
from digits.errors import InputError
from digits.imports import importing
from digits.machine import cores


def check(cfg: DictConfig) -> None:
    """Raises InputError for settings whose processes could not train together here."""
    _check_accelerator(cfg.trainer.accelerator)
    count = _on_this_machine(cfg.trainer) * cfg.trainer.num_nodes
    _check_launcher(cfg.trainer, count)
    if cfg.get("train"):
        shares.check_batch(cfg.data.get("batch_size", count), count)
        shares.check_val(cfg.data.get("val_size", 0), count)


def _check_accelerator(name: object) -> None:
    if name in ("auto", "cpu"):
        return
    kinds = _gpus()
    if not (kinds if name == "gpu" else str(name) in kinds):
        expected = ", ".join(["auto", "cpu", *kinds])
        raise InputError(
            f"trainer.accelerator={name}: torch finds none here; expected one of {expected}"
        )


def _on_this_machine(trainer: DictConfig) -> int:
    given = trainer.devices
    if given == 1:
        return 1
    gpus = {} if trainer.accelerator == "cpu" else _gpus()
    if given in ("auto", -1, "-1"):
        return max(gpus.values(), default=1)
    if isinstance(given, ListConfig) or "," in str(given):  # which GPUs
        names = given.split(",") if isinstance(given, str) else given
        return sum(map(bool, map(str.strip, map(str, names)))) if gpus else 1
    count = int(given) if str(given).strip().isdecimal() else 1
    may_be_more = trainer.oversubscribe or machine.processes()
    if not gpus and count > cores() and not may_be_more:
        raise InputError(
            f"trainer.devices={given}: more processes than this machine's {cores()} cores; "
            f"expected {cores()} at most, or trainer.oversubscribe=true too"
        )
    return max(count, 1)


def _check_launcher(trainer: DictConfig, count: int) -> None:
    started = machine.processes()
    if trainer.num_nodes > 1 and not started:
        raise InputError(
            f"trainer.num_nodes={trainer.num_nodes}: nobody starts the other nodes' processes; "
            "expected to be started by torchrun or srun, on each node"
        )
    is_alone = count == 1 and machine.rank() == 0  # in a script for sbatch, say
    if started not in (0, count) and not is_alone:
        raise InputError(
            f"trainer.devices={trainer.devices} trainer.num_nodes={trainer.num_nodes}: "
            f"{count} processes, but the launcher has started {started}; expected as many"
        )


def _gpus() -> dict[str, int]:
    """How many of each kind there are, where there are any."""
    with importing():
        import torch

    counts = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    return {kind: count for kind, count in counts.items() if count}
