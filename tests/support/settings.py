"""The settings as Hydra composes them."""

from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from digits.commands import app  # noqa: F401  (knows ${root:} and the like)
from digits.files import CONFIGS

GROUPS = ("callbacks=early_stopping", "model/scheduler=cosine", "data.val_size=5000")


def composed(*overrides: str) -> DictConfig:
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return hydra.compose("train", ["paths.output_dir=run", *overrides])


PLAIN, WITH_ALL = composed(), composed(*GROUPS)


def run(base: DictConfig = PLAIN, **changes: Any) -> DictConfig:
    cfg = base.copy()
    for key, value in changes.items():
        OmegaConf.update(cfg, key.replace("__", "."), value)
    return cfg
