"""The frame of a command that takes settings by @hydra.main: train and eval."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial, wraps
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from digits import machine, signals
from digits.commands import (
    folders,
    going_on,
    newest,
    processes,
    settings,
    suggestions,
)
from digits.errors import (
    FULL_ERROR,
    INPUT_IS_WRONG,
    DivergedError,
    InputError,
    code_of,
    exit_code,
    happened,
    one_line,
    trace,
    where,
)
from digits.files import CONFIGS
from digits.imports import look_here_too
from digits.runs import configs, recorded, status
from digits.runs.folder import RunFolder
from digits.runs.words import Words

log = logging.getLogger(__name__)

Task = Callable[[DictConfig], Any]

settings.watch()
configs.register()


def command(name: str) -> Callable[[Task], Callable[[], None]]:
    """Make a task a command that takes the settings of configs/<name>.yaml, and exits as
    errors.code_of says. In a sweep it reports a job that fails, and the others go on.
    """

    def decorate(task: Task) -> Callable[[], None]:
        run = hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=name)(_run(task))

        @wraps(task)
        def main() -> None:
            logging.raiseExceptions = False  # no traceback if a log file can't be written
            if processes.is_one():
                _look_around(Words.parse(sys.argv[1:]))
                processes.join(task)
            call, explain = partial(_call, name, run), partial(_explain, name)
            code = code_of(call, explain, signals.NOTHING_BEGAN)
            if code:
                sys.exit(code)

        main.call = partial(_call, name, run)  # type: ignore[attr-defined]
        return main

    return decorate


def run_in_python(main: Any, given: Sequence[str]) -> str:
    """Run the command `main` with the words `given`, and return the run's folder. Raises what the
    command raises, or a one-line InputError if the input is wrong.
    """
    before = {number: signal.getsignal(number) for number in signals.SIGNALS}
    argv, sys.argv = sys.argv, ["train", *given]
    try:
        with _logging_restored():
            main.call()
        return _Last.folder
    except (SystemExit, Exception) as error:
        cause = error.__cause__ if isinstance(error, SystemExit) else error
        if not isinstance(cause, Exception):
            raise
        if isinstance(cause, InputError) or exit_code(cause) != INPUT_IS_WRONG or where(cause):
            raise cause from cause.__cause__
        raise InputError(_explain("train", cause) or one_line(cause)) from cause
    finally:
        sys.argv = argv
        signals.forget()
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


class _Last:
    folder = ""  # of the last run in this process


def _explain(name: str, error: Exception) -> str | None:
    """Return what to say of a setting that does not exist; None for any other error."""
    if isinstance(error, InputError):
        return None
    words = Words.parse(sys.argv[1:])
    return suggestions.explain(error, [str(CONFIGS), *words.config_dirs()], name, words.overrides)


def _call(name: str, run: Callable[[], None]) -> None:
    """Call a command once: for a run, a sweep, or a question to Hydra such as --help."""
    given = sys.argv
    words = going_on.rewritten(name, Words.parse(given[1:]))
    _look_around(words)
    with (
        machine.environment_restored(),
        processes.writing_nothing() as nowhere,
        folders.released(),
        configs.own_first(words.config_dirs()),
    ):
        sys.argv = [given[0], *words.argv(), *nowhere]
        os.environ[FULL_ERROR] = "1"  # lets Hydra raise; else it prints, and exits with 1
        try:
            run()
        finally:
            sys.argv = given


def _look_around(words: Words) -> None:
    """Let Python find a user's own classes, in the current folder or beside the user's configs."""
    look_here_too(*(str(Path(folder).parent) for folder in words.config_dirs()))


def _run(task: Task) -> Task:
    """Run the task in a run's folder, and record there what becomes of it. An error comes out as
    the cause of a SystemExit, a signal as itself.
    """

    @wraps(task)
    def run(cfg: DictConfig) -> Any:
        _Last.folder = HydraConfig.get().runtime.output_dir
        folder = RunFolder(_Last.folder)
        signals.raise_again()  # Hydra may have lost one while it composed the settings
        signals.listen()
        with machine.environment_restored(), folders.kept(folder):
            try:
                return _result(task, cfg, folder)
            except BaseException as error:
                cause = _cause(error)
                with suppress(OSError):  # the task's error matters more
                    status.end(folder.path, cause)
                if not isinstance(cause, Exception):
                    _say_how_to_go_on(cfg, cause)
                    raise cause from None
                log.debug("%s", trace(cause))  # only the run's log file gets it
                if _is_refusal(cause) and not cfg.get("resume"):
                    folders.remove_refused(folder)
                raise SystemExit(exit_code(cause)) from cause

    return run


def _result(task: Task, cfg: DictConfig, folder: RunFolder) -> Any:
    is_resumed, is_first = cfg.get("resume") is not None, not machine.rank()
    if not is_resumed and is_first:
        status.begin(folder.path)
    if drawn := cfg.seed is None:
        cfg.seed = settings.drawn_seed()
    if _is_sweep():
        folders.check(cfg)
    if cfg.ckpt_path is not None:  # look once: a peer may find a newer run
        cfg.ckpt_path = str(newest.checkpoint(cfg.ckpt_path, cfg.paths.outputs_dir))
    if cfg.get("weights") and not is_resumed:
        cfg.weights = str(newest.checkpoint(cfg.weights, cfg.paths.outputs_dir, "weights"))
    if drawn and not is_resumed:
        recorded.record(cfg, HydraConfig.get().overrides.task)
    processes.tell(cfg)  # for the processes that Lightning starts for DDP
    with _recorded_if_accepted(folder):
        result = task(cfg)
    if is_resumed and is_first:
        status.settle(folder.path)
    status.end(folder.path, None, result)
    return result


@contextmanager
def _recorded_if_accepted(folder: RunFolder) -> Iterator[None]:
    """Put back the record of the run if it is refused: else the next resume is refused as well."""
    files = [path for path in (folder.overrides, folder.config) if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    try:
        yield
    except Exception as error:
        if _is_refusal(error):
            for path, content in before.items():
                path.write_bytes(content)
        raise


def _is_sweep() -> bool:
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def _is_refusal(error: BaseException) -> bool:
    """Whether a run was refused for its input. A sweep's job is not: its folder must tell of it."""
    is_later = isinstance(error, OSError | DivergedError) or happened(error)
    return exit_code(error) == INPUT_IS_WRONG and not (_is_sweep() or is_later)


def _cause(end: BaseException) -> BaseException:
    """Return the Ctrl+C that Lightning has turned into exit(1), or else `end` itself."""
    is_exit = isinstance(end, SystemExit) and isinstance(end.__context__, KeyboardInterrupt)
    return end.__context__ or end if is_exit else end


def _say_how_to_go_on(cfg: DictConfig, end: BaseException) -> None:
    if not _is_sweep():
        print(going_on.after_stop(cfg), file=sys.stderr)
        if isinstance(end, signals.Stopped):
            end.is_said = True


@contextmanager
def _logging_restored() -> Iterator[None]:
    """Remove Hydra's log handlers after the block: one of them writes into the run's log file."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        for handler in root.handlers:
            if handler not in handlers:
                handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
