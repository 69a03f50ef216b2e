"""Reading a checkpoint written by train.py, and checking that it fits what a run builds. Nothing in
it is run.

Without Lightning, whose import takes 2 s: predicting needs none of it.
"""

import inspect
import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from digits.data.mnist import CLASSES, DATA_MODULE, SIDE
from digits.errors import InputError
from digits.model.network import network
from digits.runs import plain_data
from digits.runs.random_states import check_random_states

if TYPE_CHECKING:
    from digits.model.classifier import DigitClassifier

Checkpoint = dict[str, Any]
PARTS = ("state_dict", "hyper_parameters", "best_scores")  # each by names
ABSENT = "absent"
MAX_COUNT = 1 << 53  # TensorBoard's steps are 64 bits


def _counters(*events: str) -> dict[str, dict[str, int]]:
    return {kind: dict.fromkeys(events, 0) for kind in ("total", "current")}


OF_BATCHES = _counters("ready", "started", "processed", "completed") | {"is_last_batch": False}
OF_STEPS = _counters("ready", "completed")
LOOPS = {  # Lightning's, over epochs, batches and steps
    "epoch_progress": _counters("ready", "started", "processed", "completed"),
    "epoch_loop.batch_progress": OF_BATCHES,
    "epoch_loop.val_loop.batch_progress": OF_BATCHES,
    "epoch_loop.scheduler_progress": OF_STEPS,
    "epoch_loop.manual_optimization.optim_step_progress": OF_STEPS,
    "epoch_loop.automatic_optimization.optim_progress": {
        "optimizer": {"step": OF_STEPS, "zero_grad": _counters("ready", "started", "completed")}
    },
}


def read(path: str) -> Checkpoint:
    """A checkpoint's content on the CPU. Raises InputError for any other file."""
    try:
        content = plain_data.load(Path(path))
    except OSError as error:
        raise InputError(f"ckpt_path={path}: {error.strerror}; expected a readable file") from error
    except InputError as error:
        raise InputError(f"ckpt_path={path}: {error}") from error
    if not _is_ours(content):
        raise InputError(f"ckpt_path={path}: not a checkpoint written by train.py, or damaged")
    return cast(Checkpoint, content)


def _is_ours(content: object) -> bool:
    if not isinstance(content, dict) or "pytorch-lightning_version" not in content:
        return False
    for name in ("hyper_parameters", "best_scores"):  # a model or a callback may name none
        content.setdefault(name, {})
    parts = [content.get(name) for name in PARTS]
    if not all(isinstance(part, dict) and all(isinstance(k, str) for k in part) for part in parts):
        return False
    return all(isinstance(score, float) for score in content["best_scores"].values()) and all(
        isinstance(value, Tensor) or name.endswith("_extra_state")  # which may be anything
        for name, value in content["state_dict"].items()
    )


def check_fits(path: str, model: nn.Module, content: Checkpoint | None = None) -> Checkpoint:
    """The checkpoint at `path`, or its `content` if it has been read. Raises InputError unless its
    weights fit `model`, naming the first that does not.
    """
    content = content or read(path)
    theirs, ours = content["state_dict"], model.state_dict()
    learned = {name for name, _ in model.named_parameters()}
    for name in sorted(ours.keys() | theirs.keys()):
        there, here = (_shape(weights.get(name)) for weights in (theirs, ours))
        if there != here:
            raise InputError(
                f"ckpt_path={path}: another architecture: {name[:80]} is {there}, expected {here}"
            )
        if name in learned and not theirs[name].isfinite().all():
            raise InputError(f"ckpt_path={path}: {name} has values that are not finite")
    return content


def _shape(weight: object) -> str:
    if not isinstance(weight, Tensor):
        return ABSENT if weight is None else "no tensor"  # a module's get_extra_state
    # trainer.precision=64-true and the like have other floats than a new model
    kind = "" if weight.is_floating_point() else f" {weight.dtype}"
    return "x".join(map(str, weight.shape)) + kind


def model_of(path: str, content: Checkpoint) -> "DigitClassifier":
    """A model with the settings of the checkpoint at `path`, whose weights fit it. Raises
    InputError for others.
    """
    from digits.model.classifier import DigitClassifier

    network_of(path, content)
    return DigitClassifier(**content["hyper_parameters"])


def network_of(path: str, content: Checkpoint) -> nn.Sequential:
    """The trained network alone: float32 images (B, H, W) in [0, 1] to logits (B, K). Raises
    InputError for a checkpoint without one.
    """
    with torch.device("meta"):  # without memory, whatever sizes the file asks for
        holder = nn.ModuleDict({"net": network(**_settings(path, content))})
    check_fits(path, holder, content)
    holder.load_state_dict(content["state_dict"], assign=True)
    return cast(nn.Sequential, holder["net"].float().eval())


def digits_network_of(path: str, content: Checkpoint) -> nn.Sequential:
    """As `network_of`. Raises InputError for a network that is not for MNIST's digits."""
    sizes = {"side": SIDE, "classes": CLASSES} | _settings(path, content)
    if (sizes["side"], sizes["classes"]) != (SIDE, CLASSES):
        raise InputError(
            f"ckpt_path={path}: its network tells {sizes['classes']} classes of images of "
            f"{sizes['side']} pixels a side; expected {CLASSES} digits of {SIDE}"
        )
    return network_of(path, content)


def _settings(path: str, content: Checkpoint) -> dict[str, Any]:
    """The network's: those it had when the checkpoint was written, which may lack newer ones."""
    settings: dict[str, Any] = content["hyper_parameters"]
    known = inspect.signature(network).parameters
    are_sizes = all(type(size) is int and 0 < size <= 1 << 16 for size in settings.values())
    if not (are_sizes and "hidden_size" in settings and settings.keys() <= known.keys()):
        shown = str(settings)[:80]
        raise InputError(f"ckpt_path={path}: unknown settings {shown}; expected {', '.join(known)}")
    return settings


def check_state(content: Checkpoint, model: nn.Module) -> None:
    """Raises ValueError, or what looking into other data raises, unless all that training goes on
    from besides weights is there, and of the kind, shape and type that a run of `model` has:
    Lightning takes anything, and torch crashes over a tensor of another shape. Numbers need only be
    finite.
    """
    if not re.match(r"2\.\d+\.\d+", content["pytorch-lightning_version"]):
        raise ValueError("it is of another Lightning")
    _check_loops(content)
    with warnings.catch_warnings(action="ignore"):  # a schedule warns that nobody has stepped
        _check_optimizer(content, model)
    _check_processes(content["processes"], model)
    for name, value in content["metrics"].items():
        is_number = isinstance(value, float) or (type(value) is int and abs(value) < MAX_COUNT)
        if not (isinstance(name, str) and is_number):
            raise ValueError("its metrics are no numbers")
    _check_callbacks(content["callbacks"])


def _check_loops(content: Checkpoint) -> None:
    from digits.runs import recipe

    fit = content["loops"]["fit_loop"]
    expected: Checkpoint = LOOPS | {"place": {"_batches_that_stepped": 0, "between_steps": False}}
    given = fit | {"place": {"between_steps": False} | fit["epoch_loop.state_dict"]}
    if recipe.is_same_class(str(content["settings"].get("data._target_")), DATA_MODULE):
        expected["data"], given["data"] = [{"given": 0}], fit["state_dict"].get("combined_loader")
    for name, counters in expected.items():
        if not is_like(counters, given[name]) or not all(map(_is_count, _leaves(given[name]))):
            raise ValueError(f"{name} is of another kind")


def _check_optimizer(content: Checkpoint, model: nn.Module) -> None:
    """And its schedule. A model that makes them in its own way is left to them."""
    from digits.model.classifier import DigitClassifier

    names = ("configure_optimizers", "_new_optimizer", "new_scheduler")
    if not isinstance(model, DigitClassifier) or any(
        getattr(type(model), name) is not getattr(DigitClassifier, name) for name in names
    ):
        return
    optimizer, scheduler = _new_optimizer(content, model)
    if not _is_state_of(optimizer, content["optimizer_states"]):
        raise ValueError("it is not the state of this optimizer")
    ours, theirs = [scheduler.state_dict()] if scheduler else [], content["lr_schedulers"]
    if not is_like(ours, theirs):
        raise ValueError("it is not the state of this schedule")
    if scheduler:
        made_with = inspect.signature(type(scheduler)).parameters.keys() - {"last_epoch"}
        if any(ours[0][name] != theirs[0][name] for name in ours[0].keys() & made_with):
            raise ValueError("its schedule has other settings")


def _new_optimizer(
    content: Checkpoint, model: "DigitClassifier"
) -> tuple[Optimizer, LRScheduler | None]:
    """Those of `model`, over zeros like the weights in `content`."""
    assert model.make_optimizer
    weights = [
        nn.Parameter(torch.zeros_like(content["state_dict"].get(name, weight)))
        for name, weight in model.named_parameters()
    ]
    optimizer = model.make_optimizer(weights)
    if not model.make_scheduler:
        return optimizer, None
    counted = [schedule.get("total_steps") for schedule in content["lr_schedulers"]]
    return optimizer, model.new_scheduler(optimizer, next(iter(counted), None) or 1)


def _is_state_of(optimizer: Optimizer, given: list[Checkpoint]) -> bool:
    """Whether a step of `optimizer` leaves such a state. (A callback may have moved its numbers; a
    weight that has not learned yet has no state.)
    """
    fresh = optimizer.state_dict()
    groups = [state["param_groups"] for state in given]
    if not is_like([fresh["param_groups"]], groups) or any(
        ours["params"] != theirs["params"]
        for ours, theirs in zip(fresh["param_groups"], groups[0], strict=True)
    ):
        return False
    optimizer.load_state_dict(fresh | {"param_groups": groups[0]})
    for weight in (weight for group in optimizer.param_groups for weight in group["params"]):
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    expected = optimizer.state_dict()["state"]
    return all(is_like(expected.get(index), state) for index, state in given[0]["state"].items())


def _check_processes(processes: list[Checkpoint], model: nn.Module) -> None:
    from digits.model.score import scores_of

    if not processes:
        raise ValueError("it has no process's state")
    scores = {
        name: metric.metric_state | {"_update_count": 0}
        for name, metric in scores_of(model).items()
    }
    for process in processes:
        check_random_states(process["random"])
        if not is_like(scores, process["scores"]):
            raise ValueError("its scores are others")


def _check_callbacks(callbacks: Checkpoint) -> None:
    """Early stopping takes whatever it is given."""
    for key, state in callbacks.items():
        if not isinstance(state, dict):
            raise ValueError("its callbacks have no state")
        if key.startswith("EarlyStopping{"):
            best, message = state["best_score"], state["stopping_reason_message"]
            counts = (state[name] for name in ("wait_count", "stopped_epoch", "patience"))
            is_score = isinstance(best, Tensor) and best.shape == () and best.is_floating_point()
            if not (is_score and all(map(_is_count, counts)) and isinstance(message, str | None)):
                raise ValueError("EarlyStopping is of another kind")


def is_like(expected: Any, given: Any) -> bool:
    """Whether `given` has the parts of `expected`, of the same kinds, shapes and types, and finite
    numbers.
    """
    if isinstance(expected, Tensor):
        kind = expected.shape, expected.dtype
        is_same = isinstance(given, Tensor) and (given.shape, given.dtype) == kind
        return is_same and bool(given.isfinite().all())
    if isinstance(expected, dict):
        is_same = isinstance(given, dict) and given.keys() == expected.keys()
        return is_same and all(is_like(value, given[key]) for key, value in expected.items())
    if isinstance(expected, list | tuple):
        is_same = isinstance(given, list | tuple) and len(given) == len(expected)
        return is_same and all(map(is_like, expected, given))
    if type(expected) in (int, float):
        is_number = type(given) in (int, float)
        return is_number and (math.isfinite(given) or not math.isfinite(expected))
    return type(expected) is type(given)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < MAX_COUNT


def _leaves(node: Any) -> Iterator[Any]:
    if isinstance(node, dict | list | tuple):
        for part in node.values() if isinstance(node, dict) else node:
            yield from _leaves(part)
    else:
        yield node
