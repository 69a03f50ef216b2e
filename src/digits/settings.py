"""What the settings of a run may be. Checked before torch is imported, so that a slip costs no
wait.
"""

import logging
import math
import re
import secrets
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any

from omegaconf import DictConfig, OmegaConf

from digits.errors import InputError
from digits.redact import redacted

log = logging.getLogger(__name__)

TRAIN_IMAGES = 60_000
ELSEWHERE = ("data.data_dir", "data.mirrors")  # where the images are is not what they are
DECISIVE = tuple(
    f"trainer.{name}"
    for name in (
        "precision",
        "limit_train_batches",
        "limit_val_batches",
        "overfit_batches",
        "check_val_every_n_epoch",
        "val_check_interval",
        "gradient_clip_val",
        "gradient_clip_algorithm",
        "min_epochs",
        "min_steps",
        "deterministic",
        "accumulate_grad_batches",
    )
)
METRICS = ("train/acc", "train/loss", "val/acc", "val/loss")  # the test set selects nothing

Rule = tuple[Callable[[Any], bool], str]


def _whole(low: int, high: float = math.inf) -> Rule:
    text = f"a whole number from {low}" + (f" to {high}" if high < math.inf else "")
    return lambda v: type(v) is int and low <= v <= high, text


def _number(accepts: Callable[[float], bool], text: str) -> Rule:
    return lambda v: type(v) in (int, float) and math.isfinite(v) and accepts(v), text


def _or(value: object, meaning: str, rule: Rule) -> Rule:
    return lambda v: v == value or rule[0](v), f"{rule[1]}, or {meaning}"


def _one_of(*values: object) -> Rule:
    return lambda v: v in values, "one of " + ", ".join(map(str, values))


def _are_urls(value: object) -> bool:
    urls = value if OmegaConf.is_list(value) else [None]
    return all(isinstance(url, str) and "://" in url for url in urls)  # type: ignore[attr-defined]


_POSITIVE = _number(lambda v: v > 0, "a number above 0")
_FRACTION = _number(lambda v: 0 <= v < 1, "a number from 0 to below 1")
_FLAG: Rule = (lambda v: type(v) is bool, "true or false")

_SHARE = _number(lambda v: v >= 0, "a fraction up to 1.0, or a whole number of batches")
_PATH: Rule = (lambda v: isinstance(v, str) and v.strip() != "", "a path")

RULES: dict[str, Rule] = {
    "task_name": (lambda v: bool(re.fullmatch(r"[\w-]+", str(v))), "letters, digits, - and _"),
    "paths.data_dir": _PATH,
    "paths.outputs_dir": _PATH,
    "ckpt_path": _or(None, "null", (_PATH[0], "a .ckpt file, latest")),
    "resume": _or(None, "null", (_PATH[0], "a run's folder, latest")),
    "callbacks.last.train_time_interval": _POSITIVE,
    "seed": _or(None, "null for a new one", _whole(0, 2**32 - 1)),
    "train": _FLAG,
    "test": _FLAG,
    "optimized_metric": _or(None, "null", _one_of(*METRICS)),
    "data.batch_size": _whole(1, TRAIN_IMAGES),
    "data.eval_batch_size": _whole(1, TRAIN_IMAGES),
    "data.val_size": _whole(0, TRAIN_IMAGES - 1),
    "data.seed": _whole(0, 2**32 - 1),
    "data.mirrors": _or(None, "null", (_are_urls, "a list of URLs")),
    "model.hidden_size": _whole(1, 1 << 16),
    "model.optimizer.lr": _POSITIVE,
    "model.optimizer.alpha": _FRACTION,
    "model.optimizer.eps": _POSITIVE,
    "model.optimizer.momentum": _FRACTION,
    "model.optimizer.weight_decay": _number(lambda v: v >= 0, "a number from 0"),
    "model.scheduler.T_max": _whole(1),
    "trainer.max_epochs": _or(-1, "-1 for no limit", _whole(1)),
    "trainer.max_steps": _or(-1, "-1 for no limit", _whole(1)),
    "trainer.limit_train_batches": _number(lambda v: v > 0, "a number above 0"),
    "trainer.limit_val_batches": _SHARE,
    "trainer.limit_test_batches": _SHARE,
    "trainer.overfit_batches": _SHARE,
    "trainer.accumulate_grad_batches": _whole(1),
    "trainer.check_val_every_n_epoch": _whole(1),
    "trainer.num_sanity_val_steps": _whole(-1),
    "trainer.log_every_n_steps": _whole(1),
    "trainer.precision": _one_of("32-true", "16-mixed", "bf16-mixed"),
    "trainer.accelerator": _one_of("auto", "cpu", "gpu", "cuda", "mps"),
}


def check(cfg: DictConfig) -> None:
    """Raises InputError for the first setting that is wrong: its name, what was given, what is
    accepted.
    """
    for key, (accepts, text) in RULES.items():
        missing = object()
        value = OmegaConf.select(cfg, key, default=missing)
        if value is not missing and not accepts(value):
            raise InputError(f"{key}={_shown(value)}: expected {text}")
    _check_validation(cfg)
    if OmegaConf.is_missing(cfg, "ckpt_path"):
        raise InputError("ckpt_path: not given; expected ckpt_path=latest or ckpt_path=FILE")
    if not cfg.get("train", True) and not cfg.get("test", True):
        raise InputError("train=false test=false: nothing to do; expected one of them true")
    if cfg.get("ckpt_path") is None and not cfg.get("train", True):
        raise InputError(
            "train=false: nothing to test; expected ckpt_path=latest or ckpt_path=FILE too"
        )


def draw_seed(cfg: DictConfig) -> bool:
    """seed=null: draw one, which the run then records as it does any other."""
    if cfg.seed is not None:
        return False
    cfg.seed = secrets.randbelow(2**32)
    log.info("seed %d", cfg.seed)
    return True


def decisive(cfg: DictConfig) -> dict[str, str | int | float | bool | None]:
    """The settings that decide a run's weights, by their names on the command line."""
    keys = [*(key for group in ("data", "model") for key in _keys(cfg[group], f"{group}."))]
    keys = ["seed", *(key for key in keys if key not in ELSEWHERE), *DECISIVE]
    if early_stopping := OmegaConf.select(cfg, "callbacks.early_stopping"):
        keys += _keys(early_stopping, "callbacks.early_stopping.")
    values = {key: OmegaConf.select(cfg, key) for key in keys}
    return {
        key: value if isinstance(value, int | float | None) else redacted(str(value))
        for key, value in values.items()
        if not OmegaConf.is_dict(value)
    }


def _check_validation(cfg: DictConfig) -> None:
    if cfg.data.val_size:
        return
    metric = cfg.get("optimized_metric") or ""
    if metric.startswith("val/"):
        raise InputError(
            f"optimized_metric={metric}: expected data.val_size above 0 too, e.g. 5000"
        )
    for name in cfg.get("callbacks") or {}:
        if OmegaConf.select(cfg, f"callbacks.{name}._target_", default="").endswith("Stopping"):
            raise InputError(f"callbacks.{name}: expected data.val_size above 0 too, e.g. 5000")


def closest(key: str, cfg: DictConfig) -> str | None:
    """The setting or group in `cfg` whose name is nearest to `key`."""
    close = get_close_matches(key, list(_keys(cfg, "")), n=1)
    return close[0] if close else None


def _keys(cfg: DictConfig, prefix: str) -> Iterator[str]:
    for key in map(str, cfg):
        yield f"{prefix}{key}"
        if OmegaConf.is_dict(cfg._get_node(key)):
            yield from _keys(cfg[key], f"{prefix}{key}.")


def _shown(value: object) -> str:
    """As one writes it on the command line."""
    words: dict[object, str] = {None: "null", True: "true", False: "false"}
    is_word = value is None or isinstance(value, bool)
    return words[value] if is_word else str(value).replace(" ", "")
