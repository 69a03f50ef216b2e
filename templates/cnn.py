import lightning as L
import torch.nn.functional as F
from torch import nn


class CNN(L.LightningModule):
    """Two convolutions: images (B, side, side) to logits (B, classes)."""

    def __init__(self, optimizer, side=28, classes=10, width=8, dropout=0.25):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Unflatten(1, (1, side)),
            nn.Conv2d(1, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(2 * width * (side // 4) ** 2, classes),
        )

    def forward(self, images):
        return self.net(images)

    def step(self, batch, stage):
        images, labels = batch
        logits = self(images)
        loss = F.cross_entropy(logits, labels)
        accuracy = (logits.argmax(1) == labels).float().mean()
        scores = {f"{stage}/loss": loss, f"{stage}/acc": accuracy}
        self.log_dict(scores, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def training_step(self, batch, batch_idx):
        return self.step(batch, "train")

    def validation_step(self, batch, batch_idx):
        self.step(batch, "val")

    def test_step(self, batch, batch_idx):
        self.step(batch, "test")

    def configure_optimizers(self):
        return self.hparams.optimizer(self.parameters())
