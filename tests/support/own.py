"""Models and data of somebody's own."""

from datetime import date
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

from digits.model.classifier import DigitClassifier


class Noted(DigitClassifier):
    """Keeps a note, and all it is given, among its hyper-parameters."""

    def __init__(self, note: str = "", **settings: Any) -> None:
        super().__init__(**settings)
        self.save_hyperparameters()


class Scored(DigitClassifier):
    """Logs a score of its own, and counts the epochs it was trained for."""

    epochs = 0

    def on_train_epoch_start(self) -> None:
        type(self).epochs += 1

    def validation_step(self, *batch: Any) -> None:
        super().validation_step(*batch)
        self.log("val/f1", 0.25 * self.epochs, batch_size=1)


class Noise(TensorDataset):
    """Images that are drawn anew each time: an augmentation."""

    def __getitem__(self, index: int) -> Any:
        image, label = super().__getitem__(index)
        return (image + 0.1 * torch.rand(28, 28)).clamp(0, 1), label


class Loaders(L.LightningDataModule):
    """Data with PyTorch's loaders, and no settings that the project knows."""

    def __init__(self, count: int = 640, workers: int = 0) -> None:
        super().__init__()
        self.count, self.workers = count, workers

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(self.count, 28, 28, generator=generator)
        self.data = images, torch.arange(self.count) % 10

    def train_dataloader(self) -> Any:
        return DataLoader(Noise(*self.data), 32, shuffle=True, num_workers=self.workers)

    def test_dataloader(self) -> Any:
        return DataLoader(TensorDataset(*self.data), 64)


class Flat(L.LightningModule):
    """One number of an image: nothing that reads digits."""

    def __init__(self) -> None:
        super().__init__()
        self.line = torch.nn.Linear(784, 1)

    def forward(self, images: Any) -> Any:
        return self.line(images.flatten(1))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self(batch[0]).square().mean()

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test/loss", self(batch[0]).square().mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


class Conv(Flat):
    """Takes images (B, 1, 28, 28) to logits (B, 10), by one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.line = torch.nn.Conv2d(1, 10, 28)

    def forward(self, images: Any) -> Any:
        return self.line(images).flatten(1)


class KeepsObject(L.Callback):
    """A state that only a pickle could keep."""

    def state_dict(self) -> dict[str, Any]:
        return {"when": date(2026, 1, 1)}


class Autoencoder(L.LightningModule):
    """Takes flat images only, adds to TensorBoard, and brings a ModelCheckpoint."""

    def __init__(self, fails_at: int = -1) -> None:
        super().__init__()
        self.fails_at = fails_at
        self.net = torch.nn.Sequential(
            torch.nn.Linear(784, 4), torch.nn.ReLU(), torch.nn.Linear(4, 784)
        )

    def forward(self, x: Any) -> Any:
        return self.net(x)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if batch_idx == self.fails_at:
            _, _, _ = batch
        x = batch[0].flatten(1)
        self.logger.experiment.add_image("mine", x[:1].view(1, 28, 28), batch_idx)  # type: ignore[union-attr]
        return (self(x) - x).square().mean()

    def test_step(self, batch: Any, batch_idx: int) -> None:
        x = batch[0].flatten(1)
        self.log("test/loss", (self(x) - x).square().mean())

    def configure_callbacks(self) -> Any:
        return [ModelCheckpoint(save_last=True)]

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters())


class Old(Autoencoder):
    """Has a hook of Lightning 1."""

    def training_epoch_end(self, outputs: Any) -> None: ...
