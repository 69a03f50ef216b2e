"""Reading a checkpoint written by train.py, and checking that it fits. Nothing in it is run.

Without Lightning, whose import takes 2 s: predicting needs none of it.
"""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from digits.data.mnist import CLASSES, SIDE
from digits.errors import InputError
from digits.model.network import network
from digits.runs import safe_load

if TYPE_CHECKING:
    from digits.model.classifier import DigitClassifier

Checkpoint = dict[str, Any]
PARTS = ("state_dict", "hyper_parameters", "best_scores")  # each by names
ABSENT = "absent"


def read(path: str) -> Checkpoint:
    """A checkpoint's content on the CPU. Raises InputError for any other file."""
    try:
        content = safe_load.load(Path(path))
    except OSError as error:
        raise InputError(f"ckpt_path={path}: {error.strerror}; expected a readable file") from error
    except InputError as error:
        raise InputError(f"ckpt_path={path}: {error}") from error
    if not _is_ours(content):
        raise InputError(f"ckpt_path={path}: not a checkpoint written by train.py, or damaged")
    return cast(Checkpoint, content)


def _is_ours(content: object) -> bool:
    if not isinstance(content, dict) or "pytorch-lightning_version" not in content:
        return False
    for name in ("hyper_parameters", "best_scores"):  # a model or a callback may name none
        content.setdefault(name, {})
    return all(
        isinstance(part := content.get(name), dict) and all(isinstance(key, str) for key in part)
        for name in PARTS
    ) and _are_weights(content["state_dict"], content["best_scores"])


def _are_weights(state: dict[str, Any], scores: dict[str, Any]) -> bool:
    """(A module's get_extra_state may give anything.)"""
    return all(isinstance(score, float) for score in scores.values()) and all(
        isinstance(value, Tensor) or name.endswith("_extra_state") for name, value in state.items()
    )


def check_fits(path: str, model: nn.Module, content: Checkpoint | None = None) -> Checkpoint:
    """The checkpoint at `path`, or its `content` if it has been read. Raises InputError unless its
    weights fit `model`, naming the first that does not.
    """
    content = content or read(path)
    _check_weights(path, content, model)
    return content


def _check_weights(path: str, content: Checkpoint, model: nn.Module) -> None:
    theirs, ours = content["state_dict"], model.state_dict()
    learned = {name for name, _ in model.named_parameters()}
    for name in sorted(ours.keys() | theirs.keys()):
        there, here = (_shape(weights.get(name)) for weights in (theirs, ours))
        if there != here:
            raise InputError(
                f"ckpt_path={path}: another architecture: {name[:80]} is {there}, expected {here}"
            )
        if name in learned and not theirs[name].isfinite().all():
            raise InputError(f"ckpt_path={path}: {name} has values that are not finite")


def model_of(path: str, content: Checkpoint) -> "DigitClassifier":
    """A model with the settings of the checkpoint at `path`, whose weights fit it. Raises
    InputError for others.
    """
    from digits.model.classifier import DigitClassifier

    network_of(path, content)
    return DigitClassifier(**content["hyper_parameters"])


def network_of(path: str, content: Checkpoint) -> nn.Sequential:
    """The trained network alone: float32 images (B, H, W) in [0, 1] to logits (B, K). Raises
    InputError for a checkpoint without one.
    """
    with torch.device("meta"):  # without memory, whatever sizes the file asks for
        holder = nn.ModuleDict({"net": network(**_settings(path, content))})
    _check_weights(path, content, holder)
    holder.load_state_dict(content["state_dict"], assign=True)
    return cast(nn.Sequential, holder["net"].float().eval())


def digits_network_of(path: str, content: Checkpoint) -> nn.Sequential:
    """As `network_of`. Raises InputError for a network that is not for MNIST's digits."""
    sizes = {"side": SIDE, "classes": CLASSES} | _settings(path, content)
    if (sizes["side"], sizes["classes"]) != (SIDE, CLASSES):
        raise InputError(
            f"ckpt_path={path}: its network tells {sizes['classes']} classes of images of "
            f"{sizes['side']} pixels a side; expected {CLASSES} digits of {SIDE}"
        )
    return network_of(path, content)


def _settings(path: str, content: Checkpoint) -> dict[str, Any]:
    """The network's: those it had when the checkpoint was written, which may lack newer ones."""
    settings: dict[str, Any] = content["hyper_parameters"]
    known = inspect.signature(network).parameters
    are_sizes = all(type(size) is int and 0 < size <= 1 << 16 for size in settings.values())
    if not (are_sizes and "hidden_size" in settings and settings.keys() <= known.keys()):
        shown = str(settings)[:80]
        raise InputError(f"ckpt_path={path}: unknown settings {shown}; expected {', '.join(known)}")
    return settings


def _shape(weight: object) -> str:
    if not isinstance(weight, Tensor):
        return ABSENT if weight is None else "no tensor"  # a module's get_extra_state
    # trainer.precision=64-true and the like have other floats than a new model
    kind = "" if weight.is_floating_point() else f" {weight.dtype}"
    return "x".join(map(str, weight.shape)) + kind
