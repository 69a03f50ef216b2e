"""The tests that come with the base: the project's own model passes, and each fault is found by the
test that is meant for it."""

from typing import Any

import pytest

from digits.testing import ModuleTests, Runs

BARS = ("data._target_=support.broken.Bars", "data.val_size=16", "data.batch_size=8",
        "model.hidden_size=8")  # fmt: skip
failing = pytest.fail.Exception


def alone(cls: type[ModuleTests]) -> type[ModuleTests]:
    """Without the other tests, which pass or are skipped."""
    for name in vars(ModuleTests):
        if name.startswith("test_") and name not in vars(cls):
            setattr(cls, name, None)
    return cls


def of(model: str) -> tuple[str, ...]:
    return (f"model._target_=support.broken.{model}", *BARS)


class TestReference(ModuleTests):
    settings = BARS


@pytest.mark.slow
@alone
class TestUnbounded(ModuleTests):
    settings = of("Unbounded")

    def test_it_trains(self, first: Any) -> None:
        with pytest.raises(failing, match=r"model._target_=support.broken.Unbounded .* diverged"):
            super().test_it_trains(first)


@pytest.mark.slow
@alone
class TestUnseeded(ModuleTests):
    settings = of("Unseeded")

    def test_a_seed_gives_the_same_weights_twice(self, differ: str | None) -> None:
        with pytest.raises(
            failing, match=r"two runs with one seed differ in net\.1\.weight: .*rng"
        ):
            super().test_a_seed_gives_the_same_weights_twice(differ)


@pytest.mark.slow
@alone
class TestForgetful(ModuleTests):
    settings = of("Forgetful")

    def test_a_kill_and_a_resume_equal_no_kill(self, run: Runs, trained: Any, differ: Any) -> None:
        with pytest.raises(failing, match=r"stopped after 2 and 6 .* net\.1\.weight: .* buffer"):
            super().test_a_kill_and_a_resume_equal_no_kill(run, trained, differ)


@pytest.mark.slow
@alone
class TestDetached(ModuleTests):
    settings = of("Detached")

    def test_it_overfits_one_batch(self, run: Runs, trained: Any) -> None:
        with pytest.raises(failing, match=r"30 steps on one batch take .* 20% less: .* detach"):
            super().test_it_overfits_one_batch(run, trained)


@pytest.mark.slow
@alone
class TestRandom(ModuleTests):
    settings = of("Random")

    def test_eval_agrees_with_the_run(self, run: Runs, trained: Any) -> None:
        with pytest.raises(failing, match=r"test/noise was .* by digits-eval.* random numbers"):
            super().test_eval_agrees_with_the_run(run, trained)
