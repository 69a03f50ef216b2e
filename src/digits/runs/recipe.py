"""The settings that decide a run's weights, and how those of two runs differ."""

import inspect
import re
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pydoc import locate
from typing import Any

from omegaconf import DictConfig, OmegaConf

from digits.text import redacted

Settings = dict[str, Any]  # plain values by the settings' names on the command line

ABSENT = "absent"
ALL = re.compile(".*")
TARGET = "_target_"
# the settings of a model that decide its output: all but those of how it learns
DECIDES_OUTPUT = re.compile(r"model\.(?!(optimizer|scheduler)\b|scheduler_).*")
ELSEWHERE = ("data.data_dir", "data.mirrors")  # they say where the images are, not what they are
EARLY_STOPPING = "callbacks.early_stopping."  # a run may go on without it
MAY_CHANGE = tuple(EARLY_STOPPING + name for name in ("patience", "min_delta"))  # for what follows
OF_THE_TRAINER = (
    "precision", "limit_train_batches", "limit_val_batches", "overfit_batches",
    "check_val_every_n_epoch", "val_check_interval", "gradient_clip_val", "gradient_clip_algorithm",
    "min_epochs", "min_steps", "deterministic", "accumulate_grad_batches",
)  # fmt: skip


class Recipe:
    """Holds in `settings` those settings of `cfg` that decide the weights."""

    def __init__(self, cfg: DictConfig) -> None:
        self.cfg = cfg
        inside = (key for group in ("data", "model") for key in keys(cfg[group], f"{group}."))
        names = ["seed", *(key for key in inside if key not in ELSEWHERE)]
        names += (f"trainer.{name}" for name in OF_THE_TRAINER)
        if early_stopping := OmegaConf.select(cfg, EARLY_STOPPING[:-1]):
            names += keys(early_stopping, EARLY_STOPPING)
        values = {key: OmegaConf.select(cfg, key) for key in names}
        self.settings: Settings = {
            key: value if isinstance(value, int | float | None) else redacted(str(value))
            for key, value in values.items()
            if not OmegaConf.is_dict(value)
        }

    def differences(self, before: Settings, only: re.Pattern[str] = ALL) -> list[str]:
        """Return a line for each setting (of those that match `only`) that differs from `before`.

        A class that has moved is the same. A setting that did not exist before had its default.
        """
        told = []
        for key in filter(only.fullmatch, sorted(before.keys() | self.settings.keys())):
            was = before[key] if key in before else self._default(key)
            now = self.settings.get(key, ABSENT)
            may_go = key.startswith(EARLY_STOPPING) and key not in self.settings
            if was == now or may_go or key in MAY_CHANGE or self._follows_the_length(key):
                continue
            if not (key.endswith(TARGET) and is_same_class(str(was), str(now))):
                told.append(f"{key[:80]} was {_shown(was)}, is {_shown(now)}")
        return told

    def _follows_the_length(self, key: str) -> bool:
        """Whether the setting is made from the run's length: a resume may change that."""
        group, _, name = key.rpartition(".")
        parent = OmegaConf.select(self.cfg, group) if group else None
        written: Any = OmegaConf.to_container(parent, resolve=False) if parent else {}
        return "${trainer.max_" in str(written.get(name))

    def _default(self, key: str) -> Any:
        """Return a setting's default, as the class that takes it declares it."""
        group, _, name = key.rpartition(".")
        target = OmegaConf.select(self.cfg, f"{group}.{TARGET}", default=None)
        if name == TARGET or target is None:
            return ABSENT
        made_by: Any = locate(target)
        declared = inspect.signature(made_by).parameters.get(name)
        if declared is None or declared.default is declared.empty:
            return ABSENT
        return declared.default


def is_same_class(before: str, now: str) -> bool:
    """Whether the name `before` means the class `now`, or did before the class moved within its
    package. `now` has been imported; nothing is imported for `before`, which may come from anyone.
    """
    (was_in, _, was), (is_in, _, name) = before.rpartition("."), now.rpartition(".")
    if was != name or was_in.partition(".")[0] != is_in.partition(".")[0]:
        return False
    if was_in in sys.modules:
        there = getattr(sys.modules[was_in], was, None)
        return there is None or there is locate(now)
    return was_in == is_in or not _exists(was_in)


def _exists(module: str) -> bool:
    """Whether the module's file exists. It is not run."""
    parent, _, name = module.rpartition(".")
    if parent in sys.modules:
        return PathFinder.find_spec(name, getattr(sys.modules[parent], "__path__", [])) is not None
    return bool(parent) and _exists(parent)


def keys(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    """Yield the names of all settings and groups in `cfg`."""
    for key in map(str, cfg):
        yield f"{prefix}{key}"
        if OmegaConf.is_dict(cfg._get_node(key)):
            yield from keys(cfg[key], f"{prefix}{key}.")


def _shown(value: object) -> str:
    return str(value)[:80] if isinstance(value, str | int | float | None) else "of another kind"
