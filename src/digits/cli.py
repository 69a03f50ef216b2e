"""Around Hydra: exit codes, one-line errors, run folders of one's own. No torch here, for
`--help`'s sake.
"""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write

from digits import (
    claims,
    environment,
    flags,
    jobs,
    launcher,
    outputs,
    processes,
    redact,
    resume,
    settings,
    stop,
    unknown,
)
from digits.errors import (
    FULL_ERROR,
    OUR_FAULT,
    InputError,
    exit_code,
    one_line,
    peer_is_gone,
    shown,
)
from digits.parent import end_with_parent
from digits.redact import redacted

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
CONFIGS = str(ROOT / "configs")
RUN_CONFIG = "DIGITS_RUN_CONFIG"  # how a run's other processes (DDP) learn its settings and folder
RUN_SECRETS = "DIGITS_RUN_SECRETS"  # and which variables of the environment are secrets in them
RUN_PROCESS = "DIGITS_RUN_PROCESS"  # the id of the process that starts them

Task = Callable[[DictConfig], Any]

environment.watch()
OmegaConf.register_new_resolver("root", lambda: str(ROOT), replace=True)
OmegaConf.register_new_resolver("new_folder", outputs.name_folder, replace=True)


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
            stop.listen()
            if os.environ.get("LOCAL_RANK", "0") != "0" and RUN_CONFIG in os.environ:
                _join(task)
            else:
                _Command(task, config_name).run()

        return command

    return decorate


def _join(task: Task) -> None:
    """The part of one more process in a run (DDP); the first says what is wrong."""
    end_with_parent(int(os.environ[RUN_PROCESS]))
    logging.disable(logging.WARNING)
    redact.remember(os.environ[RUN_SECRETS].split())
    cfg = OmegaConf.create(os.environ[RUN_CONFIG])
    assert isinstance(cfg, DictConfig)
    try:
        task(cfg)
    except stop.Stopped as stopped:
        sys.exit(stopped.exit_code)
    except Exception as error:
        if exit_code(error) == OUR_FAULT and not peer_is_gone(error):
            print(redacted("".join(traceback.format_exception(error))), file=sys.stderr)
        sys.exit(exit_code(error))


class _Command:
    """One call of a command: a run, a sweep, or a question to Hydra such as --help."""

    def __init__(self, task: Task, config_name: str) -> None:
        self.task, self.config_name = task, config_name
        self.tracebacks = os.environ.get(FULL_ERROR) == "1"
        self.failed: list[Exception] = []
        self.folder = ExitStack()  # what keeps others out of the job's

    def run(self) -> None:
        outputs.new_folder.cache_clear()
        HydraConfig.instance().cfg = None  # of a command before, in one process
        given = sys.argv
        job = wraps(self.task)(lambda cfg: self.job(cfg))  # Hydra names the job after the file
        try:
            parsed = flags.of_hydra(given[1:])
            if self.config_name == "train":
                sys.argv = [given[0], *resume.arguments(given[1:], str(ROOT / "outputs"))]
            with (
                _environment_restored(),
                _writing_nothing_but_in_the_first_process(),
                claims.before_folders_are_made(self.begin),
                self.folder,
                jobs.counted() as ran,
            ):
                os.environ[FULL_ERROR] = "1"  # Hydra then raises: it would print and exit with 1
                hydra.main(CONFIGS, self.config_name, "1.3")(job)()
            if not ran:
                flags.check_is_question(parsed)
        except stop.Stopped as stopped:
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
            with outputs.taken_back_if_refused(cfg.hydra.runtime.output_dir):
                _check(_as_in_the_job(cfg))
        if not launcher.rank():
            self.folder.enter_context(claims.claimed(cfg))

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
                _share_with_other_processes(cfg)  # where Lightning starts some, for DDP
                return self.task(cfg)
        except (KeyboardInterrupt, SystemExit) as end:
            cause = end.__context__ if isinstance(end, SystemExit) else end
            if not isinstance(cause, KeyboardInterrupt):  # of which Lightning makes exit(1)
                raise
            print(_how_to_go_on(cfg), file=sys.stderr)
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
        what = unknown.explain(error, CONFIGS, self.config_name) or one_line(error)
        text = redacted(f"error: {_job_name()}{what}")
        print(trace + text if self.tracebacks or is_bug else text, file=sys.stderr)
        return f"{text}\n{trace}"


def _as_in_the_job(cfg: DictConfig) -> DictConfig:
    """Without Hydra's settings, and with a seed, which is drawn there."""
    copy = OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])
    if copy.seed is None and not launcher.processes():
        copy.seed = 0
    return copy


def _check(cfg: DictConfig) -> None:
    settings.check(cfg)
    environment.check_names(cfg)
    processes.check(cfg)
    if cfg.seed is None and launcher.processes() > 1:
        raise InputError("seed=null: each process would draw its own; expected a whole number")


@contextmanager
def _writing_nothing_but_in_the_first_process() -> Iterator[None]:
    """Of those that torchrun or srun starts, the others' folder is one for Hydra's sake alone."""
    if not launcher.rank():
        yield
        return
    logging.disable(logging.WARNING)
    with TemporaryDirectory() as nowhere:
        sys.argv = [*sys.argv, f"hydra.run.dir={nowhere}", "hydra.output_subdir=null"]
        yield


def _resolve_checkpoint(cfg: DictConfig) -> None:
    """Here, once: another run may be the latest by the time this one's other processes look."""
    if cfg.ckpt_path is not None and not cfg.get("resume"):
        cfg.ckpt_path = str(outputs.find(cfg.ckpt_path, cfg.paths.outputs_dir))


def _share_with_other_processes(cfg: DictConfig) -> None:
    """Lightning starts a run's other processes with this environment, and asks Hydra for run.dir as
    it does.
    """
    os.environ[RUN_SECRETS] = " ".join(redact.remembered())
    os.environ[RUN_CONFIG] = OmegaConf.to_yaml(cfg, resolve=True)
    os.environ[RUN_PROCESS] = str(os.getpid())
    hydra_cfg = cast(DictConfig, HydraConfig.get())
    with read_write(hydra_cfg):
        hydra_cfg.run.dir = hydra_cfg.runtime.output_dir


def _job_name() -> str:
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return ""
    return f"job {HydraConfig.get().job.num} ({HydraConfig.get().job.override_dirname}): "


def _how_to_go_on(cfg: DictConfig) -> str:
    folder = Path(cfg.paths.output_dir)
    return (
        f"stopped; go on with resume={shown(str(folder))}"
        if (folder / resume.LAST).is_file()
        else "stopped; nothing was saved yet"
    )


@contextmanager
def _environment_restored() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
