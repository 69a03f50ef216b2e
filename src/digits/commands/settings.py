"""What the settings of a run may be. Checked before torch is imported, so that a slip costs no
wait.
"""

import logging
import secrets
from difflib import get_close_matches

from omegaconf import DictConfig, OmegaConf

from digits.commands.rules import DATA_RULES, METRICS, RULES, VALIDATION_METRICS, Rule
from digits.errors import InputError, shown
from digits.runs import recipe

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
    _check_validation(cfg)
    _check_monitors(cfg)
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


def draw_seed(cfg: DictConfig) -> bool:
    """seed=null: draw one, which the run then records as it does any other."""
    if cfg.seed is not None:
        return False
    cfg.seed = secrets.randbelow(2**32)
    log.info("seed %d", cfg.seed)
    return True


def _check_validation(cfg: DictConfig) -> None:
    if cfg.data.val_size:
        return
    metric = cfg.get("optimized_metric") or ""
    if metric.startswith("val/"):
        raise InputError(
            f"optimized_metric={metric}: expected data.val_size above 0 too, e.g. 5000"
        )
    for name in cfg.get("callbacks") or {}:
        if OmegaConf.select(cfg, f"callbacks.{name}._target_", default="").endswith("Stopping"):
            raise InputError(f"callbacks.{name}: expected data.val_size above 0 too, e.g. 5000")


def _check_monitors(cfg: DictConfig) -> None:
    """Raises InputError for a callback that waits for a score `model` never has, or has later."""
    if OmegaConf.select(cfg, "model._target_", default=OUR_MODEL) != OUR_MODEL:
        return  # it may have others
    for name, node in (cfg.get("callbacks") or {}).items():
        monitor = node.get("monitor") if OmegaConf.is_dict(node) else None
        accepted = METRICS if monitor and _looks_after_epochs(node, cfg) else VALIDATION_METRICS
        if monitor is not None and monitor not in accepted:
            raise InputError(
                f"callbacks.{name}.monitor={shown(monitor)}: expected one of {', '.join(accepted)}"
            )


def _looks_after_epochs(callback: DictConfig, cfg: DictConfig) -> bool:
    """Whether a callback looks at its score when training's are there, as Lightning decides it."""
    for key in ("check_on_train_epoch_end", "save_on_train_epoch_end"):
        if callback.get(key) is not None:
            return bool(callback[key])
    return bool(cfg.trainer.val_check_interval == cfg.trainer.check_val_every_n_epoch == 1)


def closest(key: str, cfg: DictConfig) -> str | None:
    """The setting or group in `cfg` whose name is nearest to `key`."""
    close = get_close_matches(key, list(recipe.keys(cfg)), n=1)
    return close[0] if close else None
