"""A run's processes: whether they can start here and share the work, and how the first one tells
DDP's others about the run. torch is imported only to count GPUs.
"""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any, NoReturn, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, OmegaConf, read_write

from digits import machine, text
from digits.data import shares
from digits.errors import InputError, code_of, exit_code, is_bug, where
from digits.imports import importing
from digits.machine import cores
from digits.signals import end_with_parent


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
    if name not in kinds and not (name == "gpu" and kinds):
        expected = ", ".join(["auto", "cpu", *kinds])
        raise InputError(
            f"trainer.accelerator={name}: torch finds none here; expected one of {expected}"
        )


def _on_this_machine(trainer: DictConfig) -> int:
    """Return how many processes this machine runs; 1 for settings that Lightning itself refuses."""
    given = trainer.devices
    if given == 1:
        return 1
    gpus = {} if trainer.accelerator == "cpu" else _gpus()
    if given in ("auto", -1, "-1"):
        return max(gpus.values(), default=1)
    if isinstance(given, ListConfig) or "," in str(given):  # it lists GPUs
        return len(re.findall(r"[^][,\s]+", str(given))) if gpus else 1
    count = int(given) if str(given).strip().isdecimal() else 1
    may_be_more = gpus or trainer.oversubscribe or machine.processes()
    if count > cores() and not may_be_more:
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
    is_alone = count == 1 and machine.rank() == 0  # as in a script for sbatch
    if started not in (0, count) and not is_alone:
        raise InputError(
            f"trainer.devices={trainer.devices} trainer.num_nodes={trainer.num_nodes}: "
            f"{count} processes, but the launcher has started {started}; expected as many"
        )


def _gpus() -> dict[str, int]:
    with importing():
        import torch

    counts = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    return {kind: count for kind, count in counts.items() if count}


RUN_CONFIG = "DIGITS_RUN_CONFIG"  # tells the other processes the run's settings and folder
RUN_SECRETS = "DIGITS_RUN_SECRETS"  # names the environment variables that are secrets
RUN_PROCESS = "DIGITS_RUN_PROCESS"  # the id of the process that starts them


def is_one() -> bool:
    """Whether this process was started by the run's first one."""
    return os.environ.get("LOCAL_RANK", "0") != "0" and RUN_CONFIG in os.environ


def tell(cfg: DictConfig) -> None:
    """Tell DDP's other processes, which get this environment; Lightning asks Hydra for run.dir."""
    os.environ[RUN_SECRETS] = " ".join(text.remembered())
    os.environ[RUN_CONFIG] = OmegaConf.to_yaml(cfg, resolve=True)
    os.environ[RUN_PROCESS] = str(os.getpid())
    hydra_cfg = cast(DictConfig, HydraConfig.get())
    with read_write(hydra_cfg):
        hydra_cfg.run.dir = hydra_cfg.runtime.output_dir


def join(task: Callable[[DictConfig], Any]) -> NoReturn:
    """Run one more process of a run (DDP). It prints only errors that the first one can't know."""
    end_with_parent(int(os.environ[RUN_PROCESS]))
    logging.disable(logging.WARNING)
    text.remember(os.environ[RUN_SECRETS].split())
    cfg = cast(DictConfig, OmegaConf.create(os.environ[RUN_CONFIG]))

    def silently() -> int:
        try:
            task(cfg)
        except Exception as error:
            if is_bug(error) or where(error):
                raise
            return exit_code(error)
        return 0

    sys.exit(code_of(silently))


@contextmanager
def writing_nothing() -> Iterator[list[str]]:
    """Yield words that keep a process of torchrun or srun, but for the first, out of any folder."""
    if not machine.rank():
        yield []
        return
    logging.disable(logging.WARNING)
    with TemporaryDirectory() as nowhere:
        yield [f"hydra.run.dir={nowhere}", "hydra.output_subdir=null"]
