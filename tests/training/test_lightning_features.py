"""What Lightning offers, each beside Lightning's own loop: the same weights, counters, scores, logs
and checkpoints, to the bit.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import callbacks as cb
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassAccuracy

from digits.data.datamodule import MNISTDataModule
from digits.model.classifier import DigitClassifier
from digits.model.rmsprop import RMSprop
from digits.training import loop
from digits.training.trainer import quieten_lightning

IMAGES, BATCH = 310, 32  # 10 steps an epoch, the last one smaller
RMSPROP = partial(RMSprop, lr=1e-3, alpha=0.9, eps=1e-7)


class Data(MNISTDataModule):
    """Two thirds of the images are easy: brighter, the higher the class."""

    def prepare_data(self) -> None: ...

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 120, (IMAGES, 28, 28), dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, 10, (IMAGES,), generator=generator)
        images[::3] += (10 * labels[::3, None, None]).to(torch.uint8)
        self.train, self.val = (images, labels), (images[:100], labels[:100])


class Loaders(L.LightningDataModule):
    """Somebody's own, with PyTorch's loaders; its images are floats."""

    def setup(self, stage: str) -> None:
        data = Data()
        data.setup(stage)
        assert data.train
        self.images = TensorDataset(data.train[0] / 255, data.train[1])

    def train_dataloader(self) -> Any:
        return DataLoader(self.images, BATCH, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(self.images, BATCH)


class Transferring(Data):
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch[0] / 2, batch[1]


# Models: one step each of another form, of the same network and loss


class Own(L.LightningModule):
    """As somebody writes it, without anything of this project's."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 10)
        )

    def loss(self, batch: Any) -> Tensor:
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.loss(batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self.loss(batch))

    def configure_optimizers(self) -> Any:
        return Adam(self.parameters(), 1e-3)


class Dict(Own):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return {"loss": self.loss(batch), "more": torch.ones(2)}


class Sometimes(Own):
    """None skips a step."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return None if batch_idx % 3 == 1 else self.loss(batch)


class Never(Own):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return None


class Logs(Own):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss(batch)
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        return loss


class LogsLate(Own):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss(batch)
        if self.global_step >= 7:
            self.log("late", loss)
        return loss


class LogsMetric(Own):
    def __init__(self) -> None:
        super().__init__()
        self.accuracy = MulticlassAccuracy(10)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.accuracy(self.net(batch[0]), batch[1])
        self.log("train/acc", self.accuracy, on_step=True, on_epoch=True)
        return self.loss(batch)


class Manual(Own):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()  # type: ignore[union-attr]
        self.manual_backward(self.loss(batch))
        optimizer.step()  # type: ignore[union-attr]


class TwoOptimizers(Manual):
    def training_step(self, batch: Any, batch_idx: int) -> None:
        for optimizer in self.optimizers():  # type: ignore[union-attr]
            self.toggle_optimizer(optimizer)
            optimizer.zero_grad()
            self.manual_backward(self.loss(batch))
            optimizer.step()
            self.untoggle_optimizer(optimizer)

    def configure_optimizers(self) -> Any:
        return SGD(self.net[1].parameters(), 0.1), Adam(self.net[4].parameters(), 1e-3)


class Groups(Own):
    def configure_optimizers(self) -> Any:
        weights = [p for p in self.parameters() if p.dim() > 1]
        biases = [p for p in self.parameters() if p.dim() == 1]
        return AdamW([{"params": weights}, {"params": biases, "weight_decay": 0.0}], 1e-3)


class Closure(Own):
    def configure_optimizers(self) -> Any:
        return torch.optim.LBFGS(self.parameters(), 0.1, max_iter=3)


class Ours(DigitClassifier):
    """The project's model, with a schedule that a test chooses."""

    schedule: Callable[[Any], Any] | None = None
    moves: Mapping[str, Any] = {}

    def __init__(self, **more: Any) -> None:
        super().__init__(16, RMSPROP, **more)

    def configure_optimizers(self) -> Any:
        optimizer = self._new_optimizer(self.parameters())
        if self.schedule is None:
            return optimizer
        scheduler = type(self).__dict__["schedule"](optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **self.moves}}


def scheduled(make: Callable[[Any], Any], **moves: Any) -> type[Ours]:
    return type("Scheduled", (Ours,), {"schedule": make, "moves": moves})


class Hooked(Ours):
    def on_before_optimizer_step(self, optimizer: Any) -> None:
        optimizer.param_groups[0]["lr"] = 1e-3 / (1 + self.global_step)


class ClipsItself(Ours):
    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        self.clip_gradients(optimizer, 0.05, "norm")


class StepsItself(Ours):
    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        super().optimizer_step(*arguments, **options)
        for weight in self.parameters():
            weight.data.mul_(0.999)


class Compiled(Ours):
    def setup(self, stage: str) -> None:
        torch.compiler.reset()  # each has the same code, and only so often it is compiled anew
        self.net.compile(backend="eager")


class OtherNet(Ours):
    """A network of somebody's own under the project's step."""

    def __init__(self) -> None:
        layers = nn.Flatten(), nn.Linear(784, 16), nn.GELU(), nn.Dropout(0.2), nn.Linear(16, 10)
        super().__init__(net=nn.Sequential(*layers))


class Subclass(Ours):
    """Another step, which uses self.log: Lightning's loop runs it."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        self.log("step", loss)
        return loss


@dataclass(frozen=True)
class Feature:
    """`quick` says whether the quick loop is for it."""

    quick: bool = True
    model: Callable[[], L.LightningModule] = Ours
    data: Callable[[], L.LightningDataModule] | None = None
    callbacks: Callable[[Path], list[L.Callback]] = lambda folder: []
    val_size: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    differs: tuple[str, ...] = ()  # columns of the log that tell the time


def flag(quick: bool = True, val_size: int = 0, **settings: Any) -> Feature:
    return Feature(quick, val_size=val_size, settings=settings)


def callback(
    make: Callable[..., L.Callback], *given: Any, quick: bool = True, val_size: int = 0, **more: Any
) -> Feature:
    def made(folder: Path) -> list[L.Callback]:
        return [make(*given, **more)]

    return Feature(quick, callbacks=made, val_size=val_size)


def model(make: Callable[[], L.LightningModule], quick: bool = False, **settings: Any) -> Feature:
    return Feature(quick, make, settings=settings)


def saving(quick: bool, **when: Any) -> Feature:
    return Feature(
        quick,
        callbacks=lambda folder: [cb.ModelCheckpoint(folder / "often", save_top_k=-1, **when)],
    )


FEATURES = {
    "as it comes": Feature(),
    # flags of the Trainer
    "clipping by norm": flag(gradient_clip_val=0.1),
    "clipping by value": flag(gradient_clip_val=0.01, gradient_clip_algorithm="value"),
    "accumulation": flag(False, accumulate_grad_batches=3),
    "max_steps": flag(max_steps=13, max_epochs=-1),
    "max_steps of an own model": model(Own, max_steps=13, max_epochs=-1),
    "max_time": flag(max_time={"hours": 1}),
    "min_steps": flag(min_steps=15, max_epochs=3),
    "val_check_interval": flag(val_size=100, val_check_interval=4),
    "val_check_interval as a share": flag(val_size=100, val_check_interval=0.5),
    "val_check_interval over epochs": flag(
        val_size=100, val_check_interval=7, check_val_every_n_epoch=None
    ),
    "check_val_every_n_epoch": flag(val_size=100, check_val_every_n_epoch=2, max_epochs=4),
    "limit_train_batches": flag(limit_train_batches=7),
    "limit_train_batches as a share": flag(limit_train_batches=0.5),
    "limit_val_batches": flag(val_size=100, limit_val_batches=1),
    "overfit_batches": flag(overfit_batches=3),
    "fast_dev_run": flag(fast_dev_run=4),
    "fp16": flag(False, precision="16-mixed"),  # on a CPU Lightning takes bf16
    "bf16": flag(False, precision="bf16-mixed"),
    "bf16-true": flag(False, precision="bf16-true"),
    "fp64": flag(False, precision="64-true"),
    "fp64 of an own model": model(Own, precision="64-true"),
    "deterministic": flag(deterministic=True),
    "detect_anomaly": flag(detect_anomaly=True),
    "simple profiler": flag(False, profiler="simple"),
    "advanced profiler": flag(False, profiler="advanced"),
    "sanity checking": flag(val_size=100, num_sanity_val_steps=2),
    "log_every_n_steps": flag(log_every_n_steps=1),
    "inference_mode": flag(val_size=100, inference_mode=False),
    "reload_dataloaders": flag(reload_dataloaders_every_n_epochs=1),
    "barebones": flag(barebones=True),
    # callbacks
    "StochasticWeightAveraging": callback(
        cb.StochasticWeightAveraging, swa_lrs=1e-2, swa_epoch_start=1
    ),
    "EMAWeightAveraging": callback(cb.EMAWeightAveraging, quick=False),
    "WeightAveraging": callback(cb.WeightAveraging, quick=False, use_buffers=False),
    "GradientAccumulationScheduler": callback(cb.GradientAccumulationScheduler, {0: 1, 1: 2}),
    "LearningRateMonitor": callback(cb.LearningRateMonitor, "step"),
    "LearningRateMonitor by epoch": callback(cb.LearningRateMonitor, "epoch"),
    "Timer": callback(cb.Timer, "00:01:00:00"),
    "ModelSummary": callback(cb.ModelSummary),
    "RichModelSummary": callback(cb.RichModelSummary),
    "TQDMProgressBar": callback(cb.TQDMProgressBar),
    "RichProgressBar": callback(cb.RichProgressBar),
    "DeviceStatsMonitor": Feature(
        callbacks=lambda folder: [cb.DeviceStatsMonitor(cpu_stats=True)],
        differs=("DeviceStatsMonitor",),
    ),
    "EarlyStopping": callback(cb.EarlyStopping, "val/loss", patience=0, val_size=100),
    "EarlyStopping of training": callback(cb.EarlyStopping, "train/loss", stopping_threshold=9.0),
    "ModelPruning": callback(cb.ModelPruning, "l1_unstructured", amount=0.3),
    "ModelCheckpoint by steps": saving(False, every_n_train_steps=4),
    "ModelCheckpoint by a score": saving(True, every_n_epochs=1, monitor="train/loss"),
    "own hooks of epochs": callback(
        cb.LambdaCallback, on_train_epoch_start=lambda trainer, module: torch.rand(1)
    ),
    "own hooks of steps": callback(
        cb.LambdaCallback, quick=False, on_train_batch_start=lambda *_: torch.rand(1)
    ),
    # schedules
    "StepLR by step": model(scheduled(lambda o: StepLR(o, 3, 0.5), interval="step"), quick=True),
    "OneCycleLR by step": model(
        scheduled(lambda o: OneCycleLR(o, 0.01, total_steps=30), interval="step"), quick=True
    ),
    "cosine by epoch": model(scheduled(lambda o: CosineAnnealingLR(o, 3)), quick=True),
    "plateau": model(
        scheduled(lambda o: ReduceLROnPlateau(o, patience=0), monitor="train/loss"), quick=True
    ),
    # forms of a model
    "an own model": model(Own),
    "a dict": model(Dict),
    "None now and then": model(Sometimes),
    "None always": model(Never),
    "self.log": model(Logs),
    "self.log late": model(LogsLate),
    "self.log of a metric": model(LogsMetric),
    "manual optimization": model(Manual),
    "two optimizers": model(TwoOptimizers),
    "two groups of weights": model(Groups),
    "an optimizer with a closure": model(Closure),
    "own optimizer hook": model(Hooked),
    "own clipping": model(ClipsItself),
    "own optimizer_step": model(StepsItself),
    "a subclass that logs": model(Subclass),
    "an own network": model(OtherNet, quick=True),
    "torch.compile": model(Compiled, quick=True),
    "PyTorch's loaders": Feature(False, Own, Loaders),
    "own transfer": Feature(False, data=partial(Transferring, batch_size=BATCH)),
}


def fit(folder: Path, feature: Feature, ours: bool) -> L.Trainer:
    quieten_lightning()
    torch.manual_seed(0)
    module = feature.model()
    last = cb.ModelCheckpoint(folder, "last", save_on_train_epoch_end=True)
    defaults = {"max_epochs": 3, "log_every_n_steps": 3, "num_sanity_val_steps": 0}
    settings = {"max_epochs": 3} if "barebones" in feature.settings else defaults
    settings = settings | feature.settings
    callbacks = feature.callbacks(folder)
    bars, summaries = (cb.ProgressBar, cb.ModelSummary)
    if not settings.get("barebones"):
        settings["logger"] = CSVLogger(folder, name="", version="")
        settings["callbacks"] = [*callbacks, last]
        settings["enable_progress_bar"] = any(isinstance(each, bars) for each in callbacks)
        settings["enable_model_summary"] = any(isinstance(each, summaries) for each in callbacks)
    trainer = L.Trainer(accelerator="cpu", use_distributed_sampler=False, **settings)
    if ours:
        loop.install(trainer)
    default = partial(Data, batch_size=BATCH, eval_batch_size=50, val_size=feature.val_size)
    trainer.fit(module, (feature.data or default)(), weights_only=False)
    return trainer


def same(a: Any, b: Any) -> bool:
    """To the bit; NaN is NaN."""
    if isinstance(a, Tensor):
        return a.shape == b.shape and bool(torch.equal(a.nan_to_num(7), b.nan_to_num(7)))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) or callable(a) or (a != a and b != b)


def log(folder: Path, feature: Feature) -> list[list[str]]:
    """metrics.csv by columns, but for those that tell the time."""
    path = folder / "metrics.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()] if path.is_file() else []
    return [list(c) for c in zip(*rows, strict=True) if not c[0].startswith(feature.differs or "?")]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The steps that the quick loop ran."""
    steps: list[int] = []
    step = loop.SparseLoop._step

    def recorded(self: loop.SparseLoop, data_fetcher: Any) -> None:
        steps.append(self.global_step)
        step(self, data_fetcher)

    monkeypatch.setattr(loop.SparseLoop, "_step", recorded)
    monkeypatch.setattr(loop, "LOOK_EVERY", math.inf)
    yield steps
    torch.use_deterministic_algorithms(False)
    torch.autograd.set_detect_anomaly(False)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Lightning's advice on some of these features
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", FEATURES)
def test_ends_as_lightnings_own_loop_does(
    name: str, tmp_path: Path, quick: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    feature = FEATURES[name]
    stock = fit(tmp_path / "stock", feature, ours=False)
    assert not quick
    ours = fit(tmp_path / "ours", feature, ours=True)
    assert bool(quick) == feature.quick
    assert stock.lightning_module is not None
    expected = stock.lightning_module.state_dict()
    assert ours.global_step == stock.global_step
    assert ours.current_epoch == stock.current_epoch
    assert same(expected, ours.lightning_module.state_dict())  # type: ignore[union-attr]
    assert same(dict(stock.callback_metrics), dict(ours.callback_metrics))
    assert log(tmp_path / "stock", feature) == log(tmp_path / "ours", feature)
    last = [tmp_path / kind / "last.ckpt" for kind in ("stock", "ours")]
    assert last[0].is_file() == last[1].is_file()
    if last[0].is_file():
        a, b = (torch.load(path, weights_only=False) for path in last)
        for content in (a, b):  # ours says where PyTorch's loaders are
            content["loops"]["fit_loop"]["state_dict"].pop("combined_loader", None)
        for part in ("loops", "optimizer_states", "lr_schedulers", "global_step", "epoch"):
            assert same(a[part], b[part]), part


def test_there_are_as_many_as_were_tried() -> None:
    assert len(FEATURES) > 70
