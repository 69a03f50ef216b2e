"""A search space in the syntax of Hydra's sweeps: what a trial may choose."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from digits.errors import InputError
from digits.runs.words import key, unquoted

LOG = "log"


@dataclass(frozen=True)
class Space:
    """`chosen` settings by name, in the order they are chosen in; `fixed` words are every job's; a
    setting in `when` is chosen if another one, chosen before it, has the value there.
    """

    chosen: dict[str, BaseDistribution]
    fixed: list[str]
    when: dict[str, tuple[str, str]]

    def words(self, trial: optuna.Trial) -> list[str]:
        """Those of a job, with what `trial` chooses."""
        values: dict[str, str] = {key(word): word.partition("=")[2] for word in self.fixed}
        for name, distribution in self.chosen.items():
            other, value = self.when.get(name, (None, None))
            if other is None or unquoted(values.get(other, "")) == value:
                values[name] = str(trial._suggest(name, distribution))
        return [*self.fixed, *(f"{name}={values[name]}" for name in self.chosen if name in values)]

    def parameters(self, words: Mapping[str, str]) -> dict[str, object] | None:
        """What an earlier job chose, if that is in this space."""
        chosen: dict[str, object] = {}
        for name, distribution in self.chosen.items():
            if name not in words:
                if name not in self.when:
                    return None
                continue
            value: object = words[name]
            try:
                if isinstance(distribution, FloatDistribution):
                    value = float(words[name])
                elif isinstance(distribution, IntDistribution):
                    value = int(words[name])
                if not distribution._contains(distribution.to_internal_repr(value)):
                    return None
            except ValueError:
                return None
            chosen[name] = value
        return chosen


def of(params: Mapping[str, object], when: Mapping[str, str], arguments: Sequence[str]) -> Space:
    """From a configuration's `params`, which words of the command line replace. Raises InputError
    for what is no sweep, or a condition on what is not chosen before.
    """
    parser = OverridesParser.create()
    given = {key(word): word for word in arguments}
    words = {name: f"{name}={value}" for name, value in params.items()} | given
    chosen: dict[str, BaseDistribution] = {}
    fixed = []
    for name, word in words.items():
        override = parser.parse_override(word)
        if override.is_sweep_override():
            chosen[name] = _distribution(name, override)
        else:
            fixed.append(word)
    conditions = {name: _condition(name, str(text), words) for name, text in when.items()}
    for name in [name for name in chosen if name in conditions]:
        chosen[name] = chosen.pop(name)  # what they depend on is chosen first
    if not chosen:
        raise InputError(
            "hydra.sweeper.params: nothing to search; expected a setting with interval(0, 1), say"
        )
    return Space(chosen, fixed, conditions)


def _condition(name: str, text: str, words: Mapping[str, str]) -> tuple[str, str]:
    other, _, value = text.partition("=")
    if name not in words or other not in words or not value:
        raise InputError(
            f"hydra.sweeper.when.{name}={text}: expected OTHER=VALUE, both of them in params"
        )
    return other, value


def _distribution(name: str, override: Override) -> BaseDistribution:
    value = override.value()
    try:
        if isinstance(value, IntervalSweep):
            low, high, is_log = value.start, value.end, LOG in value.tags
            if isinstance(low, int) and isinstance(high, int):
                return IntDistribution(low, high, log=is_log)
            return FloatDistribution(float(low or 0), float(high or 0), log=is_log)
        if isinstance(value, RangeSweep):
            return _steps(value)
        return CategoricalDistribution([*override.sweep_string_iterator()])
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error


def _steps(sweep: RangeSweep) -> BaseDistribution:
    values: list[float] = list(_values(sweep))
    if not values:
        raise ValueError("an empty range")
    low, high, step = min(values), max(values), abs(sweep.step)
    if all(isinstance(value, int) for value in values):
        return IntDistribution(int(low), int(high), step=int(step))
    return FloatDistribution(float(low), float(high), step=float(step))


def _values(sweep: RangeSweep) -> Iterator[float]:
    """Without the end, as Hydra has it."""
    assert sweep.start is not None
    assert sweep.stop is not None
    count = 0
    while True:
        value = sweep.start + count * sweep.step
        if value >= sweep.stop if sweep.step > 0 else value <= sweep.stop:
            return
        yield value
        count += 1
