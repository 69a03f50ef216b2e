"""The folder that a run may write into is checked, made and locked before Hydra writes there."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from digits import machine
from digits.commands import processes, settings
from digits.errors import InputError, exit_code
from digits.files import relative
from digits.runs import configs
from digits.runs.folder import RunFolder
from digits.runs.words import quoted
from digits.text import without_passwords

BY_TIME = "%Y-%m-%d_%H-%M-%S-%f"
LAUNCHERS, SWEEPERS = ("local", "basic", "slurm", "ray"), ("grid", "optuna")

_held: dict[Path, ExitStack] = {}
_made: set[Path] = set()


def refusing(method: Callable[..., None]) -> Callable[..., None]:
    """Let an error of a callback end the command: Hydra goes on after any but a SystemExit."""

    @wraps(method)
    def refuses(*given: Any, **named: Any) -> None:
        try:
            method(*given, **named)
        except Exception as error:
            raise SystemExit(exit_code(error)) from error

    return refuses


class Look(Callback):
    """Checks a command's settings, then makes its folder and keeps other processes out of it."""

    @refusing
    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        with configs.known_to_hydra(config):
            run, given = _looked_at(config)
        if machine.rank():
            return
        is_resumed = config.get("resume") is not None
        if is_resumed and run.path != Path(os.path.abspath(config.resume)):
            raise InputError(f"resume={config.resume} hydra.run.dir={given}: expected one of them")
        if _is_by_time(config.hydra.run):
            run = RunFolder(new_folder(run.path.parent))
            _set(config, "run.dir", run)
        hold(run, None if is_resumed else f"hydra.run.dir={given}")

    @refusing
    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        _check_plugin(config, "hydra/sweeper", SWEEPERS)
        _check_plugin(config, "hydra/launcher", LAUNCHERS)
        given = str(config.hydra.sweep.dir)
        for name in ("paths.outputs_dir", "sweep", "replicates"):
            settings.check_value(name, OmegaConf.select(config, name))
        _check_is_named("hydra.sweep.dir", given)
        run = RunFolder(os.path.abspath(given))
        if config.get("sweep") is None:
            _check_is_new(f"hydra.sweep.dir={given}", run)
        if config.get("sweep") is None and _is_by_time(config.hydra.sweep):
            run = RunFolder(new_folder(run.path.parent))
        _set(config, "sweep.dir", run)
        with read_write(config), open_dict(config):  # jobs here compose their settings anew
            hydras = [*config.hydra.overrides.hydra, f"hydra.sweep.dir={quoted(run.path)}"]
            config.hydra.overrides.hydra = list(map(without_passwords, hydras))


def _looked_at(config: DictConfig) -> tuple[RunFolder, str]:
    """Return a run's folder, and its name as given. Raises InputError for a wrong setting."""
    settings.check_value("paths.outputs_dir", config.paths.outputs_dir)
    given = str(config.hydra.run.dir)
    run = RunFolder(os.path.abspath(given))
    _set(config, "runtime.output_dir", run)
    with configs.known_to_hydra(config):  # which now has the run's folder
        check(_as_in_the_run(config))
    _check_is_named("hydra.run.dir", given)
    return run, given


def _set(config: DictConfig, name: str, run: RunFolder) -> None:
    group, _, last = name.rpartition(".")
    node = OmegaConf.select(config.hydra, group)
    with read_write(node), open_dict(node):
        node[last] = str(run.path)


def check(cfg: DictConfig) -> None:
    """Raises InputError for the first setting of a run that is wrong."""
    settings.check(cfg)
    processes.check(cfg)
    if cfg.seed is None and machine.processes() > 1:
        raise InputError("seed=null: each process would draw its own; expected a whole number")


def new_folder(parent: Path) -> Path:
    """Make and return a folder under `parent` that is named after the time: no other run has it."""
    while True:
        folder = parent / f"{datetime.now():{BY_TIME}}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.is_dir():
                raise
        else:
            _made.add(folder)
            return folder


def hold(run: RunFolder, new: str | None) -> None:
    """Keep other processes out of the folder until the run has `kept` it. `new` is the setting that
    names a new folder: raises InputError for it if a run is there already.
    """
    if not run.path.exists():
        _made.add(run.path)
    Path(relative(run.path)).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(run.held())
        if new:
            _check_is_new(new, run)
        _held[run.path] = stack.pop_all()


def kept(run: RunFolder) -> AbstractContextManager[Any]:
    """Keep other processes out of a run's folder while it lasts, by the lock of `hold` if any."""
    return _held.pop(run.path, None) or run.held()


@contextmanager
def released() -> Iterator[None]:
    """After a command, unlock the folders that no run has `kept`, and remove the empty new ones."""
    try:
        yield
    finally:
        while _held:
            _held.popitem()[1].close()
        while _made:
            with suppress(OSError):  # it is not empty
                _made.pop().rmdir()


def remove_refused(run: RunFolder) -> None:
    """Remove the folder that was made for a run if the run was refused before its first step."""
    if run.path in _made and not run.has_measured():
        shutil.rmtree(run.path, ignore_errors=True)


def _is_by_time(group: DictConfig) -> bool:
    """Whether the clock, not the user, names the folder."""
    return f"${{now:{BY_TIME}}}" in str(OmegaConf.to_container(group, resolve=False)["dir"])  # type: ignore[index, call-overload]


def _check_plugin(config: DictConfig, group: str, known: tuple[str, ...]) -> None:
    """Raises InputError for another plugin: it could neither resume a sweep nor rank its jobs."""
    chosen = config.hydra.runtime.choices[group]
    if chosen not in known:
        raise InputError(f"{group}={chosen}: expected one of {', '.join(known)}")


def _check_is_named(name: str, given: str) -> None:
    """Raises InputError for no name: an unset shell variable would name the current folder."""
    if not given.strip():
        raise InputError(f"{name}={given}: expected a folder")


def _check_is_new(given: str, run: RunFolder) -> None:
    if run.has_run():
        raise InputError(f"{given}: a run is there already; expected a new folder")


def _as_in_the_run(config: DictConfig) -> DictConfig:
    """Return the settings as the run has them: without Hydra's, and with a drawn seed."""
    copy = OmegaConf.masked_copy(config, [str(name) for name in config if name != "hydra"])
    if copy.seed is None and not machine.processes():
        copy.seed = 0
    return copy
