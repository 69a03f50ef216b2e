"""Optuna's studies, as several processes open them, and how a job learns which trial it is."""

import random
import time
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from digits.errors import InputError
from digits.text import flat

TRIES, WAIT_S = 12, 0.3


def opened(storage: str, name: str, directions: Sequence[Any]) -> optuna.Study:
    """The study `name`, made if need be. Two processes that make a database's tables at once both
    fail, in some statement or other: they try again.

    Raises InputError for a storage that can't be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    error: Exception | None = None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(random.uniform(0, WAIT_S * attempt))
        try:
            study = optuna.create_study(
                storage=_storage(storage), study_name=name, directions=directions,
                load_if_exists=True,
            )  # fmt: skip
            break
        except (ArgumentError, NoSuchModuleError, ImportError, ValueError) as wrong:
            raise _unreachable(storage, wrong) from wrong
        except (DuplicatedStudyError, SQLAlchemyError, KeyError) as race:
            error = race
            if "connect" in str(race).lower():  # psycopg's word, and pg8000's
                raise _unreachable(storage, race) from race
    else:
        raise _unreachable(storage, error) from error
    there = [direction.name.lower() for direction in study.directions]
    if there != list(directions):
        raise InputError(
            f"hydra.sweeper.study_name={name}: its direction is {', '.join(there)}; expected "
            + ", ".join(map(str, directions))
        )
    return study


def name_trial(study: str, trial: optuna.trial.FrozenTrial) -> str:
    return f"{trial._trial_id} {study}"


def of_this_job(storage: str, told: str) -> optuna.Trial:
    """The trial that `name_trial` named."""
    number, _, name = told.partition(" ")
    study = optuna.load_study(study_name=name, storage=_storage(storage))
    return optuna.Trial(study, int(number))


def _storage(url: str) -> optuna.storages.RDBStorage:
    """SQLite waits for other processes' writes: seconds, where many jobs end at once."""
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    return optuna.storages.RDBStorage(url, engine_kwargs=options)


def _unreachable(storage: str, error: Exception | None) -> InputError:
    kind = storage.partition(":")[0]
    reason = str(error).partition("(Background")[0]
    return InputError(f"hydra.sweeper.storage={kind}:...: {flat(reason)[:300]}")
