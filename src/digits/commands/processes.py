"""How many processes a run has, and whether they can be started and share the work. All of it is
asked before one is started, and torch is imported only to count GPUs.
"""

from omegaconf import DictConfig, ListConfig

from digits import machine
from digits.data import shares
from digits.errors import InputError
from digits.imports import importing
from digits.machine import cores

ALL = -1


def check(cfg: DictConfig) -> None:
    """Raises InputError for settings whose processes could not train together here."""
    _check_accelerator(cfg.trainer.accelerator)
    count = _on_this_machine(cfg.trainer) * cfg.trainer.num_nodes
    _check_launcher(cfg.trainer, count)
    if cfg.get("train"):
        shares.check_batch(cfg.data.get("batch_size", count), count)
        shares.check_val(cfg.data.get("val_size", 0), count)


def _check_accelerator(name: str) -> None:
    if name in ("auto", "cpu"):
        return
    kinds = _gpus()
    if not (kinds if name == "gpu" else name in kinds):
        raise InputError(
            f"trainer.accelerator={name}: torch finds none here; expected one of "
            + ", ".join(["auto", "cpu", *kinds])
        )


def _on_this_machine(trainer: DictConfig) -> int:
    devices = _devices(trainer.devices)
    may_be_on_cpu = devices != 1 and trainer.accelerator in ("auto", "cpu")
    if may_be_on_cpu and (trainer.accelerator == "cpu" or not _gpus()):
        return _on_cpu(devices, trainer)
    if isinstance(devices, list):
        return len(devices)
    return max(_gpus().values()) if devices == ALL else devices


def _devices(value: object) -> int | list[int]:
    """Their number, or which GPUs, from what Lightning takes: 2, "2", [0, 1], "0,1", -1, auto."""
    words = list(value) if isinstance(value, ListConfig) else value
    try:
        if isinstance(words, str):
            words = ALL if words == "auto" else _numbers(words)
        if isinstance(words, list) and words and min(map(_index, words)) >= 0:
            return [*map(_index, words)]
        if type(words) is int and (words > 0 or words == ALL):
            return words
    except ValueError:
        pass
    raise InputError(
        f"trainer.devices={value}: expected a whole number from 1, a list of GPUs, "
        "-1 for all of them, or auto"
    )


def _numbers(text: str) -> int | list[int]:
    return [int(word) for word in text.split(",") if word] if "," in text else int(text)


def _index(word: object) -> int:
    if type(word) is not int:
        raise ValueError(word)
    return word


def _on_cpu(devices: int | list[int], trainer: DictConfig) -> int:
    if trainer.devices == "auto":
        return 1
    if isinstance(devices, list) or devices == ALL:
        raise InputError(
            f"trainer.devices={trainer.devices}: expected a whole number from 1 on a CPU"
        )
    if devices > cores() and not trainer.oversubscribe and not machine.processes():
        raise InputError(
            f"trainer.devices={devices}: more processes than this machine's {cores()} cores; "
            f"expected {cores()} at most, or trainer.oversubscribe=true too"
        )
    return devices


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
