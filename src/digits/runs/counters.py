"""Checks that the counters of Lightning's loops in a checkpoint are possible, and agree. Lightning
takes any, and trains from there.
"""

from typing import Any

from lightning.pytorch.loops.progress import (
    _BatchProgress,
    _OptimizationProgress,
    _Progress,
    _ReadyCompletedTracker,
    _SchedulerProgress,
)

Counts = dict[str, int]

EPOCHS, BATCHES = "epoch_progress", "epoch_loop.batch_progress"
STEPS = "epoch_loop.automatic_optimization.optim_progress"
OWN_STEPS = "epoch_loop.manual_optimization.optim_step_progress"
SCHEDULE = "epoch_loop.scheduler_progress"
KEPT: dict[str, dict[str, Any]] = {
    EPOCHS: _Progress().state_dict(),
    BATCHES: _BatchProgress().state_dict(),
    STEPS: _OptimizationProgress().state_dict(),
    OWN_STEPS: _Progress.from_defaults(_ReadyCompletedTracker).state_dict(),
    SCHEDULE: _SchedulerProgress().state_dict(),
    "epoch_loop.val_loop.batch_progress": _BatchProgress().state_dict(),
}
IN_TURN = ("ready", "started", "processed", "completed")


def check(content: dict[str, Any], automatic: bool, counts_data: bool) -> None:
    """Raises ValueError, or what looking into other data raises, unless each counter could be, and
    they agree with each other: of a module whose optimization is `automatic`, and data that
    `counts_data` as `Batches` do.
    """
    fit = content["loops"]["fit_loop"]
    for name, fresh in KEPT.items():
        _check_form(name, fresh, fit[name])
    epochs, batches = fit[EPOCHS]["current"], fit[BATCHES]["current"]
    steps = (fit[STEPS]["optimizer"]["step"] if automatic else fit[OWN_STEPS])["total"]["completed"]
    done = fit[BATCHES]["total"]["processed"]
    loaders = fit["state_dict"].get("combined_loader")
    rules = {
        "epoch": content["epoch"] == epochs["completed"],
        "global_step": content["global_step"] == steps,
        "all epochs": fit[EPOCHS]["total"]["processed"] == epochs["processed"],
        "all batches": all(batches[event] <= fit[BATCHES]["total"][event] for event in IN_TURN),
        "batches and steps": not automatic or steps <= done,
        "batches and epochs": _fits_epochs(done - batches["processed"], epochs),
        "batches and data": not counts_data or loaders == [{"given": batches["ready"]}],
        "the place in a step": not automatic or _has_a_place(fit, steps),
    }
    for name, holds in rules.items():
        if not holds:
            raise ValueError(f"its counters disagree: {name}")


def _check_form(name: str, expected: Any, given: Any) -> None:
    """Raises ValueError unless `given` has the counters of `expected`, in the order of events."""
    if type(given) is not type(expected):
        raise ValueError(f"{name} is of another kind")
    if not isinstance(given, dict):
        return
    if given.keys() != expected.keys():
        raise ValueError(f"{name} has other parts")
    for key, value in expected.items():
        _check_form(name, value, given[key])
    counts = [given[event] for event in IN_TURN if event in given] or [0]
    first, last = counts[0], counts[-1]
    if counts != sorted(counts, reverse=True) or last < 0 or first > last + 1:
        raise ValueError(f"{name} counts what can't be")


def _lag(counts: Counts) -> int:
    """How many have begun and are not complete."""
    return counts["ready"] - counts["completed"]


def _fits_epochs(earlier_batches: int, epochs: Counts) -> bool:
    """Whether epochs before this one, or the last, had at least a batch each."""
    under_way = epochs["ready"] > epochs["processed"]
    earlier = max(0, epochs["processed"] - (not under_way))
    return earlier_batches >= earlier if earlier else earlier_batches == 0


def _has_a_place(fit: dict[str, Any], steps: int) -> bool:
    """Whether a state between two steps has nothing half done, and another one has."""
    place, epochs, batches = fit["epoch_loop.state_dict"], fit[EPOCHS], fit[BATCHES]
    logged = place["_batches_that_stepped"]
    between = place.get("between_steps", False)
    if place.keys() - {"_batches_that_stepped", "between_steps"} or type(logged) is not int:
        return False
    lags = [_lag(batches[kind]) for kind in ("total", "current")]
    if between is True:
        begun = epochs["current"]["started"] == epochs["current"]["ready"]
        return logged == steps and lags == [0, 0] and begun and not batches["is_last_batch"]
    return between is False and steps - 1 <= logged <= steps
