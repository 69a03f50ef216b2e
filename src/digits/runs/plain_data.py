"""Make a checkpoint plain data before it is written, and tensors of what is read."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from digits.errors import InputError
from digits.text import flat, redacted

OF_HYPER_PARAMETERS = ("hyper_parameters", "datamodule_hyper_parameters", "hparams_type")


def of_checkpoint(content: dict[str, Any]) -> dict[str, Any]:
    """Return `content` as plain dicts, lists, tuples, numbers, strings and tensors.

    Hyper-parameters that are no plain data (save_hyperparameters() also takes a network or an
    optimizer's factory) are left out, since the run's settings name them; so are a schedule's
    functions. Raises InputError for any other object in a state.
    """
    return {
        name: _plain_part(part) if name in OF_HYPER_PARAMETERS else _plain(part, name)
        for name, part in content.items()
    }


def _plain_part(value: Any) -> dict[str, Any]:
    """Return the plain hyper-parameters, without secrets; an empty dict if `value` is no dict."""
    kept = {}
    for name, part in value.items() if isinstance(value, dict) else ():
        with suppress(InputError):
            kept[str(name)] = _plain(part, str(name), redacted)
    return kept


def _plain(value: Any, name: str, of_text: Callable[[str], str] = str) -> Any:
    """Return `value` in plain types. Raises InputError, which calls it `name`, if it has none."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, Tensor):
        return value.detach() if isinstance(value, nn.Parameter) else value
    if isinstance(value, str):
        return of_text(str(value))  # a StrEnum becomes its text
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)  # an IntEnum becomes its number
    if isinstance(value, dict):
        return {
            _plain(key, name): _plain(part, f"{name}.{key!s}", of_text)
            for key, part in value.items()
            if not callable(part)
        }
    if isinstance(value, list | tuple):
        parts = [_plain(part, name, of_text) for part in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    there_is = f"{type(value).__module__}.{type(value).__qualname__}"
    raise InputError(
        f"checkpoint: {flat(name)[:120]} is a {there_is}; expected plain data in the state of "
        "modules and callbacks: numbers, strings, lists, dicts, tensors"
    )


def tensor(values: NDArray[Any], kind: str) -> Tensor:
    """Make what `archive.content` reads a tensor, on the CPU."""
    made = torch.from_numpy(values)
    return made.view(torch.bfloat16) if kind == "BFloat16" else made
