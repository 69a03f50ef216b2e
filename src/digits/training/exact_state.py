"""Save and restore all that a run's future depends on besides weights, optimizer, schedule and
counters.
"""

from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from digits.errors import InputError
from digits.model.score import scores_of
from digits.runs.checkpoint import random_states, set_random_states
from digits.training import stretching

Settings = Mapping[str, str | int | float | bool | None]
BEGINNING: dict[str, Any] = {"given": 0, "begun": {}}  # our loaders' state as an epoch begins


class ExactState(Callback):
    """Adds to every checkpoint each process's random states and running scores, the last metrics,
    which weights learn, gradients that are being added up, whether training was to stop, and the
    settings that decide the result.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.restored: dict[str, Any] | None = None

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        here = {
            "random": random_states(trainer.strategy.root_device),
            "scores": {
                name: metric.metric_state | {"_update_count": metric.update_count}
                for name, metric in scores_of(pl_module).items()
            },
        }
        if ends_an_epoch(trainer):  # a resume begins with the next epoch's first batch
            for loader in checkpoint["loops"]["fit_loop"]["state_dict"].get("combined_loader", []):
                loader |= {key: BEGINNING[key] for key in BEGINNING if key in loader}
        checkpoint["processes"] = _of_all_processes(here)
        checkpoint["metrics"] = {k: v.item() for k, v in trainer.callback_metrics.items()}
        checkpoint["learns"] = {n: w.requires_grad for n, w in pl_module.named_parameters()}
        if is_adding_up(trainer) or not pl_module.automatic_optimization:
            grads = {name: weight.grad for name, weight in pl_module.named_parameters()}
            checkpoint["gradients"] = {name: g for name, g in grads.items() if g is not None}
        checkpoint["is_between_steps"] = trainer.training  # in a validation its step is not done
        checkpoint["accumulate_grad_batches"] = trainer.accumulate_grad_batches
        checkpoint["should_stop"] = any(c.stopping_reason.value for c in _early_stopping(trainer))
        checkpoint["settings"] = dict(self.settings)
        checkpoint["length"] = _length(trainer)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self.restored = checkpoint

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.restored is None:
            return
        metrics = self.restored["metrics"]
        if self.restored.get("length") != _length(trainer):
            stretching.stretch(trainer, self.restored)
        trainer.callback_metrics.update({k: torch.tensor(v) for k, v in metrics.items()})
        trainer.should_stop = self.restored["should_stop"] and any(_early_stopping(trainer))

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore just before the first step: imports and setup draw random numbers, too."""
        if self.restored is None:
            return
        restored, self.restored = self.restored, None
        epochs: Any = trainer.fit_loop.epoch_progress.current
        loop: Any = trainer.fit_loop.epoch_loop
        if epochs.ready == epochs.processed:  # with max_steps Lightning believes it is under way
            loop.restarting = False
        loop.goes_on_between_steps = bool(restored.get("is_between_steps"))
        here, learns = restored["processes"][trainer.global_rank], restored.get("learns", {})
        gradients = restored.get("gradients", {})
        try:
            if "accumulate_grad_batches" in restored:  # a callback may change it as an epoch begins
                trainer.accumulate_grad_batches = int(restored["accumulate_grad_batches"])
            set_random_states(here["random"], trainer.strategy.root_device)
            for name, metric in scores_of(pl_module).items():
                saved = here["scores"][name]
                metric._update_count = int(saved["_update_count"])
                for state in metric.metric_state:
                    setattr(metric, state, _moved(saved[state], trainer.strategy.root_device))
            for name, weight in pl_module.named_parameters():
                weight.requires_grad = bool(learns.get(name, weight.requires_grad))
                if name in gradients:
                    weight.grad = gradients[name].to(weight)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise InputError(f"ckpt_path={trainer.ckpt_path}: damaged: {error!r}") from error


def _length(trainer: L.Trainer) -> list[int]:
    return [int(trainer.max_epochs or -1), int(trainer.max_steps)]


def ends_an_epoch(trainer: L.Trainer) -> bool:
    """Whether the newest batch is the last of its epoch."""
    batches = trainer.fit_loop.epoch_loop.batch_progress
    return batches.is_last_batch or batches.current.ready == trainer.num_training_batches


def is_adding_up(trainer: L.Trainer) -> bool:
    """Whether gradients of several batches are to be one step's, and are not all there."""
    ready = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    return bool(ready % trainer.accumulate_grad_batches) and not ends_an_epoch(trainer)


def _early_stopping(trainer: L.Trainer) -> list[EarlyStopping]:
    return [c for c in trainer.callbacks if isinstance(c, EarlyStopping)]  # type: ignore[attr-defined]


def _of_all_processes(here: dict[str, Any]) -> list[dict[str, Any]]:
    if not dist.is_initialized():
        return [here]
    of_all: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(of_all, _moved(here, torch.device("cpu")))
    return of_all


def _moved(state: Any, device: torch.device) -> Any:
    if isinstance(state, dict):
        return {key: _moved(value, device) for key, value in state.items()}
    if isinstance(state, list):
        return [_moved(value, device) for value in state]
    return state.to(device) if isinstance(state, Tensor) else state
