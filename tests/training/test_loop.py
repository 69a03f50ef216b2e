"""SparseLoop beside Lightning's own loop: the same weights, counters, logs and checkpoints."""

import math
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback, LearningRateMonitor, ModelCheckpoint, Timer
from lightning.pytorch.loggers import CSVLogger
from torch.optim.lr_scheduler import StepLR

from digits.data.datamodule import MNISTDataModule
from digits.errors import InputError
from digits.model.classifier import DigitClassifier
from digits.model.linear import bits_ignore_threads
from digits.model.rmsprop import RMSprop
from digits.training import loop, observers, threads
from digits.training.trainer import quieten_lightning

IMAGES, BATCH = 620, 32  # 20 steps an epoch, the last one smaller


class Data(MNISTDataModule):
    def prepare_data(self) -> None: ...

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (IMAGES, 28, 28), dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, 10, (IMAGES,), generator=generator)
        self.train, self.val = (images, labels), (images[:100], labels[:100])


class Model(DigitClassifier):
    scheduler_interval: str | None = None

    def configure_optimizers(self) -> Any:
        optimizer = self._new_optimizer(self.parameters())
        if self.scheduler_interval is None:
            return optimizer
        scheduler = StepLR(optimizer, 3, gamma=0.9)
        config = {"scheduler": scheduler, "interval": self.scheduler_interval}
        return {"optimizer": optimizer, "lr_scheduler": config}


class Validations(L.Callback):
    """The steps after which validation ran."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.steps.append(trainer.global_step)


def fit(
    folder: Path,
    sparse: bool,
    interval: str | None = None,
    callbacks: tuple[L.Callback, ...] = (),
    val_size: int = 0,
    ckpt_path: Path | None = None,
    **settings: Any,
) -> tuple[L.Trainer, Model, list[int]]:
    quieten_lightning()
    torch.manual_seed(0)
    rmsprop = partial(RMSprop, lr=1e-3, alpha=0.9, eps=1e-7)
    model, validations = Model(hidden_size=16, optimizer=rmsprop), Validations()
    model.scheduler_interval = interval
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, save_weights_only=False)
    defaults = {"max_epochs": 2, "log_every_n_steps": 7, "num_sanity_val_steps": 0}
    trainer = L.Trainer(
        accelerator="cpu",
        logger=CSVLogger(folder, name="", version=""),
        callbacks=[validations, last, *callbacks],
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **(defaults | settings),
    )
    if sparse:
        loop.install(trainer)
    data = Data(batch_size=BATCH, eval_batch_size=50, val_size=val_size)
    trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=True)
    return trainer, model, validations.steps


@pytest.fixture(autouse=True)
def a_quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where threads may not change, a busy one is told of, in the middle of what is expected."""
    monkeypatch.setattr(threads.Threads, "say", lambda self, share: None)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps that SparseLoop ran itself."""
    steps: list[int] = []
    step = loop.SparseLoop._step

    def recorded(self: loop.SparseLoop, data_fetcher: Any) -> None:
        steps.append(self.global_step)
        step(self, data_fetcher)

    monkeypatch.setattr(loop.SparseLoop, "_step", recorded)
    monkeypatch.setattr(loop, "LOOK_EVERY", math.inf)
    return steps


SETTINGS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "fewer batches": {"limit_train_batches": 11},
    "a share of them": {"limit_train_batches": 0.5},
    "clipped by norm": {"gradient_clip_val": 0.1},
    "clipped by value": {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"},
    "schedule per step": {"interval": "step"},
    "schedule per epoch": {"interval": "epoch", "max_epochs": 4},
    "steps limited": {"max_steps": 29, "max_epochs": -1},
    "validation within the epoch": {"val_size": 100, "val_check_interval": 6},
    "validation across epochs": {
        "val_size": 100,
        "val_check_interval": 9,
        "check_val_every_n_epoch": None,
        "limit_val_batches": 1,
    },
    "overfitted batches": {"overfit_batches": 3},
    "a few steps to try": {"fast_dev_run": 5},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_gives_what_lightnings_loop_gives(
    tmp_path: Path, quick: list[int], settings: dict[str, Any]
) -> None:
    stock, expected, validated = fit(tmp_path / "stock", sparse=False, **settings)
    assert not quick
    sparse, model, sparse_validated = fit(tmp_path / "sparse", sparse=True, **settings)
    assert len(quick) >= sparse.global_step / 2
    assert sparse.global_step == stock.global_step > 0
    assert sparse_validated == validated
    for name, weight in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], weight), name
    assert sparse.callback_metrics == stock.callback_metrics
    if "fast_dev_run" in settings:  # which writes nothing
        return
    logs = [(tmp_path / kind / "metrics.csv").read_text() for kind in ("stock", "sparse")]
    assert logs[0] == logs[1]
    assert ("loss_step" in logs[0]) == (stock.num_training_batches >= 7)
    saved = [
        torch.load(tmp_path / kind / "last.ckpt", weights_only=True) for kind in ("stock", "sparse")
    ]
    assert saved[0]["loops"] == saved[1]["loops"]
    assert saved[0]["lr_schedulers"] == saved[1]["lr_schedulers"]
    states = [content["optimizer_states"][0]["state"] for content in saved]
    for index, state in states[0].items():
        assert all(torch.equal(state[name], states[1][index][name]) for name in state)


def test_resumes_as_lightnings_loop_does(tmp_path: Path, quick: list[int]) -> None:
    _, expected, _ = fit(tmp_path / "whole", sparse=False, max_epochs=3)
    fit(tmp_path / "part", sparse=True, max_epochs=1)
    quick.clear()
    last = tmp_path / "part" / "last.ckpt"
    trainer, model, _ = fit(tmp_path / "rest", sparse=True, max_epochs=3, ckpt_path=last)
    assert trainer.global_step == 60
    assert min(quick) == 20
    assert all(map(torch.equal, model.parameters(), expected.parameters()))


def test_resumes_from_what_was_saved_after_an_epoch_s_last_step(
    tmp_path: Path, quick: list[int]
) -> None:
    """Lightning's own loop would go on where that epoch's data ended."""
    _, expected, _ = fit(tmp_path / "whole", sparse=True, max_epochs=3)
    every = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=20, save_top_k=-1)
    fit(tmp_path / "part", sparse=True, callbacks=(every,), max_epochs=1)
    saved = tmp_path / "step=20.ckpt"
    trainer, model, _ = fit(tmp_path / "rest", sparse=True, max_epochs=3, ckpt_path=saved)
    assert trainer.global_step == 60
    epochs = trainer.fit_loop.epoch_progress.current
    assert (epochs.ready, epochs.started, epochs.processed, epochs.completed) == (3, 3, 3, 3)
    assert all(map(torch.equal, model.parameters(), expected.parameters()))


def test_weights_do_not_depend_on_threads(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        if not bits_ignore_threads(Model(hidden_size=16), (32, 12)):
            pytest.skip("this oneDNN divides such products differently among threads")
        _, expected, _ = fit(tmp_path / "3", sparse=True)
        torch.set_num_threads(1)
        _, model, _ = fit(tmp_path / "1", sparse=True)
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, model.parameters(), expected.parameters()))


@pytest.mark.parametrize("batch_size", [31, 620, 1000])
def test_any_batch_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int) -> None:
    """One that divides the images, that is all of them, and that is more."""
    monkeypatch.setattr(sys.modules[__name__], "BATCH", batch_size)
    trainer, _, _ = fit(tmp_path, sparse=True, max_epochs=1)
    assert trainer.global_step == -(-IMAGES // batch_size)


class Watching(L.Callback):
    def __init__(self) -> None:
        self.batches: list[int] = []

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.batches.append(batch_idx)


def test_a_callback_that_watches_steps_sees_each(tmp_path: Path, quick: list[int]) -> None:
    watching, seen = Watching(), []
    by_name = LambdaCallback(on_before_zero_grad=lambda *_: seen.append(1))
    for name, callback in (("a", watching), ("b", by_name)):
        fit(tmp_path / name, sparse=True, callbacks=(callback,), max_epochs=1)
    assert watching.batches == list(range(20))
    assert len(seen) == 20
    assert not quick


@pytest.mark.parametrize(
    "settings",
    [
        {"accumulate_grad_batches": 2},
        {"profiler": "simple"},
        {"precision": "bf16-mixed"},
        {"callbacks": (ModelCheckpoint(every_n_train_steps=5),)},
    ],
    ids=["accumulation", "a profiler", "mixed precision", "checkpoints every few steps"],
)
def test_what_has_a_part_in_each_step_gets_each(
    tmp_path: Path, quick: list[int], settings: dict[str, Any]
) -> None:
    fit(tmp_path, sparse=True, max_epochs=1, **settings)
    assert not quick


def test_data_that_must_be_moved_is_left_to_lightning(
    tmp_path: Path, quick: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def darken(self: Data, batch: Any, dataloader_idx: int) -> Any:
        return batch[0] / 2, batch[1]

    monkeypatch.setattr(Data, "on_after_batch_transfer", darken)
    fit(tmp_path, sparse=True, max_epochs=1)
    assert not quick


def test_a_timer_ends_the_fit_within_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: list[int]
) -> None:
    monkeypatch.setattr(loop, "LOOK_EVERY", 0.001)
    timer = Timer(duration={"hours": 1})
    monkeypatch.setattr(timer, "time_elapsed", lambda *_: 7200.0 if quick else 0.0)
    trainer, _, _ = fit(tmp_path, sparse=True, callbacks=(timer,))
    assert 0 < trainer.global_step < 20
    assert quick


def test_lightning_looks_every_fifth_of_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock that each step puts forward: what stops or saves by it does so that soon."""
    steps: list[float] = []
    step, clock = loop.SparseLoop._step, [0.0]

    def timed(self: loop.SparseLoop, data_fetcher: Any) -> None:
        step(self, data_fetcher)
        clock[0] += 0.0625
        steps.append(clock[0])

    looks: list[int] = []
    look = loop.SparseLoop._save_or_stop

    def counted(self: loop.SparseLoop) -> None:
        looks.append(len(steps))
        look(self)

    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(loop.SparseLoop, "_step", timed)
    monkeypatch.setattr(loop.SparseLoop, "_save_or_stop", counted)
    fit(tmp_path, sparse=True, max_epochs=1)
    unseen = [after - before for before, after in pairwise(looks)]
    assert max(unseen) == 4  # of 1/16 s each
    assert len(looks) >= 4


class Logging(Model):
    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        self.log("step", float(batch_idx), on_step=False, on_epoch=True, reduce_fx="max")
        return loss


class ClippingItself(Model):
    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None: ...


@pytest.mark.parametrize("kind", [Logging, ClippingItself])
def test_a_module_with_a_part_in_each_step_gets_each(
    tmp_path: Path, quick: list[int], monkeypatch: pytest.MonkeyPatch, kind: type[Model]
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "Model", kind)
    trainer, _, _ = fit(tmp_path, sparse=True)
    assert trainer.callback_metrics.get("step", 19) == 19
    assert not quick


def test_threads_are_given_back_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(L.Callback):
        def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            torch.set_num_threads(1)
            raise OSError("disk full")

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    monkeypatch.setattr(observers, "allow_other_threads", lambda _: True)
    monkeypatch.setattr(threads, "TASKS", tmp_path)
    try:
        with pytest.raises(OSError, match="disk full"):
            fit(tmp_path, sparse=True, callbacks=(Failing(),), val_size=100)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_the_learning_rate_is_monitored_as_in_lightnings_loop(
    interval: str, tmp_path: Path, quick: list[int]
) -> None:
    settings = {"interval": interval, "max_epochs": 4}
    fit(tmp_path / "stock", False, callbacks=(LearningRateMonitor("step"),), **settings)
    assert not quick
    fit(tmp_path / "sparse", True, callbacks=(LearningRateMonitor("step"),), **settings)
    assert len(quick) >= 60
    logs = [(tmp_path / kind / "metrics.csv").read_text() for kind in ("stock", "sparse")]
    assert logs[0] == logs[1]
    assert "lr-RMSprop" in logs[0]


class Declaring(L.Callback):
    def __init__(self, sees_steps: str | None = None) -> None:
        self.steps: list[int] = []
        if sees_steps:
            self.sees_steps = sees_steps

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.steps.append(trainer.global_step)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (None, [*range(1, 21)]),
        ("all", [*range(1, 21)]),
        ("logged", [7, 14, 20]),  # the last is Lightning's anyway
        ("some", [20]),
    ],
)
def test_a_callback_says_which_steps_it_sees(
    declared: str | None,
    expected: list[int],
    tmp_path: Path,
    quick: list[int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "digits")
    watching = Declaring(declared)
    fit(tmp_path, sparse=True, callbacks=(watching,), max_epochs=1)
    assert watching.steps == expected
    assert len(quick) == 20 - len(expected)
    line = "Lightning's own loop runs each step, for callback Declaring"
    assert caplog.messages == [line] * (len(expected) == 20)


def test_a_callback_can_not_say_anything_else(tmp_path: Path) -> None:
    line = r"callbacks: Declaring\.sees_steps=none: expected one of all, logged, some"
    with pytest.raises(InputError, match=line):
        fit(tmp_path, sparse=True, callbacks=(Declaring("none"),))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"accumulate_grad_batches": 2}, "accumulated gradients"),
        ({"profiler": "simple"}, "the profiler"),
        ({"precision": "bf16-mixed"}, "the precision"),
        ({"val_size": 100, "val_check_interval": "00:01:00:00"}, "validation by the clock"),
        (
            {"callbacks": (Declaring(), ModelCheckpoint(every_n_train_steps=99))},
            "callback Declaring, callback ModelCheckpoint",
        ),
    ],
    ids=["accumulation", "profiler", "precision", "clock", "two"],
)
def test_who_wants_each_step_is_told_once(
    settings: dict[str, Any],
    reason: str,
    tmp_path: Path,
    quick: list[int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "digits")
    fit(tmp_path, sparse=True, **settings)
    lines = [line for line in caplog.messages if "Report" not in line]  # the profiler's
    assert lines == [f"Lightning's own loop runs each step, for {reason}"]
    assert not quick


def test_self_log_in_a_step_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "digits")
    monkeypatch.setattr(sys.modules[__name__], "Model", Logging)
    fit(tmp_path, sparse=True)
    line = "Lightning's own loop runs each step, for the training_step of Logging"
    assert caplog.messages == [line]


@pytest.mark.parametrize(
    ("settings", "may_change"),
    [
        ({}, True),
        ({"precision": "bf16-mixed"}, None),  # as this CPU's products are
        ({"callbacks": (Watching(),)}, True),
        ({"callbacks": (LearningRateMonitor("step"),), "interval": "step"}, True),
        ({"gradient_clip_val": 0.5}, False),
    ],
    ids=["quick", "bf16", "a callback", "learning rates", "clipping by norm"],
)
def test_threads_are_watched_whichever_loop_runs(
    settings: dict[str, Any],
    may_change: bool | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if may_change and not bits_ignore_threads(Model(hidden_size=16), (32, 12)):
        pytest.skip("this oneDNN divides such products differently among threads")
    looked: list[threads.Threads] = []
    monkeypatch.setattr(threads.Threads, "look", lambda self: looked.append(self))
    monkeypatch.setattr(loop, "LOOK_EVERY", 0.0)
    fit(tmp_path, sparse=True, max_epochs=1, **settings)
    assert len(looked) == 20
    assert len(set(looked)) == 1
    if may_change is not None:
        expected = may_change and torch.get_num_threads() > 0
        assert looked[0].may_change == expected


def test_another_lightning_runs_its_own_steps(
    tmp_path: Path,
    quick: list[int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "digits")
    _, expected, _ = fit(tmp_path / "this", sparse=True)
    quick.clear()
    monkeypatch.setattr(L, "__version__", "2.7.0")
    _, model, _ = fit(tmp_path / "other", sparse=True)
    assert not quick
    assert caplog.messages == ["Lightning 2.7.0 runs each step itself: not tested with it"]
    assert all(map(torch.equal, model.parameters(), expected.parameters()))
