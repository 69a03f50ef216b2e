"""The step written out beside Lightning's own loop: the same weights, logs and checkpoints."""

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
from faults.common import differing_parts
from lightning.pytorch.callbacks import (
    LambdaCallback,
    LearningRateMonitor,
    ModelCheckpoint,
    TQDMProgressBar,
)
from torch import Tensor
from torch.optim.lr_scheduler import StepLR

from digits.data.augment import Augment, Deformation
from digits.data.batches import Batch
from digits.data.datamodule import ImageDataModule
from digits.model.classifier import DigitClassifier
from digits.runs.folder import LAST
from digits.training import step
from digits.training.pauses import Pauses
from support import fits
from support.fits import RMSPROP, Drawn

IMAGES, BATCH = 620, 32  # 20 steps an epoch, the last one smaller
MODEL = DigitClassifier


class Data(Drawn):
    count = IMAGES

    def __init__(self, val_size: int = 0, augment: Augment | None = None) -> None:
        super().__init__(None, BATCH, 50, val_size, augment=augment)


def fit(
    folder: Path,
    sparse: bool,
    interval: Any = None,
    optimizer: Any = RMSPROP,
    val_size: int = 0,
    augment: Augment | None = None,
    **given: Any,
) -> tuple[L.Trainer, DigitClassifier]:
    """With the step written out, if it may be (`sparse`), or Lightning's own loop alone."""
    torch.manual_seed(0)
    schedule = partial(StepLR, step_size=3, gamma=0.9) if interval else None
    model = MODEL(16, optimizer, schedule, scheduler_interval=interval or "epoch")
    given = {"limit_val_batches": 2 if val_size else 0, "log_every_n_steps": 7} | given
    trainer = fits.fit(folder, model, Data(val_size, augment), own_loop=not sparse, **given)
    return trainer, model


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batch sizes of the steps that were written out."""
    sizes: list[int] = []
    written_out = step.Step.set_gradients

    def recorded(self: step.Step, x_BHW: Tensor, y_B: Tensor) -> Tensor:
        sizes.append(len(y_B))
        return written_out(self, x_BHW, y_B)

    monkeypatch.setattr(step.Step, "set_gradients", recorded)
    monkeypatch.setattr(step, "LOOK_EVERY", math.inf)
    return sizes


SETTINGS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "fewer batches": {"limit_train_batches": 11},
    "a share of them": {"limit_train_batches": 0.5},
    "clipped by norm": {"gradient_clip_val": 0.1},
    "clipped by value": {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"},
    "SGD with momentum": {"optimizer": partial(torch.optim.SGD, lr=0.1, momentum=0.9)},
    "AdamW": {"optimizer": partial(torch.optim.AdamW, lr=1e-3)},
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
    "deformed images": {"augment": Deformation(1.0, 20.0, noise=0.1)},
    "a few steps to try": {"fast_dev_run": 5},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_gives_what_lightnings_loop_gives(
    tmp_path: Path, quick: list[int], settings: dict[str, Any]
) -> None:
    stock, expected = fit(tmp_path / "stock", sparse=False, **settings)
    assert not quick
    sparse, model = fit(tmp_path / "sparse", sparse=True, **settings)
    assert len(quick) >= sparse.global_step / 3
    assert sparse.global_step == stock.global_step > 0
    assert all(map(torch.equal, model.parameters(), expected.parameters()))
    assert sparse.callback_metrics == stock.callback_metrics
    if "fast_dev_run" in settings:  # which writes nothing
        return
    logs = [(tmp_path / kind / "metrics.csv").read_text() for kind in ("stock", "sparse")]
    assert logs[0] == logs[1]
    assert ("loss_step" in logs[0]) == (stock.num_training_batches >= 7)
    differing = differing_parts(tmp_path / "sparse" / LAST, tmp_path / "stock" / LAST)
    ends_within = {"loops", "processes", "metrics"} if "max_steps" in settings else set()
    assert set(differing) == ends_within  # ours is saved before the epoch is closed


class Read(ImageDataModule):
    """The images of `Drawn`, or the same with two more colours, all black."""

    def read(self, stage: str) -> Batch:
        data = Data()
        data.setup(stage)
        images, labels = data.train or ()
        black = torch.zeros_like(images)
        return (torch.stack([images, black, black], 1) if self.channels == 3 else images), labels


def test_a_channel_changes_no_bit(tmp_path: Path, quick: list[int]) -> None:
    """And colour has its own step, which is that of Lightning's loop."""

    def fitted(name: str, channels: Any, own_loop: bool = False) -> Tensor:
        torch.manual_seed(0)
        data = Read(batch_size=BATCH)
        data.channels = channels
        model = MODEL(16, RMSPROP, channels=channels or 1)
        fits.fit(tmp_path / name, model, data, own_loop=own_loop, max_epochs=1)
        return model.net[1].weight.detach()

    plain, one = fitted("plain", None), fitted("one", 1)
    assert len(quick) >= 30
    assert torch.equal(plain, one)
    three, stock = fitted("three", 3), fitted("stock", 3, own_loop=True)
    assert three.shape == (16, 3 * 784)
    assert torch.equal(three, stock)


def test_resumes_as_lightnings_loop_does(tmp_path: Path, quick: list[int]) -> None:
    _, expected = fit(tmp_path / "whole", sparse=False, max_epochs=3)
    fit(tmp_path / "part", sparse=True, max_epochs=1)
    quick.clear()
    last = tmp_path / "part" / "last.ckpt"
    trainer, model = fit(tmp_path / "rest", sparse=True, max_epochs=3, ckpt_path=last)
    assert trainer.global_step == 60
    assert len(quick) > 20
    assert all(map(torch.equal, model.parameters(), expected.parameters()))


def test_resumes_from_what_was_saved_after_an_epoch_s_last_step(
    tmp_path: Path, quick: list[int]
) -> None:
    _, expected = fit(tmp_path / "whole", sparse=True, max_epochs=3)
    every = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=20, save_top_k=-1)
    fit(tmp_path / "part", sparse=True, callbacks=(every,), max_epochs=1)
    saved = tmp_path / "step=20.ckpt"
    trainer, model = fit(tmp_path / "rest", sparse=True, max_epochs=3, ckpt_path=saved)
    assert trainer.global_step == 60
    assert all(map(torch.equal, model.parameters(), expected.parameters()))


@pytest.mark.parametrize("batch_size", [31, 620, 1000])
def test_any_batch_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int) -> None:
    """One that divides the images, that is all of them, and that is more."""
    monkeypatch.setattr(sys.modules[__name__], "BATCH", batch_size)
    trainer, _ = fit(tmp_path, sparse=True, max_epochs=1)
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
        {"callbacks": (TQDMProgressBar(refresh_rate=7),), "enable_progress_bar": True},
    ],
    ids=["accumulation", "a profiler", "mixed precision", "checkpoints every few steps", "a bar"],
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


class Logging(DigitClassifier):
    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        self.log("step", float(batch_idx), on_step=False, on_epoch=True, reduce_fx="max")
        return loss


class ClippingItself(DigitClassifier):
    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None: ...


@pytest.mark.parametrize("kind", [Logging, ClippingItself])
def test_a_module_with_a_part_in_each_step_gets_each(
    tmp_path: Path, quick: list[int], monkeypatch: pytest.MonkeyPatch, kind: type[DigitClassifier]
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "MODEL", kind)
    trainer, _ = fit(tmp_path, sparse=True)
    assert trainer.callback_metrics.get("step", 19) == 19
    assert not quick


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


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"accumulate_grad_batches": 2}, "accumulated gradients"),
        ({"profiler": "simple"}, "the profiler"),
        ({"precision": "bf16-mixed"}, "the precision"),
        ({"val_size": 100, "val_check_interval": "00:01:00:00"}, "validation by the clock"),
        (
            {"callbacks": (Watching(), ModelCheckpoint(every_n_train_steps=99))},
            "callback Watching, callback ModelCheckpoint",
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
    monkeypatch.setattr(sys.modules[__name__], "MODEL", Logging)
    fit(tmp_path, sparse=True)
    line = "Lightning's own loop runs each step, for the model Logging"
    assert caplog.messages == [line]


def test_another_lightning_runs_its_own_steps(
    tmp_path: Path,
    quick: list[int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "digits")
    _, expected = fit(tmp_path / "this", sparse=True)
    quick.clear()
    monkeypatch.setattr(L, "__version__", "2.7.0")
    _, model = fit(tmp_path / "other", sparse=True)
    assert not quick
    assert caplog.messages == ["Lightning's own loop runs each step, for Lightning 2.7.0"]
    assert all(map(torch.equal, model.parameters(), expected.parameters()))


@pytest.mark.parametrize("batch_size", [1, 96, 128])
@pytest.mark.parametrize("hidden_size", [1, 16, 512])
def test_the_gradients_are_autograds(batch_size: int, hidden_size: int) -> None:
    torch.manual_seed(0)
    model = DigitClassifier(hidden_size)
    x_BHW, y_B = torch.rand(batch_size, 28, 28), torch.arange(batch_size) % 10
    loss = step.Step(model, RMSPROP(model.parameters())).set_gradients(x_BHW, y_B)
    written_out = [weight.grad for weight in model.parameters()]
    model.zero_grad()
    logits_BK = model(x_BHW)
    expected = torch.nn.functional.cross_entropy(logits_BK, y_B)
    expected.backward()
    assert loss == expected
    assert all(map(torch.equal, written_out, (weight.grad for weight in model.parameters())))
    correct = int((logits_BK.argmax(1) == y_B).sum())
    assert model.train_score.correct == correct
    assert model.train_score.loss_sum == expected * batch_size


def patch(layer: Any, seen: Any) -> None:
    forward = layer.forward
    layer.forward = lambda x: (seen(), forward(x))[1]


WATCHES: dict[str, Any] = {
    "a hook": lambda layer, seen: layer.register_forward_hook(seen),
    "an earlier hook": lambda layer, seen: layer.register_forward_pre_hook(seen),
    "another forward": patch,
}


@pytest.mark.parametrize("watch", WATCHES.values(), ids=WATCHES.keys())
def test_a_network_that_is_watched_runs_its_layers(
    watch: Any, tmp_path: Path, quick: list[int]
) -> None:
    seen: list[int] = []

    class Watches(L.Callback):
        def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
            watch(pl_module.net[1], lambda *_: seen.append(1) or None)

    fit(tmp_path, sparse=True, callbacks=(Watches(),), max_epochs=1)
    assert len(seen) == 20
    assert not quick


LOSS = "train/loss_step"


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"log_every_n_steps": 7}, [6, 13, 20, 27, 34]),
        ({"log_every_n_steps": 25}, [24]),  # more than an epoch has
        ({"log_every_n_steps": 3, "accumulate_grad_batches": 4}, [2, 5, 8]),  # 5 steps an epoch
    ],
    ids=["within epochs", "across them", "accumulated"],
)
def test_a_step_s_loss_is_logged_by_the_steps_of_the_run(
    settings: dict[str, Any], steps: list[int], tmp_path: Path
) -> None:
    fit(tmp_path, sparse=True, **settings)
    told = {int(row["step"]): float(row[LOSS]) for row in fits.rows(tmp_path) if LOSS in row}
    assert list(told) == steps
    assert all(1 < loss < 4 for loss in told.values())  # of a batch, not of a share of it


def test_lightning_looks_every_fifth_of_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock that each step puts forward: what stops or saves by it does so that soon."""
    clock, looks = [0.0], []
    written_out = step.Step.set_gradients

    def timed(self: step.Step, x_BHW: Tensor, y_B: Tensor) -> Tensor:
        clock[0] += 0.0625
        return written_out(self, x_BHW, y_B)

    monkeypatch.setattr(step, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(step.Step, "set_gradients", timed)
    monkeypatch.setattr(Pauses, "between_steps", lambda *_: looks.append(clock[0]))
    fit(tmp_path, sparse=True, max_epochs=1)
    unseen = [after - before for before, after in pairwise(looks)]
    assert max(unseen) == 4 * 0.0625
    assert len(looks) >= 4


def halve(weight: Any) -> None:
    weight.grad.mul_(0.5)


CHANGES: dict[str, Any] = {
    "frozen": lambda trainer, layer: layer.requires_grad_(False),
    "its state loaded": lambda trainer, layer: trainer.optimizers[0].load_state_dict(
        trainer.optimizers[0].state_dict()
    ),
    "other weights": lambda trainer, layer: setattr(layer.weight, "data", layer.weight.data / 2),
    "a hook": lambda trainer, layer: layer.weight.register_hook(lambda gradient: gradient / 2),
    "a later hook": lambda trainer, layer: layer.weight.register_post_accumulate_grad_hook(halve),
}


class Changing(L.Callback):
    def __init__(self, change: Any) -> None:
        self.change: Any = change

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if self.change:
            self.change(trainer, pl_module.net[1])
        self.change = None


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_a_validation_changes_within_an_epoch_counts(
    change: Any, tmp_path: Path, quick: list[int]
) -> None:
    settings = {"val_size": 100, "val_check_interval": 6}
    _, expected = fit(tmp_path / "a", False, callbacks=(Changing(change),), **settings)
    _, model = fit(tmp_path / "b", True, callbacks=(Changing(change),), **settings)
    assert quick
    assert all(map(torch.equal, model.parameters(), expected.parameters()))
