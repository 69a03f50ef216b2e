"""Checks that what a checkpoint has besides weights is what training could have left. Lightning
takes anything, and fails later, or trains on to another end.
"""

import inspect
import math
import re
import warnings
from types import NoneType

from lightning.pytorch import LightningModule
from torch import Tensor

from digits.data.mnist import DATA_MODULE
from digits.model.linear import MATMULS, matmuls
from digits.model.score import Score, scores_of
from digits.runs import counters, optimizer_state, plain_data, recipe
from digits.runs.optimizer_state import Content, is_like
from digits.runs.random_states import check_random_states

OUR_BEST = re.compile(r"val/(acc|loss)_best")
EARLY_STOPPING = "callbacks.early_stopping."
OF_EARLY_STOPPING = {
    "wait_count": int,
    "stopped_epoch": int,
    "best_score": Tensor,
    "patience": int,
    "stopping_reason": int,
    "stopping_reason_message": str | NoneType,
}


def check(content: Content, model: LightningModule) -> None:
    """Raises ValueError, or what looking into other data raises, unless `content` is what `model`,
    with the settings in it, could have come to.
    """
    with warnings.catch_warnings(action="ignore"):  # a tensor says more than no, asked for a name
        _check_parts(content, model)


def _check_parts(content: Content, model: LightningModule) -> None:
    settings, fit = content["settings"], content["loops"]["fit_loop"]
    is_ours = recipe.is_same_class(str(settings.get("data._target_")), DATA_MODULE)
    counters.check(content, model.automatic_optimization, is_ours)
    optimizer_state.check(content, model, fit[counters.SCHEDULE]["total"]["completed"])
    for process in content["processes"]:
        check_random_states(process["random"])
        _check_running_scores(process["scores"], model)
    _check_scores(content["best_scores"], content["metrics"])
    _check_callbacks(content, fit[counters.EPOCHS]["current"]["processed"])
    _check_matmuls(content.get("matmuls", matmuls(model)), model)
    if not re.match(r"2\.\d+\.\d+", content["pytorch-lightning_version"]):
        raise ValueError("it is of another Lightning")
    if not _is_of(content["hyper_parameters"], model):
        raise ValueError("it is of another model")
    if not content["processes"]:
        raise ValueError("it has no process's state")


def _is_of(given: Content, model: LightningModule) -> bool:
    """Whether the hyper-parameters `given` are those of `model`. One that they lack, being newer,
    was at its default.
    """
    now: Content = plain_data.plain_part(dict(model.hparams))
    declared = inspect.signature(type(model)).parameters
    before = {name: declared[name].default for name in now if name in declared} | given
    return before == now


def _check_running_scores(given: Content, model: LightningModule) -> None:
    expected = scores_of(model)
    if given.keys() != expected.keys():
        raise ValueError("its scores are others")
    for name, metric in expected.items():
        state, count = given[name], given[name]["_update_count"]
        expected_state = metric.metric_state | {"_update_count": 0}
        if not is_like(expected_state, state) or type(count) is not int or count < 0:
            raise ValueError(f"{name} is of another kind")
        if isinstance(metric, Score) and not 0 <= state["correct"] <= state["images"]:
            raise ValueError(f"{name} has more right than there are")


def _check_matmuls(given: Content, model: LightningModule) -> None:
    if given.keys() != matmuls(model).keys() or not set(given.values()) <= set(MATMULS):
        raise ValueError("its matrix products are of other layers")


def _check_scores(best: Content, metrics: Content) -> None:
    for name, value in [*best.items(), *metrics.items()]:
        if not isinstance(name, str) or type(value) not in (int, float):
            raise ValueError("its metrics are no numbers")
        if re.fullmatch(r"(train|val)/acc(_best)?", name) and not 0 <= value <= 1:
            raise ValueError(f"its {name} is no fraction")
    told = {name: value for name, value in metrics.items() if OUR_BEST.fullmatch(name)}
    if told.items() - best.items() or best.items() - metrics.items():
        raise ValueError("its best scores disagree")


def _check_callbacks(content: Content, epochs: int) -> None:
    """Of those that come with a run by its settings."""
    callbacks = content["callbacks"]
    if not all(isinstance(state, dict) for state in callbacks.values()):
        raise ValueError("its callbacks have no state")
    for key, state in callbacks.items():
        if key.startswith("EarlyStopping{"):
            _check_early_stopping(state, content)
    if "RunSummary" in callbacks and not _is_summary(callbacks["RunSummary"], epochs):
        raise ValueError("RunSummary has other times or metrics")
    timer = callbacks.get("Timer", {"time_elapsed": {}})
    if not all(map(_is_amount, timer["time_elapsed"].values())):
        raise ValueError("Timer has other times")
    settings = content["settings"]
    if settings.get(f"{EARLY_STOPPING}_target_") == "lightning.pytorch.callbacks.EarlyStopping":
        of = {name: settings.get(f"{EARLY_STOPPING}{name}", "min") for name in ("monitor", "mode")}
        patience = settings.get(f"{EARLY_STOPPING}patience", 3)
        if callbacks[f"EarlyStopping{of}"]["patience"] != patience:
            raise ValueError("EarlyStopping has another patience")


def _is_summary(state: Content, epochs: int) -> bool:
    names = ("fit_seconds", "this_epoch_seconds")
    return (
        all(_is_amount(state[name]) for name in names)
        and (state["images"] is None or (type(state["images"]) is int and state["images"] >= 0))
        and isinstance(state["epoch_seconds"], list)
        and all(map(_is_amount, state["epoch_seconds"]))
        and len(state["epoch_seconds"]) <= epochs
        and all(isinstance(value, str | int | float | None) for value in state["metrics"].values())
    )


def _check_early_stopping(state: Content, content: Content) -> None:
    if state.keys() != OF_EARLY_STOPPING.keys() or not all(
        isinstance(state[name], kind) for name, kind in OF_EARLY_STOPPING.items()
    ):
        raise ValueError("EarlyStopping is of another kind")
    best, waited, stops = state["best_score"], state["wait_count"], content["should_stop"]
    if best.shape != () or best.isnan() or not best.is_floating_point():
        raise ValueError("EarlyStopping has no best score")
    if waited < 0 or (waited >= max(1, state["patience"]) and not stops):
        raise ValueError("EarlyStopping waited for longer than its patience")
    if not 0 <= state["stopped_epoch"] <= content["epoch"] or (
        state["stopping_reason"] != 0 and not stops  # another may have stopped it
    ):
        raise ValueError("EarlyStopping and the run disagree on an end")


def _is_amount(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf  # type: ignore[operator]
