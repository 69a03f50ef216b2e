"""What scores are called, whether less is better, and which settings wait for one."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

from omegaconf import DictConfig, OmegaConf

AUTO: Literal["auto"] = "auto"  # takes what the model logs
BEST = "_best"  # the end of a name: the best value of all epochs
DETAILS = (BEST, "_step", "_epoch")  # of names that repeat another score
LESS_IS_BETTER = ("loss", "error", "err", "nll", "mse", "mae", "rmse", "perplexity", "ece", "wer")
NAME = re.compile(r"(train|val|test)[/_](.+?)(?:_epoch)?(?:/dataloader_idx_0)?(_best)?")

VALIDATION_METRICS = ("val/acc", "val/loss")
METRICS = ("train/acc", "train/loss", *VALIDATION_METRICS)  # a test score must not choose anything
OBJECTIVES = (*METRICS, "fit_seconds")

T = TypeVar("T")


def common(name: str) -> str:
    """Return the name that the project's model gives a score: val/acc for val_acc, val_accuracy,
    and for the first of several loaders' val_acc/dataloader_idx_0.
    """
    if not (told := NAME.fullmatch(name)):
        return name
    stage, score, best = told.groups("")
    return f"{stage}/{'acc' if score == 'accuracy' else score}{best}"


def by_common_names(scores: Mapping[str, T]) -> dict[str, T]:
    named: dict[str, T] = {}
    for name, value in scores.items():
        named.setdefault(common(name), value)
    return named | {name: scores[name] for name in named if name in scores}


def by_all_names(scores: Mapping[str, T]) -> dict[str, T]:
    return by_common_names(scores) | dict(scores)


def to_monitor(names: Iterable[str]) -> str | None:
    """Return the score that says when a model is best: validation's accuracy, else its loss, else
    its first one. None without any.
    """
    ranks = {name: rank for rank, name in enumerate(VALIDATION_METRICS)}
    scores = [name for name in names if name.startswith("val") and not name.endswith(DETAILS)]
    order = {name: (ranks.get(common(name), len(ranks)), name not in ranks) for name in scores}
    return min(scores, key=order.__getitem__, default=None)


def less_is_better(name: str, settings: Mapping[str, Any] | None = None) -> bool:
    """Whether less of a score is better: the `mode` of a callback in `settings` that monitors it
    decides; else less is better for seconds, and if the name's last word is in LESS_IS_BETTER.
    """
    name = name.removesuffix(BEST)
    for callback in ((settings or {}).get("callbacks") or {}).values():
        has_monitor = isinstance(callback, Mapping) and callback.get("monitor") == name
        if has_monitor and callback.get("mode") in ("min", "max"):
            return bool(callback["mode"] == "min")
    name, _, _ = common(name).partition("/dataloader_idx_")
    last = name.replace("/", "_").rpartition("_")[2].lower()
    return last in (*LESS_IS_BETTER, "seconds") or last.endswith("error")


def awaited(cfg: DictConfig) -> Iterator[tuple[str, Any, Sequence[str], bool]]:
    """Yield settings that wait for a score: name, score, the project's own scores in time, whether
    it must come.
    """
    if given := cfg.get("optimized_metric"):
        for score in given if OmegaConf.is_list(given) else [given]:
            yield "optimized_metric", score, OBJECTIVES, True
    if (monitor := OmegaConf.select(cfg, "model.scheduler_monitor")) is not None:
        yield "model.scheduler_monitor", monitor, [monitor], True  # the model checks its name
    for name, callback in (cfg.get("callbacks") or {}).items():
        if OmegaConf.is_dict(callback) and callback.get("monitor") not in (None, AUTO):
            in_time = METRICS if _looks_after_epochs(callback, cfg.trainer) else VALIDATION_METRICS
            is_needed = str(callback.get("_target_")).endswith("Stopping")
            yield f"callbacks.{name!s}.monitor", callback.monitor, in_time, is_needed


def _looks_after_epochs(callback: DictConfig, trainer: DictConfig) -> bool:
    """Whether Lightning calls the callback when the epoch's training scores are there."""
    given = callback.get("check_on_train_epoch_end", callback.get("save_on_train_epoch_end"))
    if given is not None:
        return bool(given)
    each = (trainer.get(name, 1) for name in ("val_check_interval", "check_val_every_n_epoch"))
    return all(interval == 1 for interval in each)
