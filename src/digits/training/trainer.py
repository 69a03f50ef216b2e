"""The Trainer of a run, with its callbacks and loggers."""

import copy
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import lightning as L
import torch.distributed as dist
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from omegaconf import DictConfig, OmegaConf, open_dict

from digits.errors import InputError, blaming
from digits.runs import recorded
from digits.runs.start import Start
from digits.text import flat
from digits.training import loop, rendezvous, results
from digits.training.best import BestScores
from digits.training.divergence import Divergence
from digits.training.exact_state import ExactState
from digits.training.logs import SettingsLogged
from digits.training.saving import AtomicCheckpointIO

log = logging.getLogger(__name__)

NOISE = (
    "Experiment logs directory .* exists and is not empty",  # the run folder: .hydra is in it
    "`isinstance.treespec, LeafSpec.` is deprecated",  # Lightning 2.6 on torch 2.15
    "Total length of `list` across ranks is zero",  # no validation is a choice: data.val_size=0
    "Be aware that when using `ckpt_path`, callbacks used to create",  # testing needs none of them
    "The dirpath has changed from",  # a run that goes on elsewhere, or was moved; BestCheckpoint
    "Checkpoint directory .* exists and is not empty",  # a run that goes on
    "It is recommended to use `self.log.*sync_dist=True",  # Score has reduced what is logged
    "You defined a `validation_step` but have no `val_dataloader`",  # a choice, too
    "The '.*dataloader' does not have many workers",  # for data in memory none are best
    "The `srun` command is available on your system but is not used",
    "The number of training batches .* is smaller than the logging interval",
)
PRECISIONS = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}


@contextmanager
def make_trainer(cfg: DictConfig, begin: Start) -> Iterator[L.Trainer]:
    """The Trainer of a run, which begins at `begin`. Its process group ends with it: a sweep's next
    job may need its own.
    """
    quieten_lightning()
    callbacks = _instantiated("callbacks", cfg.get("callbacks"))
    if cfg.get("train"):
        limits = {f"trainer.{name}": cfg.trainer[name] for name in ("max_epochs", "max_steps")}
        callbacks = [
            BestScores(),  # the first: others look at the best ones
            *callbacks,
            results.ObjectiveLogged(cfg.get("optimized_metric")),
            Divergence(),
            SettingsLogged(begin.settings | limits, partial(_texts, cfg)),
            ExactState(begin.settings),
        ]
    make = instantiate(_for_lightning(cfg.trainer), _convert_="all", _partial_=True)
    loggers = _instantiated("logger", cfg.get("logger"))
    with _blaming_the_settings():
        trainer: L.Trainer = make(
            callbacks=callbacks,
            logger=loggers,
            plugins=AtomicCheckpointIO(begin),
            enable_checkpointing=any(isinstance(c, Checkpoint) for c in callbacks),
            enable_progress_bar=any(isinstance(c, ProgressBar) for c in callbacks),
        )
    if not cfg.data.get("val_size"):  # else it is worth knowing
        warnings.filterwarnings("ignore", message="You passed in a `val_dataloader` but have no")
    if cfg.get("train"):
        loop.install(trainer)
    _fit_out(trainer)
    try:
        yield trainer
        _end(trainer, succeeded=True)
    except Exception:
        _end(trainer, succeeded=False)
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _texts(cfg: DictConfig) -> dict[str, str]:
    """What the run was asked to do, for people to read."""
    return {"run/command": recorded.command(), "run/settings": recorded.settings_text(cfg)}


@contextmanager
def _blaming_the_settings() -> Iterator[None]:
    """Raises InputError for what the Trainer refuses."""
    try:
        with blaming("trainer"):
            yield
    except Exception as error:
        if isinstance(error, ImportError) or type(error).__name__ == "MisconfigurationException":
            raise InputError(f"trainer: {flat(str(error))}") from error
        raise


def _end(trainer: L.Trainer, succeeded: bool) -> None:
    for logger in trainer.loggers:
        if end := getattr(logger, "end", None):
            with suppress(OSError):  # a full disk has been said
                end(succeeded)


def _fit_out(trainer: L.Trainer) -> None:
    """With our rendezvous and messages."""
    rendezvous.install(trainer)
    set_up = blaming("trainer", "lightning")(trainer.fit_loop.setup_data)
    trainer.fit_loop.setup_data = set_up  # type: ignore[method-assign]
    _refuse_damaged(trainer)
    # Lightning's own SIGTERM handler broadcasts to processes that wait elsewhere, and hangs
    trainer._signal_connector.register_signal_handlers = _nothing  # type: ignore[method-assign]


def _for_lightning(trainer: DictConfig) -> DictConfig:
    """The settings of `trainer` that Lightning knows."""
    for_lightning = copy.deepcopy(trainer)
    with open_dict(for_lightning):
        for_lightning.pop("oversubscribe", None)
        precision = str(trainer.get("precision"))
        for_lightning.precision = PRECISIONS.get(precision, precision)
    return for_lightning


def _refuse_damaged(trainer: L.Trainer) -> None:
    """Restoring says which file is to blame for whatever goes wrong in it."""
    connector = trainer._checkpoint_connector

    def refusing(restore: Callable[..., None]) -> Callable[..., None]:
        def refuses(*arguments: Any, **options: Any) -> None:
            try:
                restore(*arguments, **options)
            except (InputError, OSError):
                raise
            except Exception as error:
                if type(error).__name__ == "MisconfigurationException":  # of the settings
                    raise
                where = f"ckpt_path={trainer.ckpt_path!s}"
                raise InputError(f"{where}: damaged: {flat(repr(error))[:200]}") from error

        return refuses

    for name in ("_restore_modules_and_callbacks", "restore_training_state"):
        setattr(connector, name, refusing(getattr(connector, name)))


def _nothing() -> None:
    """A function that processes started later can be handed, as a lambda can't."""


def _instantiated(group: str, nodes: DictConfig | None) -> list[Any]:
    """The objects of a group; null switches one off."""
    made = []
    for name, node in (nodes or {}).items():
        if node is not None and (not OmegaConf.is_dict(node) or "_target_" not in node):
            raise InputError(
                f"{group}.{name!s}: expected settings with a _target_, or null for none"
            )
        if node is not None:
            made.append(instantiate(node))
    return made


def quieten_lightning() -> None:
    """No tips, no restatement of the settings; Lightning's warnings go where ours go."""
    logging.getLogger("lightning").handlers.clear()
    for name in ("lightning.pytorch", "lightning.fabric"):  # which importing them set to INFO
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # it says what it found
    for message in NOISE:
        warnings.filterwarnings("ignore", message=f"(?s){message}")  # a path may have two lines
    threading.excepthook = _thread_failed


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """A full disk stops TensorBoard's thread and the run. The run says so in one line."""
    if not isinstance(failure.exc_value, OSError):
        threading.__excepthook__(failure)
