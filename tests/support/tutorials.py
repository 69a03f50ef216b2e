"""Models and data as public tutorials write them: other names, no test, two validation loaders."""

from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

WEIGHTS: list[torch.Tensor] = []  # of each fit's end


class NoTest(L.LightningModule):
    """Logs val_loss alone."""

    def __init__(self, lr: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        layers = torch.nn.Linear(64, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 10)
        self.net = torch.nn.Sequential(torch.nn.Flatten(), *layers)

    def forward(self, x: Any) -> Any:
        return self.net(x)

    def scores(self, batch: Any) -> tuple[Any, Any]:
        x, y = batch
        logits = self(x)
        return F.cross_entropy(logits, y), (logits.argmax(1) == y).float().mean()

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss, _ = self.scores(batch)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.scores(batch)[0])

    def on_train_end(self) -> None:
        WEIGHTS.append(torch.cat([weight.detach().flatten() for weight in self.parameters()]))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), self.hparams["lr"])


class Tested(NoTest):
    """Logs val_acc and test_acc, of two validation loaders, too."""

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        loss, acc = self.scores(batch)
        self.log_dict({"val_loss": loss, "val_acc": acc})

    def test_step(self, batch: Any, batch_idx: int) -> None:
        loss, acc = self.scores(batch)
        self.log_dict({"test_loss": loss, "test_acc": acc})


class Regression(NoTest):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/mse", self.scores(batch)[0])


class Silent(NoTest):
    """Logs nothing in a validation."""

    def validation_step(self, batch: Any, batch_idx: int) -> None: ...


class Plateau(NoTest):
    """Its schedule looks at val_loss each epoch."""

    def configure_optimizers(self) -> Any:
        optimizer = super().configure_optimizers()
        plan = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plan, "monitor": "val_loss"}}


class Data(L.LightningDataModule):
    def __init__(self, loaders: int = 1) -> None:
        super().__init__()
        self.loaders = loaders

    def setup(self, stage: str) -> None:
        images = torch.rand(64, 8, 8, generator=torch.Generator().manual_seed(0))
        self.images = TensorDataset(images, torch.arange(64) % 10)

    def train_dataloader(self) -> Any:
        return DataLoader(self.images, 16, shuffle=True)

    def val_dataloader(self) -> Any:
        made = [DataLoader(self.images, 32) for _ in range(self.loaders)]
        return made if self.loaders > 1 else made[0]

    def test_dataloader(self) -> Any:
        return DataLoader(self.images, 32)


class NotForTests(Data):
    test_dataloader = L.LightningDataModule.test_dataloader  # type: ignore[assignment]
