"""Give a new run the weights of a checkpoint, or a part of them."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from digits.errors import InputError
from digits.files import relative
from digits.runs import checkpoint, contents
from digits.text import shown

log = logging.getLogger(__name__)

Weights = Mapping[str, Any]  # tensors by name; a module may have an extra state
Parts = Sequence[str] | Mapping[str, str]  # beginnings of names; or ours, each with theirs


@contextmanager
def _named_weights() -> Iterator[None]:
    """Errors of the checkpoint name the setting `weights`."""
    try:
        yield
    except InputError as error:
        hint = "; weights_only_of=[NAME] takes a part" if "architecture" in str(error) else ""
        raise InputError(str(error).replace("ckpt_path=", "weights=", 1) + hint) from error


@_named_weights()
def sizes(path: str) -> dict[str, int]:
    """Return the sizes of the project's network in the checkpoint; none for another model."""
    content = checkpoint.read(path)
    if not contents.is_ours(content) or "hidden_size" not in content["hyper_parameters"]:
        return {}
    checkpoint.network_of(path, content)  # the file may ask for any sizes
    return dict(content["hyper_parameters"])


@_named_weights()
def take(path: str, only: Parts | None, model: nn.Module) -> None:
    """Load the weights at `path` into `model`, or `only` some parts of them. Raises InputError for
    weights that do not fit.
    """
    theirs = checkpoint.read(path)["state_dict"]
    pairs = only if isinstance(only, Mapping) else {name: name for name in only or ()}
    ours, taken = model.state_dict(), theirs if only is None else {}
    wanted = ours if only is None else {}
    for here, there in pairs.items():
        wanted |= _under(here, ours, "the model")
        found = _under(there, theirs, f"{relative(path)[:80]}")
        taken |= {here + name[len(there) :]: weight for name, weight in found.items()}
    checkpoint.check_same(path, taken, wanted, {name for name, _ in model.named_parameters()})
    model.load_state_dict(taken, strict=only is None)
    log.info("weights of %s: %d tensors", relative(path), len(taken))


def _under(prefix: str, weights: Weights, where: str) -> Weights:
    found = {n: w for n, w in weights.items() if f"{n}.".startswith(f"{prefix}.")}
    if not found:
        modules = sorted({name.rpartition(".")[0] or name for name in weights})
        there_are = shown(", ".join(modules[:8]) or "none")
        raise InputError(
            f"weights_only_of={prefix}: {where} has no such weights; there are: {there_are}"
        )
    return found
