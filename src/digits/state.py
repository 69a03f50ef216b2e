"""What a run's future depends on beyond weights, optimizer, schedule and counters: saved and put
back.
"""

import random
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torchmetrics import Metric

from digits.errors import InputError

Settings = Mapping[str, str | int | float | bool | None]


class ExactState(Callback):
    """In every checkpoint: each process's random states and running scores, the last metrics,
    whether training was to stop, and the settings that decide the result.
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
        checkpoint["processes"] = _of_all_processes(here)
        checkpoint["metrics"] = {k: v.item() for k, v in trainer.callback_metrics.items()}
        checkpoint["should_stop"] = trainer.should_stop
        checkpoint["settings"] = dict(self.settings)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self.restored = checkpoint

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.restored is None:
            return
        metrics = self.restored["metrics"]
        trainer.callback_metrics.update({k: torch.tensor(v) for k, v in metrics.items()})
        stops = any(isinstance(c, EarlyStopping) for c in trainer.callbacks)  # type: ignore[attr-defined]
        trainer.should_stop = stops and self.restored["should_stop"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Just before the first step: importing and setting up draw random numbers too."""
        if self.restored is None:
            return
        here, self.restored = self.restored["processes"][trainer.global_rank], None
        try:
            set_random_states(here["random"], trainer.strategy.root_device)
            for name, metric in scores_of(pl_module).items():
                saved = here["scores"][name]
                metric._update_count = int(saved["_update_count"])
                for state in metric.metric_state:
                    setattr(metric, state, _moved(saved[state], trainer.strategy.root_device))
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise InputError(f"ckpt_path={trainer.ckpt_path}: damaged: {error!r}") from error


def random_states(device: torch.device) -> dict[str, Any]:
    """Of python, numpy, torch and, where it is no CPU, `device`: as tensors and numbers."""
    version, words, next_gauss = random.getstate()
    legacy = np.random.get_state(legacy=False)
    assert isinstance(legacy, dict)
    key = torch.tensor(legacy["state"]["key"].tolist())
    states = {
        "python": (version, torch.tensor(words), next_gauss),
        "numpy": legacy | {"state": legacy["state"] | {"key": key}},
        "torch": torch.get_rng_state(),
    }
    if device.type != "cpu":
        states["device"] = torch.get_device_module(device).get_rng_state()
    return states


def set_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Raises KeyError, TypeError, ValueError, AttributeError or RuntimeError for other states than
    `random_states` gives.
    """
    _restore(states, random.setstate, np.random.set_state, torch.set_rng_state)
    if "device" in states and device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states["device"])


def check_random_states(states: dict[str, Any]) -> None:
    """Raises what `set_random_states` does, and leaves the generators alone; those of a GPU are not
    tried.
    """
    other = random.Random(), np.random.RandomState(), torch.Generator()
    _restore(states, other[0].setstate, other[1].set_state, other[2].set_state)
    if "device" in states and states["device"].dtype != torch.uint8:
        raise TypeError("a device's state is bytes")


def _restore(
    states: dict[str, Any],
    python: Callable[[Any], object],
    numpy: Callable[[Any], object],
    of_torch: Callable[[Tensor], object],
) -> None:
    version, words, next_gauss = states["python"]
    legacy = states["numpy"]
    halves = next_gauss, legacy["gauss"]  # of the pairs that normal numbers are drawn in
    if not all(half is None or (type(half) is float and isfinite(half)) for half in halves):
        raise TypeError("what is left of a pair is a number")
    python((version, tuple(_words(words, 625)), next_gauss))
    key, position = legacy["state"]["key"], legacy["state"]["pos"]
    if type(position) is not int or not 0 <= position <= 624:  # numpy would read there
        raise ValueError("a Mersenne Twister's state has 624 words")
    if legacy["has_gauss"] not in (0, 1):
        raise ValueError("has_gauss is 0 or 1")
    key = np.array(_words(key, 624), dtype=np.uint32)
    numpy(legacy | {"state": {"key": key, "pos": position}})
    of_torch(states["torch"])


def _words(tensor: Tensor, count: int) -> list[int]:
    words: list[int] = tensor.tolist()
    if tensor.shape != (count,) or not all(0 <= word < 1 << 32 for word in words):
        raise ValueError("a Mersenne Twister's state has 624 words of 32 bits")
    return words


def scores_of(module: L.LightningModule) -> dict[str, Metric]:
    return {name: part for name, part in module.named_modules() if isinstance(part, Metric)}


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
