"""The recipe as Lightning's and torchvision's documentation would have one write it."""

import sys
import time
from types import ModuleType

import lightning as L
import torch
import torch.nn.functional as F
from common import report, settings, tile
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchmetrics.classification import MulticlassAccuracy
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

# Other peers need TensorFlow here, and TensorBoard would import it: 5 s that are not Lightning's
sys.modules["tensorboard.compat.notf"] = ModuleType("tensorboard.compat.notf")


class LitClassifier(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
        self.train_acc = MulticlassAccuracy(10, average="micro")
        self.test_acc = MulticlassAccuracy(10, average="micro")

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        self.train_acc(logits, y)
        self.log("train/loss", loss, on_epoch=True, prog_bar=True)
        self.log("train/acc", self.train_acc, on_epoch=True, prog_bar=True)
        return loss

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        logits = self.net(x)
        self.test_acc(logits, y)
        self.log("test/loss", F.cross_entropy(logits, y))
        self.log("test/acc", self.test_acc)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(self.parameters(), lr=1e-3, alpha=0.9, eps=1e-7)


def main() -> None:
    given = settings(workers=0)
    workers = {"num_workers": given.workers, "persistent_workers": given.workers > 0}
    train = MNIST(given.folder, train=True, transform=ToTensor(), download=True)
    test = MNIST(given.folder, train=False, transform=ToTensor())
    chosen = train if given.images == len(train) else Subset(train, tile(given.images, len(train)))
    trainer = L.Trainer(max_epochs=given.epochs, default_root_dir=given.folder)
    model = LitClassifier()
    begin = time.perf_counter()
    trainer.fit(model, DataLoader(chosen, batch_size=given.batch, shuffle=True, **workers))
    seconds = time.perf_counter() - begin
    (metrics,) = trainer.test(model, DataLoader(test, batch_size=given.batch, **workers))
    report(seconds, [seconds / given.epochs], metrics["test/acc"])


if __name__ == "__main__":
    main()
