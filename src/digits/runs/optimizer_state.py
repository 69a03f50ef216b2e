"""Whether an optimizer's and its schedule's state, in a checkpoint, is what steps of a model's own
leave.
"""

import inspect
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from digits.model.classifier import DigitClassifier

Content = dict[str, Any]

MODERATE = 1e30  # a step computes in float32
SQUARES = {"square_avg", "exp_avg_sq", "max_exp_avg_sq"}


def check(content: Content, model: LightningModule, moves: int) -> None:
    """Raises ValueError, KeyError, TypeError or AttributeError unless `content` has a state that
    `model`'s optimizer and schedule can reach in the steps it counts. Those of a model that makes
    its own are left to them, but for values that are not finite.
    """
    if not _makes_ours(model):
        _check_finite(content["optimizer_states"])
        return
    assert isinstance(model, DigitClassifier)
    schedules = content["lr_schedulers"]
    counted = schedules[0].get("total_steps") if schedules else None
    weights = content["state_dict"]
    like = [weights.get(name, weight) for name, weight in model.named_parameters()]
    optimizer, scheduler = _after_a_step(model, like, counted)
    expected = optimizer.state_dict()
    if not is_like([expected], content["optimizer_states"]):
        raise ValueError("it is not the state of this optimizer")
    (given,) = content["optimizer_states"]
    for ours, theirs in zip(expected["param_groups"], given["param_groups"], strict=True):
        numbers = all(map(_is_moderate, theirs.values()))  # a callback may have moved them
        if ours["params"] != theirs["params"] or not numbers:
            raise ValueError("its optimizer has other settings")
    precision = str(content["settings"]["trainer.precision"])
    skips = precision in ("16", "16-mixed")  # steps with infinite gradients
    for state in given["state"].values():
        _check_state(state, content["global_step"], skips)
    if scheduler:
        _check_schedule(content, scheduler, moves)
    elif schedules:
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


def _makes_ours(model: LightningModule) -> bool:
    names = ("configure_optimizers", "_new_optimizer", "new_scheduler")
    return isinstance(model, DigitClassifier) and all(
        getattr(type(model), name) is getattr(DigitClassifier, name) for name in names
    )


def _check_finite(states: Any) -> None:
    for state in states:
        for slot in state["state"].values():
            if any(isinstance(v, Tensor) and not v.isfinite().all() for v in slot.values()):
                raise ValueError("its optimizer's state is not finite")


def _after_a_step(
    model: DigitClassifier, like: list[Tensor], total_steps: int | None
) -> tuple[Optimizer, LRScheduler | None]:
    """Those of `model`, of weights `like` its own; a schedule counts `total_steps` of a run."""
    assert model.make_optimizer
    weights = [nn.Parameter(torch.zeros_like(weight)) for weight in like]
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    optimizer = model.make_optimizer(weights)
    scheduler = model.new_scheduler(optimizer, total_steps or 1) if model.make_scheduler else None
    optimizer.step()
    return optimizer, scheduler


def _check_schedule(content: Content, scheduler: LRScheduler, moves: int) -> None:
    """Looks at its place, and at what it was made with."""
    (given,) = content["lr_schedulers"]
    expected = scheduler.state_dict()
    if not is_like(expected, given):
        raise ValueError("it is not the state of this schedule")
    made_with = inspect.signature(type(scheduler).__init__).parameters.keys() - {"last_epoch"}
    for name, value in expected.items():
        stays = name in made_with or name == "base_lrs" or isinstance(value, bool)
        if stays and given[name] != value:
            raise ValueError(f"its schedule has another {name}")
    if given.get("last_epoch", moves) != moves:
        raise ValueError("its schedule is elsewhere")


def _is_moderate(value: Any) -> bool:
    parts = value if isinstance(value, list | tuple) else [value]
    return all(abs(part) < MODERATE for part in parts if isinstance(part, int | float))


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
