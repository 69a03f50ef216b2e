"""What each setting may be, and how that is said: the settings of commands and, of classes, what
they would take in silence or refuse without a name. Others refuse a value themselves.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from omegaconf import OmegaConf

VALIDATION_METRICS = ("val/acc", "val/loss")
METRICS = ("train/acc", "train/loss", *VALIDATION_METRICS)  # the test set selects nothing
OBJECTIVES = (*METRICS, "fit_seconds")
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true")  # others fork what can't be forked
LARGEST = 3.4e38  # in float32
UNITS = {"weeks", "days", "hours", "minutes", "seconds"}

Rule = tuple[Callable[[Any], bool], str]


def _whole(low: int, high: float = math.inf) -> Rule:
    text = f"a whole number from {low}" + (f" to {high}" if high < math.inf else "")
    return lambda v: type(v) is int and low <= v <= high, text


def _number(accepts: Callable[[float], bool], text: str) -> Rule:
    return lambda v: type(v) in (int, float) and abs(v) < math.inf and accepts(v), text


def _or(rule: Rule, value: object = None, meaning: str = "null") -> Rule:
    return lambda v: v == value or rule[0](v), f"{rule[1]}, or {meaning}"


def _is_duration(value: Any) -> bool:
    if OmegaConf.is_dict(value):
        amounts = list(value.values())
        return set(value) <= UNITS and all(map(_NOT_NEGATIVE[0], amounts)) and any(amounts)
    is_text = isinstance(value, str) and re.fullmatch(r"\d+(:\d\d){3}", value, re.ASCII)
    return bool(is_text) and value.strip("0:") != ""


def _is_interval(value: object) -> bool:
    is_whole, is_share = type(value) is int and value > 0, type(value) is float and 0 < value <= 1
    return is_whole or is_share or _is_duration(value)


def _is_objective(value: Any) -> bool:
    names = list(value) if OmegaConf.is_list(value) else [value]
    return bool(names) and all(isinstance(n, str) and n and not n.startswith("test") for n in names)


def _are_betas(value: Any) -> bool:
    return OmegaConf.is_list(value) and len(value) == 2 and all(map(_FRACTION[0], value))


def _list_of(pattern: str, text: str) -> Rule:
    def accepts(value: object) -> bool:
        return isinstance(value, str) and re.fullmatch(pattern, value) is not None

    return lambda v: OmegaConf.is_list(v) and all(map(accepts, v)), text


_POSITIVE = _number(lambda v: v > 0, "a number above 0")
_NOT_NEGATIVE = _number(lambda v: v >= 0, "a number from 0")
_FRACTION = _number(lambda v: 0 <= v < 1, "a number from 0 to below 1")
_STEP = _number(lambda v: 0 < v <= LARGEST, f"a number above 0, up to {LARGEST:g}")
_FLAG: Rule = (lambda v: type(v) is bool, "true or false")
_COUNT_OR_NO_LIMIT = _or(_whole(1), -1, "-1 for no limit")
_SEED = _whole(0, 2**32 - 1)
_DURATION = "a time above 0 as DD:HH:MM:SS or, for one, {seconds: 90}"
_INTERVAL = f"a fraction up to 1.0, a whole number of batches from 1, or {_DURATION}"
_A_SCORE = "a score that training or validation logs, or a list of them"
_ONE_OF = f"one of {', '.join(STRATEGIES)}, or settings with a _target_"
_PATH: Rule = (lambda v: isinstance(v, str) and v.strip() != "", "a path")
_GROUP: Rule = (OmegaConf.is_dict, "a group of settings")
_MAY_BE_NONE = _or(_GROUP)

RULES: dict[str, Rule] = {
    "data": _GROUP,
    "model": _GROUP,
    "trainer": _GROUP,
    "paths": _GROUP,
    "callbacks": _MAY_BE_NONE,
    "logger": _MAY_BE_NONE,
    "task_name": (lambda v: bool(re.fullmatch(r"[\w-]+", str(v))), "letters, digits, - and _"),
    "tags": _list_of(r"[\w.-]+", "a list of words of letters, digits, -, _ and ."),
    "paths.data_dir": _PATH,
    "paths.outputs_dir": _PATH,
    "paths.output_dir": _PATH,
    "ckpt_path": _or((_PATH[0], "a .ckpt file, latest")),
    "resume": _or((_PATH[0], "a run's folder, latest")),
    "sweep": _or((_PATH[0], "a sweep's folder, latest")),
    "seed": _or(_SEED, None, "null for a new one"),
    "train": _FLAG,
    "test": _FLAG,
    "fail_fast": _FLAG,
    "optimized_metric": _or((_is_objective, _A_SCORE)),
    "replicates": _list_of(r"[a-zA-Z_][\w./]*", "a list of settings' names: [seed,data.fold]"),
    "data.batch_size": _whole(1),
    "data.eval_batch_size": _whole(1),
    "data.val_size": _whole(0),
    "data.seed": _SEED,
    "data.mirrors": _or(_list_of(r"(?s).*://.*", "a list of URLs")),
    "model.hidden_size": _whole(1, 1 << 16),
    "model.optimizer.lr": _STEP,
    "model.optimizer.alpha": _FRACTION,
    "model.optimizer.eps": _POSITIVE,
    "model.optimizer.momentum": _FRACTION,
    "model.optimizer.betas": (_are_betas, "two numbers from 0 to below 1"),
    "model.scheduler.eta_min": _NOT_NEGATIVE,
    "callbacks.early_stopping.patience": _whole(0),
    "callbacks.last.train_time_interval": _POSITIVE,
    "trainer.num_nodes": _whole(1),
    "trainer.oversubscribe": _FLAG,
    "trainer.strategy": (lambda v: v in STRATEGIES or OmegaConf.is_dict(v), _ONE_OF),
    "trainer.max_epochs": _COUNT_OR_NO_LIMIT,
    "trainer.max_steps": _COUNT_OR_NO_LIMIT,
    "trainer.max_time": _or((_is_duration, _DURATION)),
    "trainer.limit_train_batches": _POSITIVE,
    "trainer.accumulate_grad_batches": _whole(1),
    "trainer.check_val_every_n_epoch": _whole(1),
    "trainer.val_check_interval": (_is_interval, _INTERVAL),
    "trainer.gradient_clip_val": _or(_NOT_NEGATIVE),
    "trainer.num_sanity_val_steps": _whole(-1),
    "trainer.log_every_n_steps": _whole(1),
    "model.scheduler.T_max": _whole(1),  # trainer.max_epochs, and named after it
}
