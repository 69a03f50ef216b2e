"""What each setting may be, and how that is said."""

import math
import re
from collections.abc import Callable
from typing import Any

from omegaconf import OmegaConf

from digits.data.mnist import TRAIN_IMAGES

VALIDATION_METRICS = ("val/acc", "val/loss")
METRICS = ("train/acc", "train/loss", *VALIDATION_METRICS)  # the test set selects nothing
OBJECTIVES = (*METRICS, "fit_seconds")
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true")  # others fork what can't be forked
LARGEST = 3.4e38  # in float32
UNITS = {"weeks", "days", "hours", "minutes", "seconds"}
PRECISIONS = (
    "32-true", "32", "16-mixed", "16", "16-true", "bf16-mixed", "bf16", "bf16-true", "64-true",
    "64", "transformer-engine", "transformer-engine-float16",
)  # fmt: skip

Rule = tuple[Callable[[Any], bool], str]


def _whole(low: int, high: float = math.inf) -> Rule:
    text = f"a whole number from {low}" + (f" to {high}" if high < math.inf else "")
    return lambda v: type(v) is int and low <= v <= high, text


def _number(accepts: Callable[[float], bool], text: str) -> Rule:
    return lambda v: type(v) in (int, float) and math.isfinite(v) and accepts(v), text


def _or(value: object, meaning: str, rule: Rule) -> Rule:
    return lambda v: v == value or rule[0](v), f"{rule[1]}, or {meaning}"


def _or_an_object(rule: Rule) -> Rule:
    return lambda v: OmegaConf.is_dict(v) or rule[0](v), f"{rule[1]}, or settings with a _target_"


def _one_of(*values: object) -> Rule:
    return lambda v: v in values, "one of " + ", ".join(map(str, values))


def _or_some(rule: Rule) -> Rule:
    def accepts(value: Any) -> bool:
        values = list(value) if OmegaConf.is_list(value) else [value]
        return bool(values) and all(map(rule[0], values))

    return accepts, f"{rule[1]}, or a list of them"


def _is_duration(value: object) -> bool:
    parts = re.fullmatch(r"(\d+):(\d\d):(\d\d):(\d\d)", value) if isinstance(value, str) else None
    if OmegaConf.is_dict(value):
        amounts = list(value.values())  # type: ignore[attr-defined]
        are_numbers = all(type(v) in (int, float) and 0 <= v < math.inf for v in amounts)
        return set(value) <= UNITS and are_numbers and any(amounts)  # type: ignore[call-overload]
    return parts is not None and any(map(int, parts.groups()))


def _is_interval(value: object) -> bool:
    is_whole, is_share = type(value) is int and value > 0, type(value) is float and 0 < value <= 1
    return is_whole or is_share or _is_duration(value)


def _are_urls(value: object) -> bool:
    urls = value if OmegaConf.is_list(value) else [None]
    return all(isinstance(url, str) and "://" in url for url in urls)  # type: ignore[attr-defined]


def _are_words(value: object) -> bool:
    words = value if OmegaConf.is_list(value) else [None]
    return all(isinstance(w, str) and re.fullmatch(r"[\w.-]+", w) for w in words)  # type: ignore[attr-defined]


def _are_fractions(value: object) -> bool:
    parts = list(value) if OmegaConf.is_list(value) else []  # type: ignore[call-overload]
    return len(parts) == 2 and all(type(v) in (int, float) and 0 <= v < 1 for v in parts)


_POSITIVE = _number(lambda v: v > 0, "a number above 0")
_NOT_NEGATIVE = _number(lambda v: v >= 0, "a number from 0")
_FRACTION = _number(lambda v: 0 <= v < 1, "a number from 0 to below 1")
_FLAG: Rule = (lambda v: type(v) is bool, "true or false")

_SHARE = _number(lambda v: v >= 0, "a fraction up to 1.0, or a whole number of batches")
_DURATION = "a time above 0 as DD:HH:MM:SS or, for one, {seconds: 90}"
_STEP = _number(lambda v: 0 < v <= LARGEST, f"a number above 0, up to {LARGEST:g}")
_PATH: Rule = (lambda v: isinstance(v, str) and v.strip() != "", "a path")

_GROUP: Rule = (OmegaConf.is_dict, "a group of settings")
_MAY_BE_NONE = _or(None, "null", _GROUP)

RULES: dict[str, Rule] = {
    "data": _GROUP,
    "model": _GROUP,
    "trainer": _GROUP,
    "paths": _GROUP,
    "callbacks": _MAY_BE_NONE,
    "logger": _MAY_BE_NONE,
    "task_name": (lambda v: bool(re.fullmatch(r"[\w-]+", str(v))), "letters, digits, - and _"),
    "tags": (_are_words, "a list of words of letters, digits, -, _ and ."),
    "paths.data_dir": _PATH,
    "paths.outputs_dir": _PATH,
    "paths.output_dir": _PATH,
    "ckpt_path": _or(None, "null", (_PATH[0], "a .ckpt file, latest")),
    "resume": _or(None, "null", (_PATH[0], "a run's folder, latest")),
    "callbacks.last.train_time_interval": _POSITIVE,
    "seed": _or(None, "null for a new one", _whole(0, 2**32 - 1)),
    "train": _FLAG,
    "test": _FLAG,
    "optimized_metric": _or(None, "null", _or_some(_one_of(*OBJECTIVES))),
    "sweep": _or(None, "null", (_PATH[0], "a sweep's folder, latest")),
    "fail_fast": _FLAG,
    "data.batch_size": _whole(1),
    "data.eval_batch_size": _whole(1),
    "data.val_size": _whole(0),
    "data.seed": _whole(0, 2**32 - 1),
    "data.mirrors": _or(None, "null", (_are_urls, "a list of URLs")),
    "model.hidden_size": _whole(1, 1 << 16),
    "model.optimizer.lr": _STEP,
    "model.optimizer.alpha": _FRACTION,
    "model.optimizer.eps": _POSITIVE,
    "model.optimizer.momentum": _FRACTION,
    "model.optimizer.weight_decay": _NOT_NEGATIVE,
    "model.scheduler.eta_min": _NOT_NEGATIVE,
    "callbacks.early_stopping.patience": _whole(0),
    "trainer.num_nodes": _whole(1),
    "trainer.oversubscribe": _FLAG,
    "trainer.max_epochs": _or(-1, "-1 for no limit", _whole(1)),
    "trainer.max_steps": _or(-1, "-1 for no limit", _whole(1)),
    "trainer.max_time": _or(None, "null", (_is_duration, _DURATION)),
    "trainer.strategy": _or_an_object(_one_of(*STRATEGIES)),
    "trainer.limit_train_batches": _number(lambda v: v > 0, "a number above 0"),
    "trainer.limit_val_batches": _SHARE,
    "trainer.limit_test_batches": _SHARE,
    "trainer.overfit_batches": _SHARE,
    "trainer.accumulate_grad_batches": _whole(1),
    "trainer.check_val_every_n_epoch": _whole(1),
    "trainer.val_check_interval": (
        _is_interval,
        f"a fraction up to 1.0, a whole number of batches from 1, or {_DURATION}",
    ),
    "trainer.gradient_clip_val": _or(None, "null", _NOT_NEGATIVE),
    "trainer.num_sanity_val_steps": _whole(-1),
    "trainer.log_every_n_steps": _whole(1),
    "trainer.precision": (lambda v: str(v) in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
    "trainer.accelerator": _one_of("auto", "cpu", "gpu", "cuda", "mps"),
    "model.scheduler.T_max": _whole(1),  # trainer.max_epochs, and named after it
    "model.scheduler_interval": _one_of("epoch", "step"),
    "model.optimizer.betas": (_are_fractions, "two numbers from 0 to below 1"),
}

# By the data set's class, where its facts are known without torch; others look when they are read
DATA_RULES: dict[str, dict[str, Rule]] = {
    "digits.data.datamodule.MNISTDataModule": {
        "data.batch_size": _whole(1, TRAIN_IMAGES),
        "data.eval_batch_size": _whole(1, TRAIN_IMAGES),
        "data.val_size": _whole(0, TRAIN_IMAGES - 1),
    }
}
