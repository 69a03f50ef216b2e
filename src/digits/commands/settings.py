"""What the settings of a run may be. Checked before torch is imported, so that a slip costs no
wait.
"""

import logging
import secrets
from typing import Any

from omegaconf import DictConfig, OmegaConf

from digits.commands.rules import DATA_RULES, METRICS, RULES, VALIDATION_METRICS, Rule
from digits.errors import InputError, shown

log = logging.getLogger(__name__)

OUR_MODEL = "digits.model.classifier.DigitClassifier"


def check(cfg: DictConfig) -> None:
    """Raises InputError for the first setting that is wrong: its name, what was given, what is
    accepted.
    """
    data = OmegaConf.select(cfg, "data._target_", default=None)
    for key, rule in (RULES | DATA_RULES.get(str(data), {})).items():
        missing = object()
        value = OmegaConf.select(cfg, key, default=missing)
        if value is not missing:
            check_value(key, value, rule)
    callbacks = cfg.get("callbacks") or OmegaConf.create()
    if cfg.data.get("val_size") == 0:  # another data module may have its own way to say so
        _check_without_validation(cfg, callbacks)
    if OmegaConf.select(cfg, "model._target_", default=OUR_MODEL) == OUR_MODEL:
        _check_monitors(callbacks, cfg.trainer)  # another model may have other scores
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


def _check_without_validation(cfg: DictConfig, callbacks: DictConfig) -> None:
    """Raises InputError for what waits for a score of validation, which there won't be."""
    objectives = cfg.get("optimized_metric")
    first, *_ = [m for m in _several(objectives) if str(m).startswith("val")] or [None]
    monitors = {"optimized_metric": first}
    monitors["model.scheduler_monitor"] = OmegaConf.select(cfg, "model.scheduler_monitor")
    for name, node in callbacks.items():
        if OmegaConf.is_dict(node) and str(node.get("_target_")).endswith("Stopping"):
            monitors[f"callbacks.{name!s}.monitor"] = node.get("monitor")
    for key, monitor in monitors.items():
        if str(monitor).startswith("val"):
            raise InputError(
                f"{key}={shown(monitor)}: expected data.val_size above 0 too, e.g. 5000"
            )


def _several(value: Any) -> list[Any]:
    return list(value) if OmegaConf.is_list(value) else [value]


def _check_monitors(callbacks: DictConfig, trainer: DictConfig) -> None:
    """Raises InputError for a callback that waits for a score which never comes, or later."""
    for name, node in callbacks.items():
        monitor = node.get("monitor") if OmegaConf.is_dict(node) else None
        accepted = METRICS if monitor and _looks_after_epochs(node, trainer) else VALIDATION_METRICS
        if monitor is not None and monitor not in accepted:
            key, names = f"callbacks.{name!s}.monitor", ", ".join(accepted)
            raise InputError(f"{key}={shown(monitor)}: expected one of {names}")


def _looks_after_epochs(callback: DictConfig, trainer: DictConfig) -> bool:
    """Whether a callback looks at its score when training's are there, as Lightning decides it."""
    for key in ("check_on_train_epoch_end", "save_on_train_epoch_end"):
        if callback.get(key) is not None:
            return bool(callback[key])
    return bool(trainer.val_check_interval == trainer.check_val_every_n_epoch == 1)
