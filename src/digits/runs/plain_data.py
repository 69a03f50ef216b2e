"""Making a checkpoint plain data, so that reading it runs nothing that is in it."""

from typing import Any

import numpy as np
from torch import Tensor, nn

from digits.errors import InputError
from digits.text import flat, redacted

OF_HYPER_PARAMETERS = ("hyper_parameters", "datamodule_hyper_parameters", "hparams_type")


def of_checkpoint(content: dict[str, Any]) -> dict[str, Any]:
    """`content` in plain dicts, lists, tuples, numbers, strings and tensors.

    Of hyper-parameters, which save_hyperparameters() takes from any argument (a network, say, or an
    optimizer's factory), the plain ones stay: the run's settings name the rest. A schedule's
    functions are left out, too. Raises InputError for any other object in a state.
    """
    kept = {name: plain_part(content[name]) for name in OF_HYPER_PARAMETERS if name in content}
    return {
        name: kept[name] if name in kept else plain(part, name) for name, part in content.items()
    }


def plain(value: Any, name: str) -> Any:
    """`value` in plain types. Raises InputError, calling it `name`, for what has none."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, Tensor):
        return value.detach() if isinstance(value, nn.Parameter) else value
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)  # an IntEnum's number
    if isinstance(value, dict):
        return {
            plain(key, name): plain(part, f"{name}.{key!s}")
            for key, part in value.items()
            if not callable(part)
        }
    if isinstance(value, list | tuple):
        parts = [plain(part, name) for part in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    there_is = f"{type(value).__module__}.{type(value).__qualname__}"
    raise InputError(
        f"checkpoint: {flat(name)[:120]} is a {there_is}; expected plain data in the state of "
        "modules and callbacks: numbers, strings, lists, dicts, tensors"
    )


def plain_part(value: Any) -> Any:
    """What of hyper-parameters is plain, without secrets: a dict, or nothing of any other kind."""
    if not isinstance(value, dict):
        return {}
    kept = {}
    for name, part in value.items():
        try:
            kept[str(name)] = _redacted(plain(part, str(name)))
        except InputError:
            continue
    return {name: part for name, part in kept.items() if not callable(value[name])}


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _redacted(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_redacted, value))
    return redacted(value) if isinstance(value, str) else value
