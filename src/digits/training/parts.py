"""The model and the data module of a run, made from its settings."""

import inspect
from typing import Any

from hydra._internal.utils import _locate  # hydra.utils.get_object logs what isn't there
from hydra.utils import instantiate
from lightning import LightningDataModule, LightningModule
from omegaconf import DictConfig, OmegaConf

from digits.errors import InputError
from digits.model.classifier import SIZES


def make(cfg: DictConfig) -> tuple[LightningModule, LightningDataModule]:
    """A model that takes a size (side, classes) which its settings leave open gets it from the data
    module, if that declares it. Raises InputError for other kinds of objects.
    """
    data = instantiate(cfg.data)
    _check_kind("data", data, LightningDataModule)
    sizes = {name: getattr(data, name, None) for name in SIZES if name not in cfg.model}
    takes = _parameters(cfg.model.get("_target_"))
    known = {name: size for name, size in sizes.items() if size is not None and name in takes}
    model = instantiate(cfg.model, **known)
    _check_kind("model", model, LightningModule)
    return model, data


def _parameters(target: str | None) -> set[str]:
    return set(inspect.signature(_locate(target)).parameters) if target else set()


def _check_kind(group: str, made: Any, kind: type) -> None:
    if not isinstance(made, kind):
        there_is = "settings" if OmegaConf.is_config(made) else type(made).__name__
        raise InputError(
            f"{group}: its _target_ gives a {there_is}; expected a {kind.__name__} of Lightning's"
        )
