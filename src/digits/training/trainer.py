"""The Trainer of a run, with its callbacks and loggers."""

import copy
import inspect
import logging
import re
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import lightning as L
import torch.distributed as dist
from hydra.utils import instantiate
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    Checkpoint,
    LearningRateFinder,
    ProgressBar,
)
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from omegaconf import DictConfig, OmegaConf, open_dict

from digits.errors import HINT, InputError, OwnClassError, blaming, happened
from digits.runs import contents, monitors, recorded
from digits.runs.folder import RunFolder
from digits.runs.start import Start
from digits.text import flat
from digits.training import parts, rendezvous, results, step
from digits.training.exact_state import ExactState
from digits.training.logs import SettingsLogged
from digits.training.pauses import Pauses
from digits.training.saving import AtomicCheckpointIO, OwnCheckpoints
from digits.training.scores import BestScores, Divergence, Scored

log = logging.getLogger(__name__)

NOISE = (
    "Experiment logs directory .* exists and is not empty",  # the run folder, which has .hydra
    "`isinstance.treespec, LeafSpec.` is deprecated",  # Lightning 2.6 on torch 2.15
    "Total length of `list` across ranks is zero",  # no validation is a choice: data.val_size=0
    "Be aware that when using `ckpt_path`, callbacks used to create",  # a test needs none of them
    "The dirpath has changed from",  # the run goes on elsewhere, or was moved: BestCheckpoint
    "Checkpoint directory .* exists and is not empty",  # the run goes on
    "It is recommended to use `self.log.*sync_dist=True",  # Score has reduced what is logged
    "You defined a `validation_step` but have no `val_dataloader`",  # this is a choice, too
    "The '.*dataloader' does not have many workers",  # data in memory needs none
    "You are trying to `self.log",  # barebones is a choice
    "The `srun` command is available on your system but is not used",
    "The number of training batches .* is smaller than the logging interval",
)
MISCONFIGURED = "MisconfigurationException"  # an error of Lightning's, whose import is slow
KINDS: dict[str, type] = {"callbacks": L.Callback, "logger": Logger}
OURS = ("oversubscribe", "enable_checkpointing", "enable_progress_bar")  # not for the Trainer
NOT_BARE = ("log_every_n_steps", "enable_model_summary", "num_sanity_val_steps", "fast_dev_run",
            "detect_anomaly", "profiler")  # fmt: skip
RESTORING = {"_restore_modules_and_callbacks", "restore_training_state"}  # functions of Lightning's
WANTS_CHANNELS = re.compile(r"to have \d+ channels, but got|expected 4D input|expected 4, got 3")
PRECISIONS = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}


@contextmanager
def make_trainer(cfg: DictConfig, begin: Start) -> Iterator[L.Trainer]:
    """Make the Trainer of a run that begins at `begin`. The block ends its process group, since a
    sweep's next job may need its own.
    """
    quieten_lightning()
    is_bare = bool(cfg.trainer.get("barebones"))
    callbacks = [] if is_bare else _callbacks(cfg)
    for_lightning = _for_lightning(cfg.trainer)
    if cfg.get("train") and not is_bare:
        waiting = [(name, str(score), needed) for name, score, _, needed in monitors.awaited(cfg)]
        is_vals = any(score.startswith("val") for _, score, _ in waiting)
        if is_vals and cfg.model.get("_target_") != contents.OURS and not begin.content:
            for_lightning["num_sanity_val_steps"] = for_lightning.num_sanity_val_steps or 1
        limits = {f"trainer.{name}": cfg.trainer[name] for name in ("max_epochs", "max_steps")}
        callbacks = [
            results.Awaited(waiting),  # before those that wait, too
            BestScores(),  # first: other callbacks use the best scores
            *callbacks,
            Divergence(),
            SettingsLogged(begin.settings | limits, partial(_texts, cfg)),
            OwnCheckpoints(RunFolder(cfg.paths.output_dir).last.parent),
            ExactState(begin.settings),
            Pauses(),
            Scored(),
        ]
    make = instantiate(for_lightning, _convert_="all", _partial_=True)
    strategy = rendezvous.strategy(cfg.trainer.get("strategy"))
    loggers = [] if is_bare else _instantiated("logger", cfg.get("logger"))
    loggers.sort(key=lambda one: not isinstance(one, TensorBoardLogger))  # first: `self.logger`
    with _blaming_the_settings():
        trainer: L.Trainer = make(
            strategy=strategy,
            callbacks=callbacks,
            logger=None if is_bare else loggers,
            plugins=AtomicCheckpointIO(begin),
            enable_checkpointing=any(isinstance(c, Checkpoint) for c in callbacks),
            enable_progress_bar=any(isinstance(c, ProgressBar) for c in callbacks),
        )
    if not (cfg.data.get("val_size") or cfg.data.get("folds")):  # else the warning matters
        warnings.filterwarnings("ignore", message="You passed in a `val_dataloader` but have no")
    if cfg.get("train"):
        step.install(trainer)
    try:
        yield trainer
        _end(trainer, succeeded=True)
    except Exception as error:
        _end(trainer, succeeded=False)
        if blamed := _blamed(error, trainer):
            raise blamed from error
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _callbacks(cfg: DictConfig) -> list[L.Callback]:
    """Make the callbacks of the settings, but for kinds that trainer.enable_... switches off."""
    kinds = {"enable_checkpointing": Checkpoint, "enable_progress_bar": ProgressBar}
    off = tuple(kind for name, kind in kinds.items() if cfg.trainer.get(name) is False)
    return [c for c in _instantiated("callbacks", cfg.get("callbacks")) if not isinstance(c, off)]


def _texts(cfg: DictConfig) -> dict[str, str]:
    """Return the run's command and settings as text for people."""
    return {"run/command": recorded.command(), "run/settings": recorded.settings_text(cfg)}


@contextmanager
def _blaming_the_settings() -> Iterator[None]:
    """Raises InputError for settings that the Trainer refuses."""
    try:
        with blaming("trainer"):
            yield
    except Exception as error:
        if isinstance(error, ImportError) or type(error).__name__ == MISCONFIGURED:
            raise InputError(f"trainer: {flat(str(error))}") from error
        raise


def _end(trainer: L.Trainer, succeeded: bool) -> None:
    for logger in trainer.loggers:
        if end := getattr(logger, "end", None):
            with suppress(OSError):  # a full disk is reported already
                end(succeeded)


def _blamed(error: Exception, trainer: L.Trainer) -> InputError | None:
    """Return what to say of an error of Lightning's or torch's: while a checkpoint is restored or
    the data set up, or of a model that is somebody's own.
    """
    if isinstance(error, InputError | OSError):
        return None
    data = trainer.datamodule  # type: ignore[attr-defined]
    if WANTS_CHANNELS.search(str(error)) and getattr(data, "channels", 1) is None:
        reason = flat(str(error))[:200]
        wanted = "images are (B, H, W): data.channels=1 makes them (B, 1, H, W)"
        return OwnClassError(f"model: {reason}; {wanted}")
    if happened(error):
        return None
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    functions = [frame.f_code.co_name for frame in frames]
    modules = [str(frame.f_globals["__name__"]) for frame in frames]
    is_misconfigured = type(error).__name__ == MISCONFIGURED
    if not is_misconfigured and set(functions) & RESTORING:
        return InputError(f"ckpt_path={trainer.ckpt_path!s}: damaged: {flat(repr(error))[:200]}")
    if not is_misconfigured and functions[-1] == "setup_data":
        return InputError(f"trainer: {flat(str(error))}")
    ours = {name for name in modules if name.startswith("digits.")} - {__name__, step.__name__}
    kind = type(trainer.lightning_module)
    is_of_class = not ours and (not is_misconfigured or modules[-1].endswith("_validator"))
    if is_of_class and kind.__module__.partition(".")[0] not in ("digits", "builtins"):
        name = f"{kind.__module__}.{kind.__qualname__} ({inspect.getsourcefile(kind)})"
        return OwnClassError(f"model: {name}: {flat(str(error))}{HINT}")
    return None


def _for_lightning(trainer: DictConfig) -> DictConfig:
    """Return the settings of `trainer` that Lightning knows."""
    for_lightning = copy.deepcopy(trainer)
    with open_dict(for_lightning):
        for name in (*OURS, *(NOT_BARE if trainer.get("barebones") else ())):
            for_lightning.pop(name, None)
        precision = str(trainer.get("precision"))
        for_lightning.precision = PRECISIONS.get(precision, precision)
    return for_lightning


def _instantiated(group: str, nodes: DictConfig | None) -> list[Any]:
    """Make the objects of a group; null switches one off. Raises InputError for other kinds."""
    made = []
    for name, node in (nodes or {}).items():
        if node is not None and (not OmegaConf.is_dict(node) or "_target_" not in node):
            raise InputError(
                f"{group}.{name!s}: expected settings with a _target_, or null for none"
            )
        if node is not None:
            made.append(instantiate(node))
            parts.check_kind(f"{group}.{name!s}", made[-1], KINDS[group])
            if isinstance(made[-1], BatchSizeFinder | LearningRateFinder):
                raise InputError(
                    f"{group}.{name!s}: changes a setting during the fit, which the run's record "
                    "would not have; expected callbacks=lr_finder, or data.batch_size=32,64 with -m"
                )
    return made


def quieten_lightning() -> None:
    """Silence Lightning's tips and its list of settings; send its warnings where the run's go."""
    logging.getLogger("lightning").handlers.clear()
    for name in ("lightning.pytorch", "lightning.fabric"):  # their import sets INFO
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # it reports at INFO
    for message in NOISE:
        warnings.filterwarnings("ignore", message=f"(?s){message}")  # a path may have a line break
    threading.excepthook = _thread_failed


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """Print no traceback if a full disk stops TensorBoard's thread: the run reports the disk."""
    if not isinstance(failure.exc_value, OSError):
        threading.__excepthook__(failure)
