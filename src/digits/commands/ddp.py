"""A run's other processes (DDP): what they are told, and what they do."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any, NoReturn, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, read_write

from digits import machine, text
from digits.errors import OUR_FAULT, code_of, exit_code, peer_is_gone
from digits.signals import end_with_parent

RUN_CONFIG = "DIGITS_RUN_CONFIG"  # how they learn the run's settings and folder
RUN_SECRETS = "DIGITS_RUN_SECRETS"  # and which variables of the environment are secrets in them
RUN_PROCESS = "DIGITS_RUN_PROCESS"  # the id of the process that starts them


def is_one() -> bool:
    """Whether this process was started by the run's first one."""
    return os.environ.get("LOCAL_RANK", "0") != "0" and RUN_CONFIG in os.environ


def tell(cfg: DictConfig) -> None:
    """Lightning starts a run's other processes with this environment, and asks Hydra for run.dir as
    it does.
    """
    os.environ[RUN_SECRETS] = " ".join(text.remembered())
    os.environ[RUN_CONFIG] = OmegaConf.to_yaml(cfg, resolve=True)
    os.environ[RUN_PROCESS] = str(os.getpid())
    hydra_cfg = cast(DictConfig, HydraConfig.get())
    with read_write(hydra_cfg):
        hydra_cfg.run.dir = hydra_cfg.runtime.output_dir


def join(task: Callable[[DictConfig], Any]) -> NoReturn:
    """The part of one more process in a run (DDP); the first says what is wrong."""
    end_with_parent(int(os.environ[RUN_PROCESS]))
    logging.disable(logging.WARNING)
    text.remember(os.environ[RUN_SECRETS].split())
    cfg = OmegaConf.create(os.environ[RUN_CONFIG])
    assert isinstance(cfg, DictConfig)
    sys.exit(code_of(lambda: _silently(task, cfg)))


def _silently(task: Callable[[DictConfig], Any], cfg: DictConfig) -> int:
    """Says only what the first process does not know."""
    try:
        task(cfg)
    except Exception as error:
        if exit_code(error) == OUR_FAULT and not peer_is_gone(error):
            raise
        return exit_code(error)
    return 0


@contextmanager
def writing_nothing() -> Iterator[list[str]]:
    """More words for those that torchrun or srun starts: the others' folder is one for Hydra's sake
    alone.
    """
    if not machine.rank():
        yield []
        return
    logging.disable(logging.WARNING)
    with TemporaryDirectory() as nowhere:
        yield [f"hydra.run.dir={nowhere}", "hydra.output_subdir=null"]
