"""Check a run's settings: by rules, before torch is imported, so that an error comes at once; and
by the types that the classes in `_target_` declare.

There is a rule for each setting of a command, and for a class's setting if the class would accept a
wrong value or refuse it without naming it. Classes refuse other wrong values themselves.
"""

import inspect
import logging
import math
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from pydoc import locate
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.resolvers import oc

from digits import signals, text
from digits.errors import InputError
from digits.runs import monitors
from digits.runs.contents import OURS
from digits.text import shown

log = logging.getLogger(__name__)

NUMBERS: dict[object, tuple[type, ...]] = {bool: (bool,), int: (int,), float: (int, float)}
WORDS: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    dict: "settings",
    NoneType: "null",
}

STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true")  # others fork what can't be forked
LARGEST = 3.4e38  # the largest number in float32
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


def _are_parts(value: Any) -> bool:
    names = [*value, *value.values()] if OmegaConf.is_dict(value) else value
    is_some = OmegaConf.is_config(value) and bool(value)
    return is_some and all(isinstance(name, str) and name for name in names)


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
_T_MAX = (
    "a number of epochs from 1: model.scheduler.T_max=3 (it is trainer.max_epochs if not given)"
)
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
    "weights": _or((_PATH[0], "a .ckpt file, a run's folder, latest")),
    "weights_only_of": _or((_are_parts, "[net.1], say, or ours with theirs: {net.1: encoder.0}")),
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
    "data.train_size": _or(_whole(1)),
    "data.folds": _or(_whole(2)),
    "data.fold": _or(_whole(0)),
    "data.seed": _SEED,
    "data.side": _or(_whole(1, 1 << 12)),
    "data.test_share": _number(lambda v: 0 < v < 1, "a number between 0 and 1"),
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
    "model.scheduler.T_max": (_whole(1)[0], _T_MAX),  # after trainer.max_epochs, which it copies
}


def check(cfg: DictConfig) -> None:
    """Raises InputError for the first setting that breaks its rule or contradicts another."""
    missing = object()
    for key in RULES:
        value = OmegaConf.select(cfg, key, default=missing)
        if value is not missing:
            check_value(key, value)
    _check_scores(cfg)
    if OmegaConf.is_missing(cfg, "ckpt_path"):
        raise InputError("ckpt_path: not given; expected ckpt_path=latest or ckpt_path=FILE")
    if cfg.get("weights_only_of") and not cfg.weights:
        raise InputError("weights_only_of: no weights; expected weights=FILE too")
    if cfg.get("weights") and (cfg.ckpt_path is not None or not cfg.train):
        other = "train=false" if cfg.ckpt_path is None else f"ckpt_path={shown(cfg.ckpt_path)}"
        raise InputError(f"weights={shown(cfg.weights)} {other}: expected one of them")
    if not cfg.get("train", True):
        if not cfg.get("test", True):
            raise InputError("train=false test=false: nothing to do; expected one of them true")
        if cfg.get("ckpt_path") is None:
            raise InputError(
                "train=false: nothing to test; expected ckpt_path=latest or ckpt_path=FILE too"
            )


def check_value(key: str, value: object) -> None:
    accepts, expected = RULES[key]
    if not accepts(value):
        raise InputError(f"{key}={shown(value)}: expected {expected}")


def drawn_seed() -> int:
    """Draw the seed for seed=null; the run records it like any other."""
    seed = secrets.randbelow(2**32)
    log.info("seed %d", seed)
    return seed


def _check_scores(cfg: DictConfig) -> None:
    """Raises InputError for a setting that waits for a score which comes too late or never."""
    is_ours = OmegaConf.select(cfg, "model._target_", default=OURS) == OURS
    lacking = _for_validation(cfg)
    for key, score, in_time, is_needed in monitors.awaited(cfg):
        if is_needed and lacking and str(score).startswith("val"):
            raise InputError(f"{key}={shown(score)}: expected {lacking}")
        if is_ours and score not in in_time:  # another model may have other scores
            raise InputError(f"{key}={shown(score)}: expected one of {', '.join(in_time)}")


def _for_validation(cfg: DictConfig) -> str | None:
    """Return what a fit with these settings lacks to validate; None if it does."""
    if cfg.data.get("val_size") == 0 and cfg.data.get("folds") is None:  # others may lack these
        return "data.val_size above 0 too, e.g. 5000"
    if cfg.trainer.get("fast_dev_run"):  # it replaces the limits
        return None
    if cfg.trainer.get("limit_val_batches") == 0:
        return "trainer.limit_val_batches above 0 too"
    every, epochs = (cfg.trainer.get(k) for k in ("check_val_every_n_epoch", "max_epochs"))
    if every is not None and epochs is not None and every > epochs > 0:
        return f"trainer.check_val_every_n_epoch up to trainer.max_epochs={epochs} too"
    return None


def check_types(cfg: DictConfig, prefix: str = "") -> None:
    """Raises InputError for the first setting of another type than its `_target_` declares: many
    classes notice at the end of an epoch, or never. This imports the classes, and torch.
    """
    declared = declared_by(cfg.get("_target_"))
    for name in map(str, cfg):
        key, value, kinds = f"{prefix}{name}", cfg.get(name), [*kinds_of(declared.get(name, Any))]
        if not any(is_of_kind(kind, value) for kind in kinds):
            expected = ", ".join(dict.fromkeys(map(_said, kinds)))
            raise InputError(f"{key}={shown(value)}: expected {expected}")
        if isinstance(value, DictConfig):
            check_types(value, f"{key}.")


def declared_by(target: Any) -> Mapping[str, Any]:
    """Return the types that a class or a function, or what has this name, declares."""
    try:
        found = locate(target) if isinstance(target, str) else target
        return get_type_hints(found.__init__ if inspect.isclass(found) else found)
    except Exception:  # no such name, or names that only type checkers know
        signals.raise_again()  # `locate` may have turned a signal into this error
        return {}


def kinds_of(declared: Any) -> Iterator[Any]:
    """Yield a type's classes or a Literal's values; `object` for a type that can't be compared."""
    kind = get_origin(declared) or declared
    if kind in (Union, UnionType):
        for part in get_args(declared):
            yield from kinds_of(part)
    elif kind is Literal:
        yield from get_args(declared)
    else:
        is_vague = kind is Any or not inspect.isclass(kind) or getattr(kind, "_is_protocol", False)
        yield object if is_vague else kind


def is_of_kind(kind: Any, value: Any) -> bool:
    if not inspect.isclass(kind):
        return type(value) is type(kind) and bool(value == kind)
    if kind in NUMBERS:
        return type(value) in NUMBERS[kind]
    if isinstance(value, DictConfig):  # it may make an object of any type
        return True
    if isinstance(value, ListConfig):
        return _is_a_list(kind)
    return isinstance(value, kind) or (isinstance(value, str) and issubclass(kind, PathLike))


def _said(kind: Any) -> str:
    if not inspect.isclass(kind):
        return str(kind)
    return "a list" if _is_a_list(kind) else WORDS.get(kind, "settings with a _target_")


def _is_a_list(kind: type) -> bool:
    return issubclass(list, kind) or (issubclass(kind, Sequence) and kind is not str)


def watch() -> None:
    """Keep what `oc.env` returns for variables with secret-sounding names out of all texts."""
    OmegaConf.register_new_resolver("oc.env", _env, replace=True)
    text.redact_logs()


def _env(name: str, *default: Any) -> Any:
    if text.sounds_secret(name):
        text.remember([name])
    return oc.env(name, *default)
