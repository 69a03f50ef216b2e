"""A search space in Hydra's words."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from digits.errors import InputError
from digits.sweeps.study import space_of

WORDS = {
    "interval(0.1, 0.5)": FloatDistribution(0.1, 0.5),
    "interval(4, 8)": FloatDistribution(4.0, 8.0),
    "int(tag(log, interval(4, 512)))": IntDistribution(4, 512, log=True),
    "range(1, 10, 3)": IntDistribution(1, 7, step=3),
    "range(0.0, 1.0, 0.25)": FloatDistribution(0.0, 0.75, step=0.25),
    "32,64": CategoricalDistribution(["32", "64"]),
    "choice(true, 2, 'x y')": CategoricalDistribution(["True", "2", "x\\ y"]),
}


def test_words_are_distributions() -> None:
    for word, expected in WORDS.items():
        assert space_of({"a": word}, {}, []).chosen == {"a": expected}


def test_the_command_line_replaces_and_fixes() -> None:
    made = space_of({"a": "interval(0,1)", "b": "choice(1,2)"}, {}, ["b=3", "c=4", "a=5,6"])
    assert made.chosen == {"a": CategoricalDistribution(["5", "6"])}
    assert made.fixed == ["b=3", "c=4"]


def test_a_condition_is_looked_at_after_what_it_depends_on() -> None:
    params = {"momentum": "interval(0.5, 0.9)", "model/optimizer": "choice(sgd, adam)"}
    made = space_of(params, {"momentum": "model/optimizer=sgd"}, ["seed=1"])
    study = optuna.create_study()
    for name, has_momentum in (("sgd", True), ("adam", False)):
        study.enqueue_trial({"model/optimizer": name, "momentum": 0.75})
        words = made.words(study.ask())
        assert words == ["seed=1", f"model/optimizer={name}", *(["momentum=0.75"] * has_momentum)]


WRONG = [
    ({"a": "3"}, {}, "hydra.sweeper.params: nothing to search; expected a setting with interval(0"),
    ({"a": "interval(2, 1)"}, {}, "a: `low <= high` must hold"),
    ({"a": "1,2"}, {"a": "b=1"}, "hydra.sweeper.when.a=b=1: expected OTHER=VALUE, both of them in"),
    ({"a": "1,2"}, {"b": "a=1"}, "hydra.sweeper.when.b=a=1: expected OTHER=VALUE"),
    ({"a": "range(1, 1)"}, {}, "a: an empty range"),
]


def test_what_is_no_space_is_refused() -> None:
    for params, when, line in WRONG:
        with pytest.raises(InputError) as refused:
            space_of(params, when, [])
        assert str(refused.value).startswith(line)
