"""Tests that come with the base: a class of three lines has them for a model and data of your own.

class TestCNN(ModuleTests):
    settings = ("model=cnn", "data.val_size=1000")  # words as on the command line
    config_dir = "configs"  # seen from the file of the class
"""

import inspect
import re
import signal
from collections.abc import Callable, Iterator, Sequence
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

QUICK = ("trainer.accelerator=cpu", "trainer.devices=1", "trainer.limit_test_batches=2",
         *(f"++callbacks.{name}=null" for name in ("samples", "watch", "report")))  # fmt: skip
SHORT = ("trainer.max_epochs=2", "trainer.limit_train_batches=4", "trainer.limit_val_batches=2")
STOPS = (2, 6)  # after so many of the eight batches
STEPS, FALLS = 30, 0.2  # so many steps on one batch take away so much of its loss
OFF = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")

fail = partial(pytest.fail, pytrace=False)


class Losses(L.Callback):
    seen: Sequence[float] = ()

    def on_train_start(self, *_: Any) -> None:
        Losses.seen = []

    def on_train_batch_end(self, _: Any, __: Any, outputs: Any, *___: Any) -> None:
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
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
        words = [word for word in self.settings if re.match(r"\+*(data|model|trainer)\b", word)]
        ckpt_path = f"ckpt_path={quoted(RunFolder(run.path).judged)}"
        return self._run(program("eval").main, "eval", *words, ckpt_path)

    def stopped(self) -> Run:
        """Return a run that SIGTERM has stopped at STOPS, and that has gone on each time."""
        stops = [*STOPS, 0]
        with stopping(lambda: stops[0]):
            while stops:
                begun = [f"resume={quoted(path)}" for path in self.folder.glob("stopped/*/20*")]
                with suppress(signals.Stopped):
                    run = self("stopped", *begun)
                stops.pop(0)
        return run

    def _run(self, main: Any, name: str, *words: str) -> Run:
        flags = [f"--config-dir={folder}" for folder in self.config_dirs]
        where = f"paths.outputs_dir={quoted(self.folder / name)}"
        return runs.read(app.run_in_python(main, [*flags, *QUICK, *words, where]))


@contextmanager
def stopping(batches: Callable[[], int]) -> Iterator[None]:
    """Let SIGTERM come between two steps, after so many batches of all epochs; never with 0."""
    look = Pauses.between_steps

    def between_steps(self: Pauses, trainer: L.Trainer) -> None:
        if trainer.fit_loop.total_batch_idx + 1 == batches() > 0 and not signals.asked():
            signal.raise_signal(signal.SIGTERM)
        look(self, trainer)

    looking = mock.patch.object(Pauses, "between_steps", between_steps)
    with looking, mock.patch.object(step, "LOOK_EVERY", 0.0):
        yield


def weights(run: Run) -> dict[str, torch.Tensor]:
    if not (last := RunFolder(run.path).last).is_file():
        fail("the run wrote no last.ckpt; expected callbacks=default, or yours on top of it")
    return dict(checkpoint.read(str(last))["state_dict"])


def differing(one: Run, other: Run) -> str | None:
    """Return the name of the first weight that is not the same, bit for bit."""
    before, after = weights(one), weights(other)
    return next((name for name in before if not torch.equal(before[name], after[name])), None)


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
    def differ(cls, run: Runs, trained: Run) -> str | None:
        """The weight in which a second run with the same seed differs."""
        return differing(trained, run("again"))

    def test_it_trains(self, first: Run | Exception) -> None:
        if isinstance(first, InputError):
            fail(f"a run with {' '.join(self.settings)} ends with: {first}")
        if isinstance(first, Exception):
            raise AssertionError(f"training fails, as above: {one_line(first)}") from first
        if bad := [name for name, w in weights(first).items() if not w.isfinite().all()]:
            fail(f"{bad[0]} is infinite or NaN: a learning rate too large, or a division by 0?")

    def test_it_overfits_one_batch(self, run: Runs, trained: Run) -> None:
        run("overfit", main=overfit)
        if not (losses := Losses.seen):
            pytest.skip("training_step returns no loss: it steps its optimizers itself")
        low, high = sum(losses[-4:]) / len(losses[-4:]), losses[0]
        if not low < high - FALLS * abs(high):
            fail(
                f"{len(losses)} steps on one batch take its loss from {high:.4f} to {low:.4f}; "
                f"expected {FALLS:.0%} less: is there a detach or no_grad, has the optimizer all "
                "weights, is the learning rate far too small or too large?"
            )

    def test_a_seed_gives_the_same_weights_twice(self, differ: str | None) -> None:
        if differ:
            fail(
                f"two runs with one seed differ in {differ}: a generator that `seed` does not set "
                "(numpy.random.default_rng(), say), or a variable of a class that outlives a run?"
            )

    def test_a_kill_and_a_resume_equal_no_kill(
        self, run: Runs, trained: Run, differ: str | None
    ) -> None:
        if differ:
            pytest.skip("see test_a_seed_gives_the_same_weights_twice")
        if lost := differing(trained, run.stopped()):
            fail(
                f"a run that is stopped after {STOPS[0]} and {STOPS[1]} batches, and goes on, ends "
                f"with another {lost}: does the model keep a number that no checkpoint has? Make "
                "it a buffer (register_buffer), or save it in on_save_checkpoint"
            )

    def test_eval_agrees_with_the_run(self, run: Runs, trained: Run) -> None:
        scores = {name: it for name, it in trained.numbers.items() if name.startswith("test")}
        if not scores:
            pytest.skip("the run has no test score: the model has no test_step, or logs nothing")
        evaluated = run.tested(trained).numbers
        for name, score in scores.items():
            if evaluated.get(name) != score:
                fail(
                    f"{name} was {score} at the run's end and is {evaluated.get(name)} by "
                    "digits-eval: test_step draws random numbers, or needs what no checkpoint has"
                )

    def test_an_export_agrees_with_the_model(self, run: Runs, trained: Run) -> None:
        kind = "onnx" if all(map(find_spec, export.NEEDS["onnx"])) else "torch"
        try:
            code = export.export(kind, str(RunFolder(trained.path).judged), None, run.config_dirs)
        except InputError as error:
            pytest.skip(one_line(error))
        except Exception as error:
            line = f"{kind} can't express forward, as above; use operations of torch alone"
            raise AssertionError(line) from error
        if code:
            fail("the exported file and forward differ (see the table): is forward random?")
