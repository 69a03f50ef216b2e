"""Whatever is trained, and wherever it is stopped: it ends as if nobody had stopped it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from faults.common import differing_parts
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    Timer,
)
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from torch.utils.data import DataLoader

from digits import signals
from digits.data.augment import Deformation
from digits.model.classifier import DigitClassifier
from digits.runs.checkpoint import check_state, read
from digits.runs.folder import LAST
from support import own
from support.fits import Drawn, drawn, fit, reference, rows, state

STOPS = (1, 4, 9, 10, 11, 15)  # of 20 batches, ten an epoch


class Averaging(DigitClassifier):
    """Does something after each step, logs it, and waits for a plateau of it."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(4)
        self.register_buffer("mean_E", torch.zeros(4))
        self.rate: Any = None

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        self.log("mine/loss", loss, on_step=True, on_epoch=False)
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        with torch.no_grad():
            self.mean_E.lerp_(self.net[1].bias, 0.5)
            self.net[3].weight.mul_(0.99)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), 0.5)
        schedule = ReduceLROnPlateau(optimizer, factor=0.9, patience=0, threshold=0.5)
        moves = {"scheduler": schedule, "interval": "step", "monitor": "mine/loss"}
        return {"optimizer": optimizer, "lr_scheduler": moves}


class AddingUp(L.LightningModule):
    """Two optimizers by hand; the gradients of five batches are one step's."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.automatic_optimization = False
        self.wide, self.narrow = nn.Linear(784, 10), nn.Linear(784, 10)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x_BD = batch[0].flatten(1)
        loss = nn.functional.cross_entropy(self.wide(x_BD) + self.narrow(x_BD), batch[1])
        self.manual_backward(loss)
        if batch_idx % 5 == 4:
            for optimizer in self.optimizers():
                optimizer.step()
                optimizer.zero_grad()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self.wide(batch[0].flatten(1)).mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.wide.parameters(), 0.1), torch.optim.Adam(
            self.narrow.parameters()
        )


class HalfFrozen(DigitClassifier):
    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.net[1].requires_grad_(self.current_epoch == 0)


def half_frozen() -> HalfFrozen:
    torch.manual_seed(0)
    return HalfFrozen(16, partial(torch.optim.SGD, lr=0.01))


def with_dropout() -> DigitClassifier:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.Dropout(0.5), nn.Linear(8, 10))
    return DigitClassifier(net=net, optimizer=torch.optim.Adam)


def convolutions() -> DigitClassifier:
    return reference(torch.optim.SGD, filters=2)


def one_cycle() -> DigitClassifier:
    schedule = partial(OneCycleLR, max_lr=0.1)
    return reference(torch.optim.Adam, scheduler=schedule, scheduler_interval="step")


def plateau() -> DigitClassifier:
    schedule = partial(ReduceLROnPlateau, factor=0.5, patience=0, threshold=0.9)
    return reference(scheduler=schedule, scheduler_monitor="val/loss")


def others_loaders() -> L.LightningDataModule:
    return own.Loaders(320)  # ten batches


class TwoLoaders(own.Loaders):
    """Of ten batches and of three, which are given again and again."""

    def train_dataloader(self) -> Any:
        parts = {"many": 320, "few": 96}
        sets = {name: [part[:count] for part in self.data] for name, count in parts.items()}
        return {name: DataLoader(own.Noise(*part), 32, shuffle=True) for name, part in sets.items()}


class OfTwo(DigitClassifier):
    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(8, torch.optim.Adam)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return sum(super(OfTwo, self).training_step(part, batch_idx) for part in batch.values())


def deformed() -> Drawn:
    """In odd batches."""
    return Drawn(batch_size=7, val_size=8, augment=Deformation(1.0, 20.0, shift=2.0, noise=0.1))


def in_turn(optimizer: Optimizer) -> SequentialLR:
    return SequentialLR(optimizer, [StepLR(optimizer, 1), MultiStepLR(optimizer, [1, 2])], [1])


class Keeps(Callback):
    """Somebody's own, with a state and a score."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        trainer.optimizers[0].param_groups[0]["weight_decay"] = trainer.global_step / 1000
        pl_module.log("mine/score_best", float(trainer.global_step))

    def state_dict(self) -> dict[str, Any]:
        return {"generator": np.random.default_rng(0).bit_generator.state, "pair": (1, None)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        assert state == self.state_dict()


COSINE = partial(CosineAnnealingLR, T_max=2)
WAYS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "accumulation": {"accumulate_grad_batches": 4, "max_epochs": 6},
    "validation within the epoch": {
        "val_check_interval": 3,
        "callbacks": lambda: [EarlyStopping("val/loss", patience=50)],
        "settings": {
            "callbacks.early_stopping.mode": "min",
            "callbacks.early_stopping.patience": 50,
        },
    },
    "validation across epochs": {"val_check_interval": 7, "check_val_every_n_epoch": None},
    "epochs of one step": {"limit_train_batches": 1, "max_epochs": 20},
    "another optimizer and a schedule": {
        "model": lambda: reference(torch.optim.AdamW, scheduler=COSINE)
    },
    "schedules in turn": {"model": lambda: reference(scheduler=in_turn)},
    "a callback with a state": {"callbacks": lambda: [Keeps(), Timer("00:01:00:00")]},
    "a schedule by step": {"model": one_cycle},
    "a plateau": {"model": plateau},
    "deformed images": {"data": deformed},
    "convolutions": {"model": convolutions},
    "a frozen layer": {"model": half_frozen},
    "work after each step": {"model": Averaging},
    "gradients added up by hand": {"model": AddingUp},
    "two loaders": {"data": TwoLoaders, "model": OfTwo, "limit_val_batches": 0},
    "others' loaders": {"data": others_loaders, "model": with_dropout, "limit_val_batches": 0},
}


def run(
    folder: Path,
    ckpt_path: Path | None = None,
    model: Callable[[], L.LightningModule] = reference,
    data: Callable[[], L.LightningDataModule] = drawn,
    callbacks: Callable[[], list[Callback]] = list,
    **trainer: Any,
) -> L.Trainer:
    return fit(folder, model(), data(), callbacks(), ckpt_path, **trainer)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_fit_that_was_stopped_again_and_again_ends_as_the_whole_one(
    way: dict[str, Any], stop_at: Callable[[int], None], tmp_path: Path
) -> None:
    run(tmp_path / "whole", **way)
    part, stopped = tmp_path / "part", 0
    for batches in (*STOPS, 0):
        stop_at(batches)
        last = part / LAST if (part / LAST).is_file() else None
        try:
            run(part, last, **way)
        except (SystemExit, signals.Stopped):
            stopped += 1
            done = state(part)["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]
            assert done["completed"] >= batches > done["completed"] - 6
            check_state(read(str(part / LAST)), way.get("model", reference)())
    assert stopped >= 3
    assert differing_parts(part / LAST, tmp_path / "whole" / LAST) == []
    assert rows(part) == rows(tmp_path / "whole")


class Cycling(DigitClassifier):
    """Asks the Trainer for the run's length, as Lightning's documentation shows."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), 0.1, momentum=0.9)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = OneCycleLR(optimizer, max_lr=0.5, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Rates(Callback):
    """Notes learning rate and momentum of each step."""

    def __init__(self) -> None:
        self.told: list[tuple[float, Any]] = []

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        group = trainer.optimizers[0].param_groups[0]
        self.told.append((group["lr"], group.get("betas", group.get("momentum"))))


def falling(optimizer: Optimizer, epochs: int) -> CosineAnnealingLR:
    return CosineAnnealingLR(optimizer, epochs)


LENGTHS: dict[str, Any] = {  # a model whose schedule has the length of a run of so many epochs
    "one cycle": lambda _: one_cycle(),
    "its own": lambda _: Cycling(4),
    "restarts": lambda _: reference(scheduler=partial(CosineAnnealingWarmRestarts, T_0=3)),
    "in turn": lambda epochs: reference(
        scheduler=lambda o: SequentialLR(o, [StepLR(o, 1), falling(o, epochs)], [1])
    ),
}


@pytest.mark.parametrize(("kind", "make"), LENGTHS.items(), ids=LENGTHS.keys())
def test_a_longer_run_goes_on_with_the_rates_of_its_length(
    kind: str, make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A line says so once: the length changes once."""
    caplog.set_level("INFO", "digits")
    whole, then, again = Rates(), Rates(), Rates()
    last = tmp_path / "part" / LAST
    run(tmp_path / "whole", None, lambda: make(4), callbacks=lambda: [whole], max_epochs=4)
    run(last.parent, None, lambda: make(2), max_epochs=2)
    run(last.parent, last, lambda: make(4), callbacks=lambda: [then, StopsAt(25)], max_epochs=4)
    run(last.parent, last, lambda: make(4), callbacks=lambda: [again], max_epochs=4)
    assert then.told + again.told == whole.told[20:]
    assert caplog.text.count("is stretched to the new length") == (kind != "restarts")


class StopsAt(Callback):
    def __init__(self, batches: int) -> None:
        self.batches = batches

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.global_step == self.batches


class StopsOnce(Callback):
    """Somebody's own, which looks at a validation."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.should_stop = trainer.fit_loop.total_batch_idx == 5


WITHIN = {"val_check_interval": 3, "model": plateau, "limit_train_batches": 9}
LOADERS = {"data": others_loaders, "model": with_dropout, "limit_val_batches": 0}
ENDS: dict[str, tuple[dict[str, Any], ...]] = {  # how it is, how it ends first, then
    "steps limited": (WITHIN, {"max_steps": 6}, {}),
    "steps limited twice": (
        LOADERS, {"max_steps": 10, "max_epochs": -1}, {"max_steps": 20, "max_epochs": -1}
    ),
    "a callback's end": (WITHIN, {"callbacks": lambda: [StopsOnce()]}, {}),
    "a callback's end, gradients half added up": (
        WITHIN | {"accumulate_grad_batches": 4}, {"callbacks": lambda: [StopsOnce()]}, {}
    ),
}  # fmt: skip


@pytest.mark.parametrize(("way", "first", "then"), ENDS.values(), ids=ENDS.keys())
def test_a_fit_that_ended_goes_on_at_its_next_batch(
    way: dict[str, Any], first: dict[str, Any], then: dict[str, Any], tmp_path: Path
) -> None:
    """A validation after that batch is over: it counts, once."""
    whole = run(tmp_path / "whole", **way | then)
    part = tmp_path / "part"
    ended = run(part, **way | first)
    assert ended.global_step == state(part)["global_step"] < whole.global_step
    run(part, part / LAST, **way | then)
    assert differing_parts(part / LAST, tmp_path / "whole" / LAST) == []


def test_a_fit_goes_on_from_what_was_saved_in_a_validation(tmp_path: Path) -> None:
    saves = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, save_on_train_epoch_end=False)
    way = {"model": Averaging, "val_check_interval": 3}
    run(tmp_path / "whole", callbacks=lambda: [saves], **way)
    run(tmp_path / "part", tmp_path / "step=3.ckpt", **way)
    parts = differing_parts(tmp_path / "part" / LAST, tmp_path / "whole" / LAST)
    assert not {"state_dict", "optimizer_states", "lr_schedulers", "loops"} & set(parts)


class Shuffling:
    """A loader with a state, which draws an order as soon as it is asked for one."""

    def __init__(self) -> None:
        self.batches = [(torch.rand(8, 28, 28), torch.arange(8)) for _ in range(10)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Any:
        return iter([self.batches[place] for place in torch.randperm(len(self))])

    def state_dict(self) -> dict[str, Any]:
        return {"draws": 1}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Shuffled(L.LightningDataModule):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.loader = Shuffling()

    def train_dataloader(self) -> Shuffling:
        return self.loader


def test_a_loader_of_ones_own_is_asked_once_an_epoch(tmp_path: Path) -> None:
    way = {"data": Shuffled, "model": with_dropout, "limit_val_batches": 0}
    run(tmp_path / "whole", max_epochs=4, **way)
    run(tmp_path / "part", max_epochs=1, **way)
    run(tmp_path / "part", tmp_path / "part" / LAST, max_epochs=4, **way)
    assert differing_parts(tmp_path / "part" / LAST, tmp_path / "whole" / LAST) == []


def test_epochs_of_others_loaders_are_drawn_as_without_us(tmp_path: Path) -> None:
    ends = [with_dropout(), with_dropout()]
    for model, own_loop in zip(ends, (True, False), strict=True):
        torch.manual_seed(1)
        fit(tmp_path, model, others_loaders(), own_loop=own_loop, limit_val_batches=0)
    assert all(map(torch.equal, ends[0].parameters(), ends[1].parameters()))
