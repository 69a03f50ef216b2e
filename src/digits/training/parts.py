"""Make the model and the data module of a run from its settings."""

import inspect
from pathlib import Path
from pydoc import locate
from typing import Any

from hydra.utils import instantiate
from lightning import LightningDataModule, LightningModule
from omegaconf import DictConfig, OmegaConf

from digits.errors import InputError
from digits.model.classifier import SIZES, DigitClassifier
from digits.runs import checkpoint, contents, recipe
from digits.runs.contents import OURS, TARGET


def make(cfg: DictConfig) -> tuple[LightningModule, LightningDataModule]:
    """Make the model and the data module. A size (side, classes) that the model takes and its
    settings leave open comes from the data module. Raises InputError for other kinds of objects.
    """
    data = instantiate(cfg.data)
    check_kind("data", data, LightningDataModule)
    sizes = {name: getattr(data, name, None) for name in SIZES if name not in cfg.model}
    takes = _parameters(cfg.model.get("_target_"))
    known = {name: size for name, size in sizes.items() if size is not None and name in takes}
    model = instantiate(cfg.model, **known)
    check_kind("model", model, LightningModule)
    return model, data


def of_checkpoint(
    cfg: DictConfig, path: Path, content: dict[str, Any]
) -> tuple[LightningModule, LightningDataModule]:
    """Make the model and data module that the checkpoint at `path` was trained with, from `cfg`
    and, for the project's own model, from the sizes in it. Raises InputError for another model.
    """
    before = content.get("settings", {})
    was, now = str(before.get(TARGET, OURS)), str(cfg.model.get("_target_"))
    if not recipe.is_same_class(was, now):
        raise InputError(
            f"ckpt_path={path}: its model is {was[:80]}; expected model=NAME of a config with that "
            f"_target_ (--config-dir says where yours are), not {now}"
        )
    model, data = make(cfg)
    if contents.is_ours(content) and type(model) is DigitClassifier:
        return checkpoint.model_of(str(path), content), data
    if differ := recipe.Recipe(cfg).differences(before, recipe.DECIDES_OUTPUT):
        raise InputError(f"ckpt_path={path}: {'; '.join(differ[:8])}; expected the same")
    checkpoint.check_fits(str(path), model, content)
    return model, data


def _parameters(target: str | None) -> set[str]:
    made_by: Any = locate(target) if target else None
    try:
        return set(inspect.signature(made_by).parameters) if made_by else set()
    except ValueError:  # some builtins have no signature
        return set()


def check_kind(setting: str, made: Any, kind: type) -> None:
    """Raises InputError for an object of another kind, or of a package that looks the same."""
    if isinstance(made, kind):
        return
    given = type(made)
    if old := next(
        (c for c in given.__mro__ if c.__module__.startswith("pytorch_lightning")), None
    ):
        raise InputError(
            f"{setting}: {given.__module__}.{given.__name__} is a {old.__name__} of "
            "pytorch_lightning; expected one of lightning: import lightning.pytorch as pl"
        )
    there_is = "settings" if OmegaConf.is_config(made) else given.__name__
    raise InputError(
        f"{setting}: its _target_ gives a {there_is}; expected a {kind.__name__} of Lightning's"
    )
