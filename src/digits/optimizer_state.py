"""Whether an optimizer's and its schedule's state, in a checkpoint, is what steps of a model's own
leave.
"""

import inspect
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from digits.model import DigitClassifier

Content = dict[str, Any]

SQUARES = {"square_avg", "exp_avg_sq", "max_exp_avg_sq"}


def check(content: Content, model: DigitClassifier, moves: int) -> None:
    """Raises ValueError, KeyError, TypeError or AttributeError unless `model`'s optimizer and
    schedule, which has moved so often, could have come to what `content` has.
    """
    optimizer, scheduler = _after_a_step(model)
    expected = optimizer.state_dict()
    if not is_like([expected], content["optimizer_states"]):
        raise ValueError("it is not the state of this optimizer")
    (given,) = content["optimizer_states"]
    moved = {"lr"} if scheduler else set()
    if hasattr(scheduler, "cycle_momentum"):
        moved |= {"momentum", "betas"}
    for ours, theirs in zip(expected["param_groups"], given["param_groups"], strict=True):
        if not _has_settings(ours, theirs, moved):
            raise ValueError("its optimizer has other settings")
    skips = content["settings"]["trainer.precision"] == "16-mixed"  # steps with infinite gradients
    for state in given["state"].values():
        _check_state(state, content["global_step"], skips)
    if scheduler:
        _check_schedule(content, scheduler, moves)
    elif content["lr_schedulers"]:
        raise ValueError("it has a schedule, the settings have none")


def _check_state(state: Content, steps: int, skips: bool) -> None:
    for name, value in state.items():
        if isinstance(value, Tensor) and not value.isfinite().all():
            raise ValueError(f"its optimizer's {name} is not finite")
        if name in SQUARES and (value < 0).any():
            raise ValueError(f"its optimizer's {name} is negative")
    counted = state.get("step", steps)
    if not (0 <= counted <= steps if skips else counted == steps):
        raise ValueError("its optimizer has made another number of steps")


def _after_a_step(model: DigitClassifier) -> tuple[Optimizer, LRScheduler | None]:
    """Those of `model`, of weights like its own."""
    assert model.make_optimizer
    weights = [nn.Parameter(torch.zeros_like(weight)) for weight in model.parameters()]
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    optimizer = model.make_optimizer(weights)
    scheduler = model.make_scheduler(optimizer) if model.make_scheduler else None
    optimizer.step()
    return optimizer, scheduler


def _has_settings(expected: Content, given: Content, moved: set[str]) -> bool:
    return is_like(expected, given) and all(
        _is_finite(given[name]) if name in moved else given[name] == value
        for name, value in expected.items()
    )


def _check_schedule(content: Content, scheduler: LRScheduler, moves: int) -> None:
    """Looks at its place, at `lr` and at what it was made with."""
    expected = scheduler.state_dict()
    if not is_like([expected], content["lr_schedulers"]):
        raise ValueError("it is not the state of this schedule")
    (given,) = content["lr_schedulers"]
    made_with = inspect.signature(type(scheduler).__init__).parameters.keys() - {"last_epoch"}
    for name, value in expected.items():
        stays = name in made_with or name == "base_lrs" or isinstance(value, bool)
        if stays and given[name] != value:
            raise ValueError(f"its schedule has another {name}")
    lr = [group["lr"] for group in content["optimizer_states"][0]["param_groups"]]
    if given["last_epoch"] != moves or given["_last_lr"] != lr:
        raise ValueError("its schedule is elsewhere")


def _is_finite(value: Any) -> bool:
    return all(map(math.isfinite, value if isinstance(value, list | tuple) else [value]))


def is_like(expected: Any, given: Any) -> bool:
    """Whether `given` has the parts of `expected`, in kind and shape."""
    if isinstance(expected, Tensor):
        return isinstance(given, Tensor) and (given.shape, given.dtype) == (
            expected.shape,
            expected.dtype,
        )
    if isinstance(expected, dict):
        return (
            isinstance(given, dict)
            and given.keys() == expected.keys()
            and all(is_like(value, given[key]) for key, value in expected.items())
        )
    if isinstance(expected, list | tuple):
        return (
            isinstance(given, list | tuple)
            and len(given) == len(expected)
            and all(map(is_like, expected, given))
        )
    is_number = type(expected) in (int, float) and type(given) in (int, float)
    return is_number or type(expected) is type(given)
