"""Optuna's studies: how several processes open one, how a job finds its trial, how earlier sweeps'
results get in; and the space that trials choose from.
"""

import logging
import random
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna import Study, Trial
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from digits.errors import InputError, blaming
from digits.runs.words import key, unquoted
from digits.sweeps import leaderboard
from digits.sweeps.sweep_folder import SweepFolder
from digits.text import flat

log = logging.getLogger(__name__)

TRIES, WAIT_S = 12, 0.3
LOG = "log"  # a tag of an interval
WARM = "warm_start"  # an attribute of an earlier sweep's trial: the job's folder


@dataclass(frozen=True)
class Space:
    """What trials choose: `chosen` has the settings' distributions, in the order of choice, `given`
    all words; every job has those in `fixed`. `when` maps a setting that is not always chosen to
    the (other setting, value) that it depends on.
    """

    chosen: dict[str, BaseDistribution]
    given: dict[str, str]
    when: dict[str, tuple[str, str]]

    @property
    def fixed(self) -> list[str]:
        return [word for name, word in self.given.items() if name not in self.chosen]

    def words(self, trial: optuna.Trial) -> list[str]:
        """Return a job's words, with the values that `trial` chooses or has chosen. Raises
        InputError for a value outside the space, which anyone may have written to the study.
        """
        values = {key(word): word.partition("=")[2] for word in self.fixed}
        for name, distribution in self.chosen.items():
            other, value = self.when.get(name, (None, None))
            if other is None or unquoted(values.get(other, "")) == value:
                values[name] = _suggested(trial, name, distribution)
        return [*self.fixed, *(f"{name}={values[name]}" for name in self.chosen if name in values)]

    def parameters(self, words: Mapping[str, str]) -> dict[str, object] | None:
        """Return the values that an earlier job chose; None if they are not in this space."""
        if self.chosen.keys() - words.keys() - self.when.keys():
            return None
        chosen = {name: _typed(d, words[name]) for name, d in self.chosen.items() if name in words}
        return None if None in chosen.values() else chosen

    def check(self, trials: Sequence[FrozenTrial]) -> None:
        """Raises InputError if `trials` chose from another space: Optuna would mix the two."""
        for trial in trials:
            drawn = trial.distributions
            how = {name: f"chooses from {in_words(old)}" for name, old in drawn.items()
                   if self.chosen.get(name) != old}  # fmt: skip
            if trial.state.is_finished():
                fixed = self.chosen.keys() - drawn.keys() - self.when.keys()
                how |= dict.fromkeys(fixed, "has it fixed")
            for name, told in how.items():
                new = self.given.get(name, f"{name} is not given")
                raise InputError(
                    f"{new}: the study {told}; expected the same, or a new sweep, which takes "
                    "results over by hydra.sweeper.warm_start=[FOLDER]"
                )


def space_of(
    params: Mapping[str, object], when: Mapping[str, str], arguments: Sequence[str]
) -> Space:
    """Make the space from `params`, in the syntax of Hydra's sweeps; the command line's `arguments`
    replace them. Raises InputError for an empty space, or a condition on unknown settings.
    """
    given = {name: f"{name}={value}" for name, value in params.items()}
    given |= {key(word): word for word in arguments}
    parse = OverridesParser.create().parse_override
    overrides = {name: parse(word) for name, word in given.items()}
    conditions = {}
    for name, text in when.items():
        other, _, value = str(text).partition("=")
        if not (value and {name, other} <= given.keys()):
            raise InputError(
                f"hydra.sweeper.when.{name}={text}: expected OTHER=VALUE, both of them in params"
            )
        conditions[name] = other, value
    chosen = {
        name: _distribution(name, overrides[name])
        for name in sorted(overrides, key=lambda name: name in conditions)
        if overrides[name].is_sweep_override()
    }  # settings that others depend on are chosen first
    if not chosen:
        raise InputError(
            "hydra.sweeper.params: nothing to search; expected a setting with interval(0, 1), say"
        )
    return Space(chosen, given, conditions)


def in_words(distribution: BaseDistribution) -> str:
    """Return the distribution in Hydra's syntax, as one types it on the command line."""
    d, is_int = cast(Any, distribution), isinstance(distribution, IntDistribution)
    if isinstance(d, CategoricalDistribution):
        return f"choice({', '.join(map(str, d.choices))})"
    if d.step is not None and not (is_int and d.step == 1):
        return f"range({d.low}, {d.high + d.step}, {d.step})"
    text = f"interval({d.low}, {d.high})"
    text = f"tag({LOG}, {text})" if d.log else text
    return f"int({text})" if is_int else text


def _distribution(name: str, override: Override) -> BaseDistribution:
    value = override.value()
    with blaming(name):
        if isinstance(value, IntervalSweep):
            low, high, is_log = value.start, value.end, LOG in value.tags
            if isinstance(low, int) and isinstance(high, int):
                return IntDistribution(low, high, log=is_log)
            return FloatDistribution(float(low or 0), float(high or 0), log=is_log)
        if isinstance(value, RangeSweep):
            values, step = list(value.range()), abs(value.step)
            if not values:
                raise ValueError("an empty range")
            kind: Any = IntDistribution if isinstance(values[0], int) else FloatDistribution
            made: BaseDistribution = kind(min(values), max(values), step=step)
            return made
        return CategoricalDistribution([*override.sweep_string_iterator()])


def _suggested(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> str:
    d: Any = distribution
    with warnings.catch_warnings(action="ignore"), blaming(name):  # Optuna only warns of odd values
        if isinstance(d, CategoricalDistribution):
            value = trial.suggest_categorical(name, d.choices)
        else:
            is_int = isinstance(d, IntDistribution)
            suggest: Any = trial.suggest_int if is_int else trial.suggest_float
            value = suggest(name, d.low, d.high, step=d.step, log=d.log)
    typed = _typed(distribution, value)
    if typed is None:
        raise InputError(f"{name}={value} is not in {in_words(distribution)}")
    return str(typed)


def _typed(distribution: BaseDistribution, value: object) -> object:
    """Return `value` in the distribution's type; None if it is outside the distribution."""
    kinds = {FloatDistribution: float, IntDistribution: int}
    with suppress(TypeError, ValueError, OverflowError):
        typed = kinds.get(type(distribution), str)(value)
        state = TrialState.RUNNING  # others need a score
        create_trial(params={"x": typed}, distributions={"x": distribution}, state=state)
        return typed
    return None


def opened(url: str, name: str, directions: Sequence[Any]) -> tuple[RDBStorage, Study]:
    """Open the study `name`, or make it. If two processes make a database's tables at once, both
    fail in some statement, and try again.

    Raises InputError if the storage can't be reached, or the study has other directions.
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
            )  # psycopg's and pg8000's errors have the word
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
    """Return the study's trial `number`, which is under way, to go on with it."""
    study_id = storage.get_study_id_from_name(study.study_name)
    return Trial(study, storage.get_trial_id_from_study_id_trial_number(study_id, number))


def of_this_job(url: str, told: str) -> Trial:
    """Return the trial that `told` names: it has the trial's number and the study's name."""
    number, _, name = told.partition(" ")
    storage = _storage(url)
    return trial(storage, optuna.load_study(study_name=name, storage=storage), int(number))


def add_earlier(study: Study, earlier: SweepFolder, space: Space, metrics: list[str]) -> None:
    """Add each finished job that chose from `space` as a trial, once. Raises InputError if
    `earlier` is no sweep's folder, or has no such job.
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
    """Open a storage. SQLite waits for other processes' writes: seconds, if many jobs end at once.
    Optuna puts its version into the URL by str.format.
    """
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    return RDBStorage(url, engine_kwargs=options)
