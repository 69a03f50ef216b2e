"""Which folder a job may write into: a new one, or that of the run it goes on with."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from digits.errors import InputError
from digits.files import relative
from digits.runs.resume import alone_in

# What a run or a sweep leaves, whichever of it was switched off
LEFT = (".hydra", "multirun.yaml", "checkpoints", "metrics.json", "metrics.csv", "tensorboard")


@contextmanager
def before_folders_are_made(look: Callable[[DictConfig], None]) -> Iterator[None]:
    """Each job's settings go through `look` when Hydra has settled where its folder is, before it
    makes that and writes into it. A sweep's own folder is looked at here. (Hydra warns of what its
    callbacks raise, and goes on.)
    """
    set_config, instantiate_sweeper = HydraConfig.set_config, Plugins.instantiate_sweeper

    def looking(self: HydraConfig, cfg: DictConfig) -> None:
        set_config(self, cfg)
        if not OmegaConf.is_missing(cfg.hydra.runtime, "output_dir"):
            look(cfg)

    def looking_at_sweep(self: Plugins, *, config: DictConfig, **options: Any) -> Sweeper:
        given = config.hydra.sweep.dir
        _check_is_named("hydra.sweep.dir", given)
        _check_is_new("hydra.sweep.dir", given, Path(given))
        return instantiate_sweeper(self, config=config, **options)

    HydraConfig.set_config = looking  # type: ignore[method-assign]
    Plugins.instantiate_sweeper = looking_at_sweep  # type: ignore[method-assign]
    try:
        yield
    finally:
        HydraConfig.set_config = set_config  # type: ignore[method-assign]
        Plugins.instantiate_sweeper = instantiate_sweeper  # type: ignore[method-assign]


@contextmanager
def claimed(cfg: DictConfig) -> Iterator[None]:
    """Make the folder of the job `cfg`, if need be, and keep others out of it. Raises InputError
    where that is no folder for this job.
    """
    is_sweep = cfg.hydra.mode == RunMode.MULTIRUN
    key = "hydra.sweep.subdir" if is_sweep else "hydra.run.dir"
    given = str(OmegaConf.select(cfg, key))
    folder = Path(cfg.hydra.runtime.output_dir)
    _check_is_named(key, given)
    if cfg.get("resume") and folder != Path(os.path.abspath(cfg.resume)):
        raise InputError(f"resume={cfg.resume} {key}={given}: expected one of them")
    Path(relative(folder)).mkdir(parents=True, exist_ok=True)
    with alone_in(folder):
        if not cfg.get("resume"):
            _check_is_new(key, given, folder)
        yield


def _check_is_named(key: str, given: str) -> None:
    """An unset variable of the shell would mean the current folder."""
    if not given.strip():
        raise InputError(f"{key}={given}: expected a folder")


def _check_is_new(key: str, given: str, folder: Path) -> None:
    if any((folder / name).exists() for name in LEFT):
        raise InputError(f"{key}={given}: a run is there already; expected a new folder")
