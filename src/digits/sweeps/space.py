"""A search space in the syntax of Hydra's sweeps: what a trial may choose."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from digits.errors import InputError, blaming
from digits.runs.words import key, unquoted

LOG = "log"


@dataclass(frozen=True)
class Space:
    """`chosen` settings by name, in the order they are chosen in; `given` words, of which those in
    `fixed` are every job's; a setting in `when` is chosen if another one has the value there.
    """

    chosen: dict[str, BaseDistribution]
    given: dict[str, str]
    when: dict[str, tuple[str, str]]

    @property
    def fixed(self) -> list[str]:
        return [word for name, word in self.given.items() if name not in self.chosen]

    def words(self, trial: optuna.Trial) -> list[str]:
        """Those of a job, with what `trial` chooses, or has chosen. Raises InputError for a value,
        which anyone may have put into the study, that is not in the space.
        """
        values = {key(word): word.partition("=")[2] for word in self.fixed}
        for name, distribution in self.chosen.items():
            other, value = self.when.get(name, (None, None))
            if other is None or unquoted(values.get(other, "")) == value:
                values[name] = _suggested(trial, name, distribution)
        return [*self.fixed, *(f"{name}={values[name]}" for name in self.chosen if name in values)]

    def parameters(self, words: Mapping[str, str]) -> dict[str, object] | None:
        """What an earlier job chose, if that is in this space."""
        if self.chosen.keys() - words.keys() - self.when.keys():
            return None
        chosen = {name: _typed(d, words[name]) for name, d in self.chosen.items() if name in words}
        return None if None in chosen.values() else chosen

    def check(self, trials: Sequence[FrozenTrial]) -> None:
        """Raises InputError if `trials` chose from another space: Optuna would mix them."""
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


def of(params: Mapping[str, object], when: Mapping[str, str], arguments: Sequence[str]) -> Space:
    """From a configuration's `params`, which words of the command line replace. Raises InputError
    for what is no sweep, or a condition on what is not chosen before.
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
    }  # what others depend on is chosen first
    if not chosen:
        raise InputError(
            "hydra.sweeper.params: nothing to search; expected a setting with interval(0, 1), say"
        )
    return Space(chosen, given, conditions)


def in_words(distribution: BaseDistribution) -> str:
    """As Hydra has it, and the command line."""
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
    with warnings.catch_warnings(action="ignore"), blaming(name):  # it only warns of others' values
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
    """`value` as the distribution has it; None if it is not in it."""
    kinds = {FloatDistribution: float, IntDistribution: int}
    with suppress(TypeError, ValueError, OverflowError):
        typed = kinds.get(type(distribution), str)(value)
        state = TrialState.RUNNING  # which has no score
        create_trial(params={"x": typed}, distributions={"x": distribution}, state=state)
        return typed
    return None
