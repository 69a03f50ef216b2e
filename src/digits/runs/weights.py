"""Give a new run the weights of a checkpoint, or a part of them."""

import logging
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from torch import nn

from digits.errors import InputError
from digits.files import relative
from digits.runs import checkpoint, configs
from digits.runs.checkpoint import Checkpoint
from digits.text import shown

log = logging.getLogger(__name__)

Weights = Mapping[str, Any]  # tensors by name; a module may have an extra state
Parts = Sequence[str] | Mapping[str, str]  # beginnings of names; or ours, each with theirs


def read(path: str) -> Checkpoint:
    try:
        return checkpoint.read(path)
    except InputError as error:
        raise _of_weights(error) from error


def sizes(path: str) -> dict[str, int]:
    """Return the sizes of the project's network in the checkpoint; none for another model."""
    content = read(path)
    if not configs.is_ours(content) or "hidden_size" not in content["hyper_parameters"]:
        return {}
    try:
        checkpoint.network_of(path, content)  # the file may ask for any sizes
    except InputError as error:
        raise _of_weights(error) from error
    return dict(content["hyper_parameters"])


def take(path: str, only: Parts | None, model: nn.Module) -> None:
    """Load the weights at `path` into `model`, or `only` some parts of them. Raises InputError for
    weights that do not fit.
    """
    content = read(path)
    try:
        if only is None:
            taken = checkpoint.check_fits(path, model, content)["state_dict"]
        else:
            taken = _parts(path, only, content["state_dict"], model)
    except InputError as error:
        hint = "; weights_only_of=[NAME] takes a part" if only is None else ""
        raise _of_weights(error, hint) from error
    model.load_state_dict(taken, strict=only is None)
    log.info("weights of %s: %d tensors", relative(path), len(taken))


def _parts(path: str, only: Parts, theirs: Weights, model: nn.Module) -> Weights:
    """Return the weights under the names in `only`, with our names. Raises InputError for a name
    that matches nothing, and for shapes that differ.
    """
    pairs = only if isinstance(only, Mapping) else {name: name for name in only}
    ours = model.state_dict()
    taken: dict[str, Any] = {}
    wanted: dict[str, Any] = {}
    for here, there in pairs.items():
        wanted |= _under(here, ours, "the model")
        found = _under(there, theirs, f"{relative(path)[:80]}")
        taken |= {here + name[len(there) :]: weight for name, weight in found.items()}
    checkpoint.check_same(path, taken, wanted, {name for name, _ in model.named_parameters()})
    return taken


def _under(prefix: str, weights: Weights, where: str) -> Weights:
    found = {n: w for n, w in weights.items() if f"{n}.".startswith(f"{prefix}.")}
    if not found:
        modules = sorted({name.rpartition(".")[0] or name for name in weights})
        names = get_close_matches(prefix, modules, n=3) or modules[:8]
        there_are = shown(", ".join(names) or "none")
        raise InputError(
            f"weights_only_of={prefix}: {where} has no such weights; there are: {there_are}"
        )
    return found


def _of_weights(error: InputError, hint: str = "") -> InputError:
    line = str(error).replace("ckpt_path=", "weights=", 1)
    return InputError(line + (hint if "another architecture" in line else ""))
