"""Checks settings against the types that their classes declare: bool, int, a Profiler, ..."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra._internal.utils import _locate  # hydra.utils.get_object logs what isn't there
from omegaconf import DictConfig, ListConfig

from digits.errors import InputError, shown

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


def check(cfg: DictConfig, name: str = "") -> None:
    """Raises InputError for the first setting that its `_target_` declares to be of other kinds:
    many a class finds out at the end of an epoch, or never.
    """
    declared = _declared(cfg.get("_target_"))
    for key in map(str, cfg):
        value, full_key = cfg.get(key), f"{name}{key}"
        kind = declared.get(key, Any)
        if not _accepts(kind, value):
            expected = ", ".join(dict.fromkeys(_words(kind)))
            raise InputError(f"{full_key}={shown(value)}: expected {expected}")
        if isinstance(value, DictConfig):
            check(value, f"{full_key}.")


def _declared(target: str | None) -> Mapping[str, Any]:
    if target is None:
        return {}
    try:
        found = _locate(target)
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
