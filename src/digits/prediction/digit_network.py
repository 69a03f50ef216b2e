"""The network in a checkpoint: float32 images (B, 28, 28) in [0, 1] to logits (B, 10)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from digits.data.mnist import CLASSES, SIDE
from digits.errors import InputError
from digits.runs import checkpoint, configs
from digits.runs.folder import RunFolder
from digits.text import flat


def of(path: str, content: dict[str, Any], config_dirs: Sequence[str] = ()) -> nn.Module:
    """That of the project's model, or any that its run's configs name. Raises InputError for one
    with other images or classes.
    """
    if configs.is_ours(content):
        return checkpoint.digits_network_of(path, content)
    from hydra.utils import instantiate

    config = configs.of_model(RunFolder.of(Path(path)), config_dirs)
    was, now = content["settings"][configs.TARGET], str(config.get("_target_"))
    if was != now:
        raise InputError(
            f"ckpt_path={path}: its model is {str(was)[:80]}, which no config of its run names; "
            "expected it in configs/model, or in --config-dir's"
        )
    model: nn.Module = instantiate(config)
    checkpoint.check_fits(path, model, content)
    model.load_state_dict(content["state_dict"])
    _check_form(path, model.eval())
    return model


def _check_form(path: str, model: nn.Module) -> None:
    """Raises InputError unless `model` takes images and gives logits as all here do."""
    expected = f"expected images (B, {SIDE}, {SIDE}) to logits (B, {CLASSES})"
    try:
        with torch.inference_mode():
            logits_BK = model(torch.zeros(2, SIDE, SIDE))
    except Exception as error:
        reason = flat(f"{type(error).__name__}: {error}")[:160]
        raise InputError(f"ckpt_path={path}: {expected}; its model says {reason}") from error
    if not isinstance(logits_BK, Tensor) or logits_BK.shape != (2, CLASSES):
        given = getattr(logits_BK, "shape", type(logits_BK).__name__)
        form = tuple(given) if isinstance(given, torch.Size) else given
        raise InputError(f"ckpt_path={path}: {expected}; its model gives {form} for a batch of 2")
