"""Models and data of somebody's own."""

from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset

from digits.model.classifier import DigitClassifier


class Noted(DigitClassifier):
    """Keeps a note, and all it is given, among its hyper-parameters."""

    def __init__(self, note: str = "", **settings: Any) -> None:
        super().__init__(**settings)
        self.save_hyperparameters()


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
