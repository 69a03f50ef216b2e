"""The options of configs/hydra/sweeper/optuna.yaml, checked. All raise InputError."""

import warnings
from typing import Any

import optuna
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from digits.errors import InputError
from digits.runs.run import less_is_better
from digits.text import flat


def made(name: str, options: Any, **more: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return instantiate(options, **more)
    except InstantiationException as error:
        reason = flat(str(error.__cause__ or error))
        raise InputError(f"hydra.sweeper.{name}: {reason}") from error


def n_trials(value: object) -> int:
    if type(value) is int and value > 0:
        return value
    raise InputError(f"hydra.sweeper.n_trials={value}: expected a whole number from 1")


def metrics(value: Any) -> list[str]:
    if value is None:
        raise InputError("optimized_metric=null: expected what to search for, e.g. val/acc")
    return [value] if isinstance(value, str) else [str(name) for name in value]


def directions(given: Any, names: list[str]) -> list[str]:
    if given is None:
        return ["minimize" if less_is_better(name) else "maximize" for name in names]
    told = [given] if isinstance(given, str) else [str(way) for way in given]
    if len(told) != len(names) or not {*told} <= {"minimize", "maximize"}:
        raise InputError(
            f"hydra.sweeper.direction={given}: expected minimize or maximize for each of "
            + ", ".join(names)
        )
    return told


def plain(value: Any) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(OmegaConf.create(value or {}), resolve=True)
    return dict(plain)
