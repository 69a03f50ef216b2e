"""Which folder a job may write into: a new one, or that of the run it goes on with."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from digits.commands.settings import check_value
from digits.errors import InputError
from digits.files import relative
from digits.redact import redacted
from digits.runs.folder import RunFolder

Guide = Callable[[DictConfig, Callable[[], Sweeper]], Sweeper]

_made: set[str] = set()
_claimed: dict[Path, ExitStack] = {}


def name_folder(outputs_dir: str, name: str) -> str:
    """`new_folder` for the settings paths.outputs_dir and task_name. Raises InputError for what
    would be a folder elsewhere.
    """
    parent = f"{outputs_dir}/{name}"
    if redacted(parent) != parent:
        raise InputError(f"{redacted(parent)}: a folder's name; expected no secret in it")
    check_value("paths.outputs_dir", outputs_dir)
    check_value("task_name", name)
    return new_folder(parent)


def new_folder(parent: str) -> str:
    """A folder under `parent`, named after the time and made here: no other run can have it."""
    while True:
        folder = Path(parent) / f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.is_dir():
                raise
        else:
            _made.add(str(folder))
            return str(folder)


@contextmanager
def taken_back_if_refused(folder: str) -> Iterator[None]:
    """Removes `folder`, where `new_folder` made it, when an InputError passes."""
    try:
        yield
    except InputError:
        if folder in map(os.path.abspath, _made):
            with suppress(OSError):  # a file that came into it meanwhile
                os.rmdir(folder)
        raise


@contextmanager
def before_folders_are_made(
    look: Callable[[DictConfig], None],
    guide: Guide,
) -> Iterator[None]:
    """Calls `look` with each job's settings once its folder is known, before Hydra makes it or
    writes into it; `guide` with a sweep's settings and what makes its sweeper, once its folder has
    been looked at here. (Hydra's callbacks can't refuse: it warns of what they raise, and goes on.)
    """
    set_config, instantiate_sweeper = HydraConfig.set_config, Plugins.instantiate_sweeper

    def looking(self: HydraConfig, cfg: DictConfig) -> None:
        set_config(self, cfg)
        if not OmegaConf.is_missing(cfg.hydra.runtime, "output_dir"):
            look(cfg)

    def looking_at_sweep(self: Plugins, *, config: DictConfig, **options: Any) -> Sweeper:
        given = config.hydra.sweep.dir
        _check_is_named("hydra.sweep.dir", given)
        if config.get("sweep") is None:
            _check_is_new("hydra.sweep.dir", given, RunFolder(given))
        return guide(config, lambda: instantiate_sweeper(self, config=config, **options))

    HydraConfig.set_config = looking  # type: ignore[method-assign]
    Plugins.instantiate_sweeper = looking_at_sweep  # type: ignore[method-assign]
    try:
        yield
    finally:
        while _claimed:  # Hydra did not come as far as the job
            _claimed.popitem()[1].close()
        HydraConfig.set_config = set_config  # type: ignore[method-assign]
        Plugins.instantiate_sweeper = instantiate_sweeper  # type: ignore[method-assign]


def claim(cfg: DictConfig) -> None:
    """Make the folder of the job `cfg`, if need be, and keep others out until the job has `kept`
    it. Raises InputError if it is no folder for this job.
    """
    is_sweep = cfg.hydra.mode == RunMode.MULTIRUN
    key = "hydra.sweep.subdir" if is_sweep else "hydra.run.dir"
    given = str(OmegaConf.select(cfg, key))
    run = RunFolder(cfg.hydra.runtime.output_dir)
    _check_is_named(key, given)
    if cfg.get("resume") and run.path != Path(os.path.abspath(cfg.resume)):
        raise InputError(f"resume={cfg.resume} {key}={given}: expected one of them")
    if not run.path.exists():
        _made.add(str(run.path))
    Path(relative(run.path)).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(run.held())
        if not cfg.get("resume"):
            _check_is_new(key, given, run)
        _claimed[run.path] = stack.pop_all()


@contextmanager
def kept(run: RunFolder) -> Iterator[None]:
    """Around a job. One that a launcher runs in another process keeps others out from here on."""
    with _claimed.pop(run.path, None) or run.held():
        yield


def take_back(run: RunFolder) -> None:
    """Remove the folder of a run that was refused before its first step, if it was made for it."""
    measured = (run.metrics_json, run.metrics_csv, *run.checkpoints.glob("*"))
    if str(run.path) in map(os.path.abspath, _made) and not any(map(Path.exists, measured)):
        shutil.rmtree(run.path, ignore_errors=True)


def _check_is_named(key: str, given: str) -> None:
    """An unset variable of the shell would mean the current folder."""
    if not given.strip():
        raise InputError(f"{key}={given}: expected a folder")


def _check_is_new(key: str, given: str, run: RunFolder) -> None:
    if run.has_run():
        raise InputError(f"{key}={given}: a run is there already; expected a new folder")
