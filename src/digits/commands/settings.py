"""What the settings of a run may be: by the rules, before torch is imported, so that a slip costs
no wait; and by the types that the classes of its `_target_`s declare. Secrets that
`${oc.env:NAME}` brings in stay out of texts and of files' names.
"""

import inspect
import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from pydoc import locate
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, ListConfig, Node, OmegaConf
from omegaconf.resolvers import oc

from digits import text
from digits.commands.rules import METRICS, OBJECTIVES, RULES, VALIDATION_METRICS, Rule
from digits.errors import InputError
from digits.text import redacted, shown

log = logging.getLogger(__name__)

OUR_MODEL = "digits.model.classifier.DigitClassifier"
NAMES_A_FILE = re.compile(
    r"(.*[._])?(dir|dirpath|subdir|file|filename|path|root|name|version|prefix)"
)
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
MADE = "settings with a _target_"


def check(cfg: DictConfig) -> None:
    """Raises InputError for the first setting that is wrong: its name, what was given, what is
    accepted.
    """
    missing = object()
    for key in RULES:
        value = OmegaConf.select(cfg, key, default=missing)
        if value is not missing:
            check_value(key, value)
    callbacks = cfg.get("callbacks") or OmegaConf.create()
    if cfg.data.get("val_size") == 0:  # another data module may have its own way to say so
        _check_without_validation(cfg, callbacks)
    if OmegaConf.select(cfg, "model._target_", default=OUR_MODEL) == OUR_MODEL:
        _check_scores(cfg, callbacks)  # another model may have other scores
    if OmegaConf.is_missing(cfg, "ckpt_path"):
        raise InputError("ckpt_path: not given; expected ckpt_path=latest or ckpt_path=FILE")
    if not cfg.get("train", True) and not cfg.get("test", True):
        raise InputError("train=false test=false: nothing to do; expected one of them true")
    if cfg.get("ckpt_path") is None and not cfg.get("train", True):
        raise InputError(
            "train=false: nothing to test; expected ckpt_path=latest or ckpt_path=FILE too"
        )


def check_value(key: str, value: object, rule: Rule | None = None) -> None:
    accepts, text = rule or RULES[key]
    if not accepts(value):
        raise InputError(f"{key}={shown(value)}: expected {text}")


def drawn_seed() -> int:
    """For seed=null: the run then records it as it does any other."""
    seed = secrets.randbelow(2**32)
    log.info("seed %d", seed)
    return seed


def _check_scores(cfg: DictConfig, callbacks: DictConfig) -> None:
    """Raises InputError for what waits for a score which never comes, or later."""
    for metric in _objectives(cfg):
        if metric not in OBJECTIVES:
            expected = ", ".join(OBJECTIVES)
            raise InputError(f"optimized_metric={shown(metric)}: expected one of {expected}")
    for name, node in callbacks.items():
        monitor = node.get("monitor") if OmegaConf.is_dict(node) else None
        if monitor is None:
            continue
        accepted = METRICS if _looks_after_epochs(node, cfg.trainer) else VALIDATION_METRICS
        if monitor not in accepted:
            key, names = f"callbacks.{name!s}.monitor", ", ".join(accepted)
            raise InputError(f"{key}={shown(monitor)}: expected one of {names}")


def _check_without_validation(cfg: DictConfig, callbacks: DictConfig) -> None:
    """Raises InputError for what waits for a score of validation, which there won't be."""
    monitors = [("optimized_metric", metric) for metric in _objectives(cfg)]
    monitors += [("model.scheduler_monitor", OmegaConf.select(cfg, "model.scheduler_monitor"))]
    for name, node in callbacks.items():
        if OmegaConf.is_dict(node) and str(node.get("_target_")).endswith("Stopping"):
            monitors += [(f"callbacks.{name!s}.monitor", node.get("monitor"))]
    for key, monitor in monitors:
        if str(monitor).startswith("val"):
            raise InputError(
                f"{key}={shown(monitor)}: expected data.val_size above 0 too, e.g. 5000"
            )


def _objectives(cfg: DictConfig) -> list[Any]:
    metric = cfg.get("optimized_metric")
    return list(metric) if OmegaConf.is_list(metric) else [] if metric is None else [metric]


def _looks_after_epochs(callback: DictConfig, trainer: DictConfig) -> bool:
    """Whether a callback looks at its score when training's are there, as Lightning decides it."""
    for key in ("check_on_train_epoch_end", "save_on_train_epoch_end"):
        if callback.get(key) is not None:
            return bool(callback[key])
    return bool(trainer.val_check_interval == trainer.check_val_every_n_epoch == 1)


def check_types(cfg: DictConfig, name: str = "") -> None:
    """Raises InputError for the first setting of another type than its `_target_` declares: many a
    class finds out at the end of an epoch, or never. The classes are imported, torch with them.
    """
    declared = _declared(cfg.get("_target_"))
    for key in map(str, cfg):
        value, full_key = cfg.get(key), f"{name}{key}"
        kind = declared.get(key, Any)
        if not _accepts(kind, value):
            expected = ", ".join(dict.fromkeys(_words(kind)))
            raise InputError(f"{full_key}={shown(value)}: expected {expected}")
        if isinstance(value, DictConfig):
            check_types(value, f"{full_key}.")


def _declared(target: str | None) -> Mapping[str, Any]:
    try:
        found = locate(target) if target else None
        return get_type_hints(found.__init__ if inspect.isclass(found) else found)
    except Exception:  # nothing of that name, or names only a type checker knows
        return {}


def _accepts(kind: Any, value: Any) -> bool:
    if get_origin(kind) in (Union, UnionType):
        return any(_accepts(part, value) for part in get_args(kind))
    if get_origin(kind) is Literal:
        return any(type(value) is type(one) and value == one for one in get_args(kind))
    kind = get_origin(kind) or kind
    if kind in NUMBERS:
        return type(value) in NUMBERS[kind]
    if not _is_checkable(kind) or isinstance(value, DictConfig):  # that is made into anything
        return True
    if isinstance(value, ListConfig):
        return _is_a_list(kind)
    return isinstance(value, kind) or (isinstance(value, str) and issubclass(kind, PathLike))


def _is_checkable(kind: Any) -> bool:
    return inspect.isclass(kind) and kind is not Any and not getattr(kind, "_is_protocol", False)


def _words(kind: Any) -> Iterator[str]:
    if get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from _words(part)
    elif get_origin(kind) is Literal:
        yield from map(str, get_args(kind))
    else:
        kind = get_origin(kind) or kind
        yield "a list" if _is_checkable(kind) and _is_a_list(kind) else WORDS.get(kind, MADE)


def _is_a_list(kind: type) -> bool:
    return issubclass(list, kind) or (issubclass(kind, Sequence) and kind is not str)


def watch() -> None:
    """From here on what `oc.env` gives for variables that sound secret is kept out of texts, and
    refused where it would name a file.
    """
    OmegaConf.register_new_resolver("oc.env", _env, replace=True)
    text.redact_logs()


def check_names(cfg: DictConfig, prefix: str = "") -> None:
    """Raises InputError where a secret came into a file's name by way of another setting."""
    for key in map(str, cfg):
        value, name = cfg.get(key), f"{prefix}{key}"
        if isinstance(value, DictConfig):
            check_names(value, f"{name}.")
        elif isinstance(value, str) and NAMES_A_FILE.fullmatch(name) and redacted(value) != value:
            raise _in_a_name(name, redacted(value))


def _env(name: str, *default: Any, _node_: Node) -> Any:
    if text.sounds_secret(name) and name in os.environ:
        text.remember([name])
        key = _node_._get_full_key("")
        if NAMES_A_FILE.fullmatch(key):
            raise _in_a_name(key, _node_._value())
    return oc.env(name, *default)


def _in_a_name(key: str, value: object) -> InputError:
    return InputError(f"{key}={value}: a file's name; expected no secret in it")
