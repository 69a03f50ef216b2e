"""Tests that come with the base: a class of three lines has them for a model and data of your own.

class TestCNN(ModuleTests):
    settings = ("model=cnn", "data.val_size=1000")  # words as on the command line
    config_dir = "configs"  # seen from the file of the class
"""

import inspect
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import lightning as L
import pytest
import torch
from omegaconf import DictConfig

from digits import signals
from digits.commands import app
from digits.console import program
from digits.errors import InputError, one_line
from digits.exporting import export
from digits.runs import checkpoint
from digits.runs import run as runs
from digits.runs.folder import RunFolder
from digits.runs.run import Run
from digits.runs.words import quoted
from digits.training import parts, step
from digits.training.pauses import Pauses
from digits.training.trainer import quieten_lightning

TESTED = ("trainer.accelerator=cpu", "trainer.devices=1", "trainer.limit_test_batches=2")
UNSEEN = ("++callbacks.samples=null", "++callbacks.watch=null", "++callbacks.report=null")
SHORT = (*TESTED, *UNSEEN, "trainer.max_epochs=2", "trainer.limit_train_batches=4",
         "trainer.limit_val_batches=2")  # fmt: skip
STOPS = (2, 6)  # after so many of the eight batches
STEPS, FALLS = 30, 0.2  # so many steps on one batch take away so much of its loss
OFF = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
SHOWN = ("+callbacks.answers._target_=digits.testing.Answers", "callbacks.report=null")

fail = partial(pytest.fail, pytrace=False)


class Answers(L.Callback):
    """Logs the share of a test's images that `forward` gets right, if it gives logits (B, K)."""

    def on_test_batch_end(self, _: Any, module: L.LightningModule, *given: Any) -> None:
        with suppress(Exception):  # it is no classifier
            images, labels_B = given[1]
            logits_BK = module(images)
            if logits_BK.ndim == 2 and labels_B.ndim == 1:
                is_right_B = (logits_BK.argmax(1) == labels_B).float()
                module.log("answers/acc", is_right_B.mean(), batch_size=len(labels_B))


class Losses(L.Callback):
    seen: Sequence[float] = ()

    def on_train_start(self, *_: Any) -> None:
        Losses.seen = ()

    def on_train_batch_end(self, *given: Any) -> None:
        loss = given[2].get("loss") if isinstance(given[2], dict) else given[2]
        Losses.seen = [*Losses.seen, *([] if loss is None else [float(loss)])]


@app.command("train")
def overfit(cfg: DictConfig) -> None:
    quieten_lightning()
    L.seed_everything(cfg.seed, verbose=False)
    model, data = parts.make(cfg)
    options: Any = {"accelerator": "cpu", "devices": 1, **dict.fromkeys(OFF, False)}
    options |= {"max_epochs": STEPS, "overfit_batches": 1, "num_sanity_val_steps": 0}
    L.Trainer(callbacks=Losses(), **options).fit(model, data)


class Runs:
    """Runs with the same settings, each in a folder of its own."""

    def __init__(self, folder: Path, settings: Sequence[str], config_dirs: list[str]) -> None:
        self.folder, self.settings, self.config_dirs = folder, settings, config_dirs

    def __call__(self, name: str, *more: str, main: Any = None) -> Run:
        main = main or program("train").main
        return self._run(main, name, *SHORT, *self.settings, *more)

    def tested(self, run: Run) -> Run:
        """Return a test of the run's checkpoint by digits-eval."""
        words = [word for word in self.settings if re.match(r"\+*(data|model|trainer)\b", word)]
        ckpt_path = f"ckpt_path={quoted(RunFolder(run.path).judged)}"
        return self._run(program("eval").main, "eval", *TESTED, *SHOWN, *words, ckpt_path)

    def stopped(self) -> Run:
        """Return a run that SIGTERM has stopped at STOPS, and that has gone on each time."""
        for batches in (*STOPS, 0):
            begun = [f"resume={quoted(path)}" for path in self.folder.glob("stopped/*/20*")]
            with stopping(batches), suppress(signals.Stopped):
                run = self("stopped", *begun)
        return run

    def _run(self, main: Any, name: str, *words: str) -> Run:
        flags = [f"--config-dir={folder}" for folder in self.config_dirs]
        where = f"paths.outputs_dir={quoted(self.folder / name)}"
        return runs.read(app.run_in_python(main, [*flags, *words, where]))


@contextmanager
def stopping(batches: int) -> Iterator[None]:
    """Let SIGTERM come between two steps, after so many batches of all epochs."""
    look = Pauses.between_steps

    def between_steps(self: Pauses, trainer: L.Trainer) -> None:
        if trainer.fit_loop.total_batch_idx + 1 == batches > 0 and not signals.asked():
            signal.raise_signal(signal.SIGTERM)
        look(self, trainer)

    looking = mock.patch.object(Pauses, "between_steps", between_steps)
    with looking, mock.patch.object(step, "LOOK_EVERY", 0.0):
        yield


def weights(run: Run) -> dict[str, torch.Tensor]:
    if not (last := RunFolder(run.path).last).is_file():
        fail("the run wrote no last.ckpt; expected callbacks=default, or yours on top of it")
    return dict(checkpoint.read(str(last))["state_dict"])


def differing(one: Run, other: Run) -> list[str]:
    """Return the names of weights that are not the same, bit for bit."""
    before, after = weights(one), weights(other)
    return [name for name in before if not torch.equal(before[name], after[name])]


class ModuleTests:
    settings: Sequence[str] = ()
    config_dir: str | None = None

    @pytest.fixture(scope="class")
    @classmethod
    def run(cls, tmp_path_factory: pytest.TempPathFactory) -> Runs:
        there = Path(inspect.getfile(cls)).parent
        config_dirs = [str(there / cls.config_dir)] if cls.config_dir else []
        return Runs(tmp_path_factory.mktemp("runs"), cls.settings, config_dirs)

    @pytest.fixture(scope="class")
    @classmethod
    def first(cls, run: Runs) -> Run | Exception:
        try:
            return run("first")
        except Exception as error:
            return error

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, first: Run | Exception) -> Run:
        return first if isinstance(first, Run) else pytest.skip("see test_it_trains")

    @pytest.fixture(scope="class")
    @classmethod
    def differ(cls, run: Runs, trained: Run) -> list[str]:
        """The weights in which a second run with the same seed differs."""
        return differing(trained, run("again"))

    @pytest.fixture(scope="class")
    @classmethod
    def evaluated(cls, run: Runs, trained: Run) -> Run:
        if not any(name.startswith("test") for name in trained.numbers):
            pytest.skip("the run has no test score: the model has no test_step, or logs nothing")
        return run.tested(trained)

    def test_it_trains(self, first: Run | Exception) -> None:
        if isinstance(first, InputError):
            fail(f"a run with {' '.join(self.settings)} ends with: {first}")
        if isinstance(first, Exception):
            raise AssertionError(f"training fails, as above: {one_line(first)}") from first
        if bad := [name for name, w in weights(first).items() if not w.isfinite().all()]:
            fail(
                f"{bad[0]} has become infinite or NaN, and so has the loss before: take a smaller "
                "learning rate, and look for a log or a division of 0"
            )

    def test_it_overfits_one_batch(self, run: Runs, trained: Run) -> None:
        run("overfit", main=overfit)
        if not (losses := Losses.seen):
            pytest.skip("training_step returns no loss: it steps its optimizers itself")
        low, high = sum(losses[-4:]) / len(losses[-4:]), losses[0]
        if not low < high - FALLS * abs(high):
            fail(
                f"{len(losses)} steps on one batch take its loss from {high:.4f} to {low:.4f}; "
                f"expected {FALLS:.0%} less: does it depend on the weights (no detach or no_grad), "
                "has the optimizer all of them, is the learning rate far too small or too large?"
            )

    def test_a_seed_gives_the_same_weights_twice(self, differ: list[str]) -> None:
        if differ:
            fail(
                f"two runs with one seed differ in {differ[0]}: something draws from a generator "
                "that `seed` does not set (numpy.random.default_rng() without a number, say), or "
                "depends on what ran before (a variable of a class or a module)"
            )

    def test_a_kill_and_a_resume_equal_no_kill(
        self, run: Runs, trained: Run, differ: list[str]
    ) -> None:
        if differ:
            pytest.skip("see test_a_seed_gives_the_same_weights_twice")
        if lost := differing(trained, run.stopped()):
            fail(
                f"a run that is stopped after {STOPS[0]} and {STOPS[1]} batches, and goes on, ends "
                f"with another {lost[0]}: the model keeps something that no checkpoint has (a "
                "counter, a mean); make it a buffer (register_buffer), or save it in "
                "on_save_checkpoint and take it back in on_load_checkpoint"
            )

    def test_eval_agrees_with_the_run(self, evaluated: Run, trained: Run) -> None:
        for name, score in trained.numbers.items():
            if name.startswith("test") and (again := evaluated.numbers.get(name)) != score:
                fail(
                    f"{name} was {score} at the run's end and is {again} by digits-eval, with the "
                    "same weights: test_step draws random numbers, or needs what no checkpoint has"
                )

    def test_the_test_scores_what_forward_answers(self, evaluated: Run) -> None:
        scores = evaluated.numbers
        name = "test/acc" if "test/acc" in scores else "test_acc"
        if not {name, "answers/acc"} <= scores.keys():
            pytest.skip("no test/acc or test_acc, or forward gives no logits (B, K)")
        if abs(scores[name] - scores["answers/acc"]) > 1e-3:
            fail(
                f"{name} is {scores[name]:.4f}; forward gets {scores['answers/acc']:.4f} of the "
                "same images right, and predict and export use forward: call self(images) in "
                "test_step"
            )

    def test_an_export_agrees_with_the_model(self, run: Runs, trained: Run) -> None:
        kind = "onnx" if all(map(find_spec, export.NEEDS["onnx"])) else "torch"
        try:
            code = export.export(kind, str(RunFolder(trained.path).judged), None, run.config_dirs)
        except InputError as error:
            pytest.skip(one_line(error))
        except Exception as error:
            line = f"{kind} can't express forward, as above; use operations of torch alone"
            raise AssertionError(f"{line}, and no `if` that looks at a tensor's values") from error
        if code:
            fail(
                "the exported file and forward differ (see the table): does forward draw random "
                "numbers, use numpy, or depend on how many images there are?"
            )
