"""Read a checkpoint that train.py wrote, and check that it fits what a run builds. No code in it is
run.

This module does not import Lightning, which takes 2 s and is not needed to predict.
"""

import inspect
import math
import random
import re
import warnings
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from digits.data.mnist import CLASSES, DATA_MODULE, SIDE
from digits.errors import InputError
from digits.model.network import network
from digits.runs import contents, plain_data
from digits.runs.contents import Checkpoint

if TYPE_CHECKING:
    from digits.model.classifier import DigitClassifier

ABSENT = "absent"
MAX_COUNT = 1 << 53  # TensorBoard's steps have 64 bits
TIMES, EVENTS = ("total", "current"), ("ready", "completed")
LOOPS = (  # Lightning's counters of epochs, batches and steps
    "epoch_progress",
    "epoch_loop.batch_progress",
    "epoch_loop.val_loop.batch_progress",
    "epoch_loop.scheduler_progress",
    "epoch_loop.manual_optimization.optim_step_progress",
)
STEPS = "epoch_loop.automatic_optimization.optim_progress"


def read(path: str) -> Checkpoint:
    """Return a checkpoint's content, on the CPU. Raises InputError for any other file."""
    return contents.read(path, plain_data.tensor)


def check_fits(path: str, model: nn.Module, content: Checkpoint | None = None) -> Checkpoint:
    """Return the content of the checkpoint at `path`; give `content` if it has been read. Raises
    InputError, which names the first weight that does not fit `model`.
    """
    content = content or read(path)
    learned = {name for name, _ in model.named_parameters()}
    check_same(path, content["state_dict"], model.state_dict(), learned)
    return content


def check_same(
    path: str, theirs: Mapping[str, Any], ours: Mapping[str, Any], learned: Collection[str]
) -> None:
    for name in sorted(ours.keys() | theirs.keys()):
        there, here = (_shape(weights.get(name)) for weights in (theirs, ours))
        if there != here:
            raise InputError(
                f"ckpt_path={path}: another architecture: {name[:80]} is {there}, expected {here}"
            )
        if name in learned and not theirs[name].isfinite().all():
            raise InputError(f"ckpt_path={path}: {name} has values that are not finite")


def _shape(weight: object) -> str:
    if not isinstance(weight, Tensor):
        return ABSENT if weight is None else "no tensor"  # a module's get_extra_state
    # a float's width is left out: with trainer.precision=64-true, say, a new model has another
    kind = "" if weight.is_floating_point() else f" {weight.dtype}"
    return "x".join(map(str, weight.shape)) + kind


def model_of(path: str, content: Checkpoint) -> "DigitClassifier":
    """Return a model with the settings of the checkpoint at `path`. Raises InputError if its
    weights do not fit.
    """
    from digits.model.classifier import DigitClassifier

    network_of(path, content)
    return DigitClassifier(**content["hyper_parameters"])


def network_of(path: str, content: Checkpoint) -> nn.Sequential:
    """Return the trained network alone: float32 images (B, H, W) in [0, 1] to logits (B, K). Raises
    InputError if the checkpoint has none.
    """
    settings = content["hyper_parameters"]  # an older checkpoint may lack newer settings
    known = inspect.signature(network).parameters
    are_sizes = all(type(size) is int and 0 < size <= 1 << 16 for size in settings.values())
    if not (are_sizes and "hidden_size" in settings and settings.keys() <= known.keys()):
        shown = str(settings)[:80]
        raise InputError(f"ckpt_path={path}: unknown settings {shown}; expected {', '.join(known)}")
    with torch.device("meta"):  # it takes no memory, whatever sizes the file asks for
        holder = nn.ModuleDict({"net": network(**settings)})
    check_fits(path, holder, content)
    holder.load_state_dict(content["state_dict"], assign=True)
    return cast(nn.Sequential, holder["net"].float().eval())


def digits_network_of(path: str, content: Checkpoint) -> nn.Sequential:
    """Do as `network_of`, and raise InputError for a network that is not for MNIST's digits."""
    net = network_of(path, content)
    sizes = {"side": SIDE, "classes": CLASSES, "channels": 1} | content["hyper_parameters"]
    if (sizes["side"], sizes["classes"], sizes["channels"]) != (SIDE, CLASSES, 1):
        in_colour = f" in {sizes['channels']} channels" if sizes["channels"] != 1 else ""
        raise InputError(
            f"ckpt_path={path}: its network tells {sizes['classes']} classes of images of "
            f"{sizes['side']} pixels a side{in_colour}; expected {CLASSES} digits of {SIDE}"
        )
    return net


def check_state(content: Checkpoint, model: nn.Module) -> None:
    """Raises ValueError, or whatever looking into other data raises, unless `content` has all that
    training resumes from besides weights, and its optimizer, schedule and scores have the kinds,
    shapes and types of a run of `model`: Lightning takes anything, and torch crashes over a tensor
    of another shape. Numbers need only be finite.
    """
    if not re.match(r"2\.\d+\.\d+", content["pytorch-lightning_version"]):
        raise ValueError("it is of another Lightning")
    _check_counts(content)
    with warnings.catch_warnings(action="ignore"):  # a schedule warns that no step was taken
        _check_optimizer(content, model)
    _check_processes(content["processes"], model)
    for name, value in content["metrics"].items():
        is_number = isinstance(value, float) or (type(value) is int and abs(value) < MAX_COUNT)
        if not (isinstance(name, str) and is_number):
            raise ValueError("its metrics are no numbers")


def _check_counts(content: Checkpoint) -> None:
    """Raises ValueError or KeyError for bad counters: Lightning would silently begin at 0."""
    from digits.runs.recipe import is_same_class

    fit = content["loops"]["fit_loop"]
    steps = fit[STEPS]["optimizer"]
    progress = [*(fit[name] for name in LOOPS), steps["step"], steps["zero_grad"]]
    counts = [each[kind][name] for each in progress for kind in TIMES for name in EVENTS]
    counts += [fit["epoch_progress"]["current"]["processed"]]
    counts += [fit["epoch_loop.state_dict"]["_batches_that_stepped"]]
    if is_same_class(str(content["settings"].get("data._target_")), DATA_MODULE):
        counts += [fit["state_dict"]["combined_loader"][0]["given"]]
    for key, state in content["callbacks"].items():
        if key.startswith("EarlyStopping{"):
            counts += [state[name] for name in ("wait_count", "stopped_epoch", "patience")]
            state["best_score"].item()  # raises if it is no number
        elif not isinstance(state, dict):
            raise ValueError("its callbacks have no state")
    if not all(isinstance(count, int) and 0 <= count < MAX_COUNT for count in counts):
        raise ValueError("its counters are no whole numbers from 0")


def _check_optimizer(content: Checkpoint, model: nn.Module) -> None:
    """Check the state of optimizer and schedule, unless the model makes these in its own way."""
    from digits.model.classifier import DigitClassifier

    names = ("configure_optimizers", "_new_optimizer", "new_scheduler")
    if not isinstance(model, DigitClassifier) or any(
        getattr(type(model), name) is not getattr(DigitClassifier, name) for name in names
    ):
        return
    assert model.make_optimizer
    saved, schedules = content["state_dict"], content["lr_schedulers"]
    optimizer = model.make_optimizer(
        nn.Parameter(torch.zeros_like(saved.get(name, weight)))
        for name, weight in model.named_parameters()
    )
    ours = []
    if model.make_scheduler:
        counted = [schedule.get("total_steps") for schedule in schedules]
        ours = [model.new_scheduler(optimizer, next(iter(counted), None) or 1)]
    if not _is_state_of(optimizer, content["optimizer_states"]):
        raise ValueError("it is not the state of this optimizer")
    if not is_like([scheduler.state_dict() for scheduler in ours], schedules):
        raise ValueError("it is not the state of this schedule")


def _is_state_of(optimizer: Optimizer, given: list[Checkpoint]) -> bool:
    """Whether a step of `optimizer` leaves such a state. A callback may have changed its numbers;
    a weight that has not learned yet has no state.
    """
    fresh = optimizer.state_dict()
    groups = [state["param_groups"] for state in given]
    if not is_like([fresh["param_groups"]], groups):
        return False
    for ours, theirs in zip(fresh["param_groups"], groups[0], strict=True):
        if ours["params"] != theirs["params"]:
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


def random_states(device: torch.device) -> dict[str, Any]:
    """Return the states of the generators of python, numpy, torch and, if it is no CPU, `device`,
    as tensors and numbers.
    """
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


def check_random_states(states: dict[str, Any]) -> None:
    """Raises what `set_random_states` raises, but leaves the generators alone. It does not try the
    states of a GPU.
    """
    others = random.Random(), np.random.RandomState(), torch.Generator()
    set_random_states(states, torch.device("cpu"), *others)
    if "device" in states and states["device"].dtype != torch.uint8:
        raise TypeError("a device's state is bytes")


def set_random_states(
    states: dict[str, Any],
    device: torch.device,
    python: Any = random,
    numpy: Any = np.random,
    of_torch: torch.Generator = torch.default_generator,
) -> None:
    """Raises KeyError, TypeError, ValueError, AttributeError or RuntimeError for states that are
    not from `random_states`.
    """
    version, words, next_gauss = states["python"]
    legacy = states["numpy"]
    halves = next_gauss, legacy["gauss"]  # normal numbers are drawn in pairs: the second one
    if not all(half is None or (type(half) is float and math.isfinite(half)) for half in halves):
        raise TypeError("what is left of a pair is a number")
    python.setstate((version, tuple(_words(words, 625)), next_gauss))
    key, position = legacy["state"]["key"], legacy["state"]["pos"]
    if type(position) is not int or not 0 <= position <= 624:  # numpy would read outside the state
        raise ValueError("a Mersenne Twister's state has 624 words")
    if legacy["has_gauss"] not in (0, 1):
        raise ValueError("has_gauss is 0 or 1")
    key = np.array(_words(key, 624), dtype=np.uint32)
    numpy.set_state(legacy | {"state": {"key": key, "pos": position}})
    of_torch.set_state(states["torch"])
    if "device" in states and device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states["device"])


def _words(tensor: Tensor, count: int) -> list[int]:
    words: list[int] = tensor.tolist()
    if tensor.shape != (count,) or not all(0 <= word < 1 << 32 for word in words):
        raise ValueError("a Mersenne Twister's state has 624 words of 32 bits")
    return words
