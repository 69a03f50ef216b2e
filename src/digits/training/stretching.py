"""Stretch a learning rate's schedule when a run goes on to another length."""

import logging
import warnings
from typing import Any

import lightning as L
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

log = logging.getLogger(__name__)

POSITION = ("last_epoch", "_step_count", "_last_lr", "base_lrs", "T_cur", "T_i")
MOVED = ("lr", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum")  # in an optimizer
MOMENTUM = ("momentum", "betas")


def stretch(trainer: L.Trainer, restored: dict[str, Any]) -> None:
    """Move each new schedule that depends on the run's length to the place where `restored` has
    the old one, and put its state, and the learning rates, into `restored`.
    """
    for index, config in enumerate(trainer.lr_scheduler_configs):
        schedule, saved = config.scheduler, restored["lr_schedulers"][index]
        if isinstance(schedule, LRScheduler) and _is_another(schedule, saved, restored):
            with warnings.catch_warnings(action="ignore"):  # torch misses the optimizer's steps
                while schedule.last_epoch < saved["last_epoch"]:
                    schedule.step()
            restored["lr_schedulers"][index] = schedule.state_dict()
            place = trainer.optimizers.index(schedule.optimizer)
            groups = restored["optimizer_states"][place]["param_groups"]
            for ours, theirs in zip(schedule.optimizer.param_groups, groups, strict=True):
                names = MOVED + (MOMENTUM if "base_momentum" in ours else ())
                theirs |= {name: ours[name] for name in names if name in ours}
            log.info("%s is stretched to the new length", type(schedule).__name__)


def _is_another(schedule: LRScheduler, saved: dict[str, Any], restored: dict[str, Any]) -> bool:
    if isinstance(schedule, ReduceLROnPlateau) or "last_epoch" not in saved:
        return False
    may_count = "lr_lambdas" in saved and "length" in restored  # within a function: nobody can see
    return may_count or str(_form(schedule.state_dict())) != str(_form(saved))


def _form(state: Any) -> Any:
    """Return a schedule's state without its place in the run."""
    if isinstance(state, dict):
        return {k: _form(v) for k, v in sorted(state.items()) if k not in POSITION}
    return [*map(_form, state)] if isinstance(state, list | tuple) else state
