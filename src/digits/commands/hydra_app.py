"""Hydra commands: exit codes, one-line errors, run folders that no two runs share."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from hydra.plugins.sweeper import Sweeper
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from digits import denormals, machine, signals
from digits.commands import (
    environment,
    flags,
    frame,
    job_folders,
    jobs,
    peers,
    processes,
    resume,
    settings,
    suggestions,
    testing,
)
from digits.errors import (
    FULL_ERROR,
    INPUT_IS_WRONG,
    OUR_FAULT,
    DivergedError,
    InputError,
    exit_code,
    one_line,
)
from digits.files import CONFIGS
from digits.imports import look_here_too
from digits.runs import overrides, resolvers
from digits.runs.folder import RunFolder, find

if TYPE_CHECKING:
    from digits.commands.sweeping import Sweep

log = logging.getLogger(__name__)

Task = Callable[[DictConfig], Any]

_codes: list[int] = []  # of errors that were said, and of the jobs of a sweep that failed
_is_command = False  # in this process; a launcher runs jobs in others

environment.watch()
resolvers.register()
OmegaConf.register_new_resolver(  # with a cache, that of a config: so a job elsewhere has it, too
    "new_folder", job_folders.name_folder, replace=True, use_cache=True
)


def entry(config_name: str) -> Callable[[Task], Callable[[], None]]:
    """Make `task` a command that takes configs/<config_name>.yaml and overrides.

    It exits as `frame.code_of` says, errors are one line on stderr; HYDRA_FULL_ERROR=1 brings
    tracebacks back. In a sweep a job that fails is reported and the others go on.
    """

    def decorate(task: Task) -> Callable[[], None]:
        @wraps(task)
        def command() -> None:
            look_here_too()
            logging.raiseExceptions = False  # a log file that can't be written shows no traceback
            if peers.is_one():
                peers.join(task)
            global _is_command
            _is_command = True
            job = _Job(task, config_name, os.environ.get(FULL_ERROR) == "1")
            code = frame.code_of(partial(_run, job), job.say)
            if _codes and code in (0, OUR_FAULT, INPUT_IS_WRONG):
                code = OUR_FAULT if {code, *_codes} - {0, INPUT_IS_WRONG} else INPUT_IS_WRONG
            if code:
                sys.exit(code)

        return command

    return decorate


def run(command: Any, config_name: str, words: Sequence[str]) -> str:
    """The folder of a run of `command` with the command line `words`, for a caller in Python.
    Raises what it raises, but InputError, in one line, for wrong input.
    """
    look_here_too()
    job = _Job(command.__wrapped__, config_name, with_trace=False)
    before = {number: signal.getsignal(number) for number in signals.SIGNALS}
    argv, sys.argv = sys.argv, [config_name, *words]
    try:
        with _logging_restored(), denormals.as_before():
            _say_if_slow()
            _run(job)
        return job.folder
    except Exception as error:
        if isinstance(error, InputError) or exit_code(error) == OUR_FAULT:
            raise
        raise InputError(job.explained(error) or one_line(error)) from error
    finally:
        sys.argv = argv
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def _say_if_slow() -> None:
    if "torch" in sys.modules and not denormals.are_flushed():
        log.warning(
            "torch had computed in this process before: its threads keep denormals, and epochs "
            "take longer and longer; digits.denormals.flush() before that avoids it"
        )


def _run(job: "_Job") -> None:
    """One call of a command: a run, a sweep, or a question to Hydra such as --help."""
    _codes.clear()
    HydraConfig.instance().cfg = None  # of a command before, in one process
    given = sys.argv
    try:
        parsed = flags.of_hydra(given[1:])
        rewritten = {"train": _of_train, "eval": testing.arguments}[job.config_name]
        sys.argv = [given[0], *rewritten(given[1:])]
        with (
            _environment_restored(),
            peers.writing_nothing(),
            job_folders.before_folders_are_made(_claim, partial(_guide, job)),
            jobs.counted() as ran,
        ):
            os.environ[FULL_ERROR] = "1"  # Hydra then raises: it would print and exit with 1
            hydra.main(str(CONFIGS), job.config_name, "1.3")(wraps(job.task)(job))()
        if job.sweep:
            _codes.extend(job.sweep.codes)
        if not (ran or (job.sweep and job.sweep.count)):
            flags.check_is_question(parsed)
    finally:
        sys.argv = given


def _of_train(given: Sequence[str]) -> list[str]:
    if any(overrides.key(word) == "sweep" for word in given):
        from digits.commands import sweep_words

        given = sweep_words.arguments(given)
    return resume.arguments(given)


def _guide(job: "_Job", config: DictConfig, make: Callable[[], Sweeper]) -> Sweeper:
    from digits.commands.sweeping import Sweep

    job.sweep = Sweep(job.config_name, config, sys.argv[1:])
    return job.sweep.guide(make())


def _claim(cfg: DictConfig) -> None:
    """Before anything is written. A sweep's job is refused later, as one of many."""
    if cfg.hydra.mode != RunMode.MULTIRUN:
        with job_folders.taken_back_if_refused(cfg.hydra.runtime.output_dir):
            _check(_as_in_the_job(cfg))
    if not machine.rank():
        job_folders.claim(cfg)


class _Job:
    """The task on one job's settings; a sweep has several. A launcher may send it, pickled, to
    another process.
    """

    def __init__(self, task: Task, config_name: str, with_trace: bool) -> None:
        self.task, self.config_name, self.with_trace = task, config_name, with_trace
        self.folder = ""  # of the last run
        self.sweep: Sweep | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"sweep": None}

    def __call__(self, cfg: DictConfig) -> Any:
        self.folder = HydraConfig.get().runtime.output_dir
        run = RunFolder(self.folder)
        look_here_too()
        signals.listen()
        with _environment_restored(), job_folders.kept(run):
            try:
                result = self._result(cfg, run)
                if cfg.get("resume") and not machine.rank():
                    run.settle()
                run.end(None, result)
                return result
            except BaseException as error:
                cause = _cause(error)
                with suppress(OSError):  # the error is the news
                    run.end(cause)
                if isinstance(cause, KeyboardInterrupt) and not self.sweep:
                    print(resume.how_to_go_on(cfg), file=sys.stderr)
                elif isinstance(cause, Exception):
                    log.debug(self.say(cause))  # into the run's log file only
                    if _is_refusal(cause) and not cfg.get("resume"):
                        job_folders.take_back(run)
                if isinstance(cause, signals.Stopped) and not _is_command:
                    sys.exit(cause.exit_code)  # nobody else here would
                if cause is error:
                    raise
                raise cause from None

    def _result(self, cfg: DictConfig, run: RunFolder) -> Any:
        if not (cfg.get("resume") or machine.rank()):
            run.begin()
        if drawn := cfg.seed is None:
            cfg.seed = settings.drawn_seed()
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            _check(cfg)
        if cfg.ckpt_path is not None:  # once: another run may be the latest when a peer looks
            cfg.ckpt_path = str(find(cfg.ckpt_path, cfg.paths.outputs_dir))
        if drawn and not cfg.get("resume"):
            overrides.record(cfg)
        peers.tell(cfg)  # where Lightning starts some, for DDP
        return self.task(cfg)

    def say(self, error: Exception) -> str:
        what = self.explained(error) or one_line(error)
        said = frame.say(error, f"{_job_name()}{what}", self.with_trace)
        _codes.append(exit_code(error))
        return said

    def explained(self, error: Exception) -> str | None:
        if not isinstance(error, ConfigCompositionException):
            return None
        parsed = flags.of_hydra(sys.argv[1:])
        folders = [str(CONFIGS), *filter(None, [parsed.config_dir])]
        return suggestions.explain(error, folders, self.config_name, parsed.overrides)


def _is_refusal(error: Exception) -> bool:
    """Of what was asked for. A sweep's job keeps its folder, which tells of it."""
    is_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    happened = isinstance(error, OSError | DivergedError)
    return exit_code(error) == INPUT_IS_WRONG and not (is_sweep or happened)


def _cause(end: BaseException) -> BaseException:
    """Of Ctrl+C, Lightning makes exit(1)."""
    is_exit = isinstance(end, SystemExit) and isinstance(end.__context__, KeyboardInterrupt)
    return end.__context__ or end if is_exit else end


def _as_in_the_job(cfg: DictConfig) -> DictConfig:
    """Without Hydra's settings, and with a seed, which is drawn there."""
    copy = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    if copy.seed is None and not machine.processes():
        copy.seed = 0
    return copy


def _check(cfg: DictConfig) -> None:
    settings.check(cfg)
    environment.check_names(cfg)
    processes.check(cfg)
    if cfg.seed is None and machine.processes() > 1:
        raise InputError("seed=null: each process would draw its own; expected a whole number")


def _job_name() -> str:
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return ""
    return f"job {HydraConfig.get().job.num} ({HydraConfig.get().job.override_dirname}): "


@contextmanager
def _logging_restored() -> Iterator[None]:
    """Without Hydra's handlers afterwards: one writes into the run's log file."""
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


@contextmanager
def _environment_restored() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
