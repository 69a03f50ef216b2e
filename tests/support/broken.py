"""Models with one fault each, on few images."""

import numpy as np
import torch
from torch import Tensor

from digits.data.datamodule import MNISTDataModule
from digits.model.classifier import DigitClassifier


class Bars(MNISTDataModule):
    side, classes = 8, 2

    def prepare_data(self) -> None: ...

    def read(self, stage: str) -> tuple[Tensor, Tensor]:
        labels = torch.arange(64) % 2
        noise = torch.Generator().manual_seed(len(stage))
        images = torch.randint(0, 128, (64, 8, 8), dtype=torch.uint8, generator=noise)
        images[labels == 0, :4] += 127
        images[labels == 1, 4:] += 127
        return images, labels


class Unbounded(DigitClassifier):
    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return (super().training_step(batch, batch_idx) - 1e9).sqrt()


class Unseeded(DigitClassifier):
    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return super().training_step(batch, batch_idx) * np.random.default_rng().uniform(0.5, 1)


class Forgetful(DigitClassifier):
    steps = 0

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        self.steps += 1
        return super().training_step(batch, batch_idx) / self.steps


class Detached(DigitClassifier):
    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        nothing = sum(weight.sum() for weight in self.parameters()) * 0
        return super().training_step(batch, batch_idx).detach() + nothing


class Random(DigitClassifier):
    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        super().test_step(batch, batch_idx)
        self.log("test/noise", torch.rand(()))
