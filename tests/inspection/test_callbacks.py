"""The callbacks in a fit of a network that says what it is told to."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from digits.inspection import evidence
from digits.inspection.reporting import Report
from digits.inspection.watch import Watch
from digits.training.scores import Scored
from digits.training.trainer import quieten_lightning
from support.tensorboard import points


class Told(L.LightningModule):
    """Answers class 1 to all images in the epochs `right`, else 0."""

    def __init__(self, right: set[int]) -> None:
        super().__init__()
        self.right = right
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        says = torch.tensor([0.0, 1.0] if self.current_epoch in self.right else [1.0, 0.0])
        return (says * 5 + self.bias).expand(len(x), 2)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        right = (self(batch[0]).argmax(1) == batch[1]).float().mean()
        self.log("val/acc", right)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


def loader(size: int) -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.rand(8, 2, 2), torch.ones(8, dtype=torch.long)), size)


def trainer(folder: Path, callback: Callback, **settings: Any) -> L.Trainer:
    quieten_lightning()
    return L.Trainer(
        accelerator="cpu",
        callbacks=[callback, Scored()],
        logger=TensorBoardLogger(folder, "", "tensorboard"),
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        **settings,
    )


def fit(network: Told, folder: Path, callback: Callback, **settings: Any) -> None:
    """Two steps of four images an epoch, and one of validation."""
    trainer(folder, callback, **settings).fit(network, loader(4), loader(8))


def read(folder: Path) -> Any:
    return evidence.read(folder / "evidence.npz")


def test_evidence_is_the_best_epochs(tmp_path: Path) -> None:
    report = Report(str(tmp_path), test=False)
    fit(Told(right={1}), tmp_path, report, max_epochs=3)
    found = read(tmp_path)
    assert str(found.stage) == "val"
    assert (found.count, found.correct) == (8, 8)
    again = Report(str(tmp_path), test=False)
    again.load_state_dict(report.state_dict())
    fit(Told(right=set()), tmp_path, again, max_epochs=1)
    assert read(tmp_path).correct == 8, "a run that goes on knows how good the best was"


def test_an_epoch_without_validation_has_no_score_of_it(tmp_path: Path) -> None:
    fit(Told({1}), tmp_path, Watch(), max_epochs=3, check_val_every_n_epoch=2)
    assert points(tmp_path, "vs_epoch/val_acc") == [(2, 1.0)]


class Small(Told):
    def __init__(self) -> None:
        super().__init__(set())
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.layers(x)
        return answer


def test_dead_relus_are_of_the_first_batch_of_somebodys_data(tmp_path: Path) -> None:
    network = Small()
    with torch.no_grad():
        network.layers[1].bias.copy_(torch.tensor([9.0, -9.0]))
    fit(network, tmp_path, Watch(), max_epochs=1)
    assert points(tmp_path, "watch/dead_relus/layers.2") == [(1, 0.5)]
    assert not network._forward_pre_hooks


def test_evidence_is_of_the_first_of_several_test_sets(tmp_path: Path) -> None:
    trainer(tmp_path, Report(str(tmp_path))).test(Told({0}), [loader(3), loader(8)], verbose=False)
    found = read(tmp_path)
    assert (str(found.stage), found.count, found.correct) == ("test", 8, 8)


class Prepared(Told):
    """Is right for images that its test step alone makes ready."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x.mean((1, 2)) * 0 + 1, x.amax((1, 2))], 1)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        right = (self(batch[0] + 1).argmax(1) == batch[1]).float().mean()
        self.log("test/acc", right)


def test_a_test_step_that_makes_images_ready_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer(tmp_path, Report(str(tmp_path))).test(Prepared({0}), loader(8), verbose=False)
    assert "test/acc is 1.0000, but what forward answers is right for 0.0000 of" in caplog.text
    found = read(tmp_path)
    assert found.correct == 0
