"""Optuna's studies: opened by several processes, told of earlier sweeps, safe to read if somebody
else has written them; and how a job learns which trial it is.
"""

import io
import logging
import pickle
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import optuna
from optuna import Study, Trial
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, create_trial
from sqlalchemy.exc import SQLAlchemyError

from digits.errors import InputError
from digits.sweeps import leaderboard
from digits.sweeps.space import Space
from digits.sweeps.sweep_folder import SweepFolder
from digits.text import flat

log = logging.getLogger(__name__)

TRIES, WAIT_S = 12, 0.3
WARM = "warm_start"  # an attribute of an earlier sweep's trial: the job's folder
_CMA_ES = {
    ("cmaes._cma", "CMA"),
    ("cmaes._sepcma", "SepCMA"),
    ("cmaes._cmawm", "CMAwM"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *(
        (f"numpy.{core}.multiarray", name)
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    ),
}


def opened(url: str, name: str, directions: Sequence[Any]) -> tuple[RDBStorage, Study]:
    """The study `name`, made if need be. Two processes that make a database's tables at once both
    fail, in some statement or other: they try again.

    Raises InputError for a storage that can't be reached, or a study with other directions.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for attempt in range(TRIES):
        try:
            storage = _storage(url)
            study = optuna.create_study(
                storage=storage, study_name=name, directions=directions, load_if_exists=True
            )
            break
        except (ImportError, ValueError, SQLAlchemyError, KeyError) as error:
            is_race = isinstance(error, optuna.exceptions.DuplicatedStudyError | KeyError) or (
                hasattr(error, "statement") and "connect" not in str(error).lower()
            )  # psycopg's word, and pg8000's
            if not is_race or attempt + 1 == TRIES:
                reason = flat(str(error).partition("(Background")[0])[:300]
                where = f"hydra.sweeper.storage={url.partition(':')[0]}:..."
                raise InputError(f"{where}: {reason}") from error
            time.sleep(random.uniform(0, WAIT_S * (attempt + 1)))
    there = [direction.name.lower() for direction in study.directions]
    if there != list(directions):
        raise InputError(
            f"hydra.sweeper.study_name={name}: its direction is {', '.join(there)}; expected "
            + ", ".join(map(str, directions))
        )
    return storage, study


def trial(storage: RDBStorage, study: Study, number: int) -> Trial:
    """One that is under way, to be gone on with."""
    study_id = storage.get_study_id_from_name(study.study_name)
    return Trial(study, storage.get_trial_id_from_study_id_trial_number(study_id, number))


def of_this_job(url: str, told: str) -> Trial:
    """The trial that is `told`: its number and its study's name."""
    number, _, name = told.partition(" ")
    storage = _storage(url)
    return trial(storage, optuna.load_study(study_name=name, storage=storage), int(number))


def check_is_safe(trials: Sequence[FrozenTrial]) -> None:
    """Optuna keeps the state of CMA-ES in the study, as a pickle: anyone's code. Raises InputError
    unless it is numbers.
    """
    for each in trials:
        parts = [name for name in each.system_attrs if ":optimizer" in name]
        for kind in {name.partition(":")[0] for name in parts}:
            own = sum(name.startswith(kind) for name in parts)
            pieces = (each.system_attrs.get(f"{kind}:optimizer:{i}") for i in range(own))
            if not _is_cma_es("".join(map(str, pieces))):
                raise InputError(
                    f"trial {each.number} of the study: its state of CMA-ES is not one; expected "
                    "a study without it"
                )


def add_earlier(study: Study, earlier: SweepFolder, space: Space, metrics: list[str]) -> None:
    """Each finished job that chose from `space` is a trial, once. Raises InputError if it is no
    sweep's folder, or knows nothing of use here.
    """
    known = {trial.user_attrs.get(WARM) for trial in study.get_trials(deepcopy=False)}
    board = leaderboard.read(earlier, metrics)
    found = 0
    for job in board.jobs:
        scores: list[Any] = [job.score(name) for name in board.objectives]
        chosen, source = space.parameters(job.words), str(job.run.path.absolute())
        if chosen is None or None in scores:
            continue
        found += 1
        if source not in known:
            kinds = {name: space.chosen[name] for name in chosen}
            trial = create_trial(
                params=chosen, distributions=kinds, values=scores, user_attrs={WARM: source}
            )
            study.add_trial(trial)
    if not found:
        raise InputError(
            f"hydra.sweeper.warm_start={earlier.path}: none of its jobs chose from these params"
        )
    log.info("%d results of %s are known", found, earlier.path)


def _storage(url: str) -> RDBStorage:
    """SQLite waits for other processes' writes: seconds, where many jobs end at once. Optuna has
    its version put into the URL, by str.format.
    """
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    return RDBStorage(url, engine_kwargs=options)


@cache
def _is_cma_es(text: str) -> bool:
    with suppress(Exception):  # of any kind, in nonsense
        _OfCmaEs(io.BytesIO(bytes.fromhex(text))).load()
        return True
    return False


class _OfCmaEs(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _CMA_ES:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)
