"""Around Hydra: exit codes, one-line errors, run folders of one's own."""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from digits import machine, signals
from digits.commands import (
    environment,
    flags,
    job_folders,
    jobs,
    peers,
    processes,
    settings,
    suggestions,
)
from digits.errors import (
    FULL_ERROR,
    OUR_FAULT,
    InputError,
    exit_code,
    one_line,
    peer_is_gone,
)
from digits.files import ROOT
from digits.redact import redacted
from digits.runs import folder, resume

log = logging.getLogger(__name__)

CONFIGS = str(ROOT / "configs")

Task = Callable[[DictConfig], Any]

environment.watch()
OmegaConf.register_new_resolver("root", lambda: str(ROOT), replace=True)
OmegaConf.register_new_resolver("new_folder", folder.name_folder, replace=True)


def entry(config_name: str) -> Callable[[Task], Callable[[], None]]:
    """Make `task` a command that takes configs/<config_name>.yaml and overrides.

    It exits with 0 done; 1 our fault; 2 wrong input, said in one line on stderr; 130 Ctrl+C; 143
    SIGTERM; 138 SIGUSR1. HYDRA_FULL_ERROR=1 brings tracebacks back. In a sweep a job that fails is
    reported and the others go on.
    """

    def decorate(task: Task) -> Callable[[], None]:
        @wraps(task)
        def command() -> None:
            logging.raiseExceptions = False  # a log file that can't be written shows no traceback
            signals.listen()
            if peers.is_one():
                peers.join(task)
            else:
                _Command(task, config_name).run()

        return command

    return decorate


class _Command:
    """One call of a command: a run, a sweep, or a question to Hydra such as --help."""

    def __init__(self, task: Task, config_name: str) -> None:
        self.task, self.config_name = task, config_name
        self.tracebacks = os.environ.get(FULL_ERROR) == "1"
        self.failed: list[Exception] = []
        self.folder = ExitStack()  # what keeps others out of the job's

    def run(self) -> None:
        folder.new_folder.cache_clear()
        HydraConfig.instance().cfg = None  # of a command before, in one process
        given = sys.argv
        job = wraps(self.task)(lambda cfg: self.job(cfg))  # Hydra names the job after the file
        try:
            parsed = flags.of_hydra(given[1:])
            if self.config_name == "train":
                sys.argv = [given[0], *resume.arguments(given[1:], str(ROOT / "outputs"))]
            with (
                _environment_restored(),
                peers.writing_nothing(),
                job_folders.before_folders_are_made(self.begin),
                self.folder,
                jobs.counted() as ran,
            ):
                os.environ[FULL_ERROR] = "1"  # Hydra then raises: it would print and exit with 1
                hydra.main(CONFIGS, self.config_name, "1.3")(job)()
            if not ran:
                flags.check_is_question(parsed)
        except signals.Stopped as stopped:
            sys.exit(stopped.exit_code)
        except Exception as error:
            if error not in self.failed:  # it comes from Hydra, or from a launcher's other process
                self.report(error)
            sys.exit(min(map(exit_code, self.failed)))  # 1, our fault, is the graver
        finally:
            sys.argv = given

    def begin(self, cfg: DictConfig) -> None:
        """Before anything is written. A sweep's job is refused later, as one of many."""
        if cfg.hydra.mode != RunMode.MULTIRUN:
            with folder.taken_back_if_refused(cfg.hydra.runtime.output_dir):
                _check(_as_in_the_job(cfg))
        if not machine.rank():
            self.folder.enter_context(job_folders.claimed(cfg))

    def job(self, cfg: DictConfig) -> Any:
        """The task on one job's settings; a sweep has several."""
        try:
            with _environment_restored(), self.folder:
                drawn = settings.draw_seed(cfg)
                if HydraConfig.get().mode == RunMode.MULTIRUN:
                    _check(cfg)
                _resolve_checkpoint(cfg)
                if drawn and not cfg.get("resume"):
                    resume.record(cfg)
                peers.tell(cfg)  # where Lightning starts some, for DDP
                return self.task(cfg)
        except (KeyboardInterrupt, SystemExit) as end:
            cause = end.__context__ if isinstance(end, SystemExit) else end
            if not isinstance(cause, KeyboardInterrupt):  # of which Lightning makes exit(1)
                raise
            print(resume.how_to_go_on(cfg), file=sys.stderr)
            raise cause from None
        except Exception as error:
            log.debug(self.report(error))  # into the run's log file only
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise  # the sweep goes on and fails at its end
            sys.exit(exit_code(error))

    def report(self, error: Exception) -> str:
        """Says it, and gives all that there is to say."""
        self.failed.append(error)
        is_bug = exit_code(error) == OUR_FAULT and not peer_is_gone(error)
        trace = redacted("".join(traceback.format_exception(error)))
        what = suggestions.explain(error, CONFIGS, self.config_name) or one_line(error)
        text = redacted(f"error: {_job_name()}{what}")
        print(trace + text if self.tracebacks or is_bug else text, file=sys.stderr)
        return f"{text}\n{trace}"


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


def _resolve_checkpoint(cfg: DictConfig) -> None:
    """Here, once: another run may be the latest by the time this one's other processes look."""
    if cfg.ckpt_path is not None and not cfg.get("resume"):
        cfg.ckpt_path = str(folder.find(cfg.ckpt_path, cfg.paths.outputs_dir))


def _job_name() -> str:
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return ""
    return f"job {HydraConfig.get().job.num} ({HydraConfig.get().job.override_dirname}): "


@contextmanager
def _environment_restored() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
