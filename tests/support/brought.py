"""Models and data as their authors bring them: written for Lightning alone, by many habits."""

import gzip
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
import torchmetrics
from lightning.pytorch.callbacks import BackboneFinetuning
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from support.commands import EMBEDDED


def digits(name: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 1, 28, 28) in [0, 1], and labels."""
    pixels, labels = (
        np.frombuffer(gzip.decompress((EMBEDDED / file).read_bytes()), np.uint8, offset=offset)
        for file, offset in (
            (f"{name}-images-idx3-ubyte.gz", 16),
            (f"{name}-labels-idx1-ubyte.gz", 8),
        )
    )
    images = torch.tensor(pixels[: count * 784].reshape(count, 1, 28, 28)) / 255
    return images, torch.tensor(labels[:count]).long()


class Digits(L.LightningDataModule):
    """Batches as torchvision's MNIST gives them."""

    def __init__(self, batch_size: int = 32):
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        if stage == "fit":
            whole = TensorDataset(*digits("train", 160))
            kept = torch.Generator().manual_seed(42)
            self.train, self.val = torch.utils.data.random_split(whole, [128, 32], kept)
        if stage == "test":
            self.test = TensorDataset(*digits("t10k", 64))

    def train_dataloader(self) -> Any:
        return DataLoader(self.train, batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(self.val, batch_size=self.batch_size)

    def test_dataloader(self) -> Any:
        return DataLoader(self.test, batch_size=self.batch_size)


class AutoEncoder(L.LightningModule):
    def __init__(self, lr=1e-3):
        super().__init__()
        self.save_hyperparameters()
        self.encoder = nn.Sequential(nn.Linear(28 * 28, 64), nn.ReLU(), nn.Linear(64, 3))
        self.decoder = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 28 * 28))

    def forward(self, x):
        return self.decoder(self.encoder(x))

    def training_step(self, batch, batch_idx):
        return self._step(batch, "train")

    def validation_step(self, batch, batch_idx):
        return self._step(batch, "val")

    def test_step(self, batch, batch_idx):
        return self._step(batch, "test")

    def _step(self, batch, stage):
        x, _ = batch
        x = x.view(x.size(0), -1)
        loss = F.mse_loss(self(x), x)
        self.log(f"{stage}_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


class FlatAutoEncoder(AutoEncoder):
    """Its forward takes the batch as it is, and answers 784 numbers."""

    def forward(self, x):
        return super().forward(x.flatten(1))


class GAN(L.LightningModule):
    """As Lightning's example: two optimizers by hand, pictures for TensorBoard, no validation."""

    def __init__(self, latent_dim: int = 16, lr: float = 2e-4, b1: float = 0.5, b2: float = 0.999):
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.generator = nn.Sequential(
            nn.Linear(latent_dim, 64), nn.LeakyReLU(0.2), nn.Linear(64, 784), nn.Sigmoid()
        )
        self.discriminator = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1), nn.Sigmoid()
        )
        self.validation_z = torch.randn(8, latent_dim)
        self.example_input_array = torch.zeros(2, latent_dim)

    def forward(self, z):
        return self.generator(z).view(-1, 1, 28, 28)

    def training_step(self, batch):
        imgs, _ = batch
        optimizer_g, optimizer_d = self.optimizers()
        z = torch.randn(imgs.shape[0], self.hparams.latent_dim).type_as(imgs)

        self.toggle_optimizer(optimizer_g)
        self.generated_imgs = self(z)
        self.logger.experiment.add_image("train/generated_images", self.generated_imgs[0], 0)
        valid = torch.ones(imgs.size(0), 1).type_as(imgs)
        g_loss = F.binary_cross_entropy(self.discriminator(self(z)), valid)
        self.log("g_loss", g_loss, prog_bar=True)
        self.manual_backward(g_loss)
        optimizer_g.step()
        optimizer_g.zero_grad()
        self.untoggle_optimizer(optimizer_g)

        self.toggle_optimizer(optimizer_d)
        fake = torch.zeros(imgs.size(0), 1).type_as(imgs)
        real_loss = F.binary_cross_entropy(self.discriminator(imgs), valid)
        fake_loss = F.binary_cross_entropy(self.discriminator(self(z).detach()), fake)
        d_loss = (real_loss + fake_loss) / 2
        self.log("d_loss", d_loss, prog_bar=True)
        self.manual_backward(d_loss)
        optimizer_d.step()
        optimizer_d.zero_grad()
        self.untoggle_optimizer(optimizer_d)

    def configure_optimizers(self):
        lr, betas = self.hparams.lr, (self.hparams.b1, self.hparams.b2)
        opt_g = torch.optim.Adam(self.generator.parameters(), lr=lr, betas=betas)
        opt_d = torch.optim.Adam(self.discriminator.parameters(), lr=lr, betas=betas)
        return [opt_g, opt_d], []

    def on_train_epoch_end(self):
        sample_imgs = self(self.validation_z.type_as(self.generator[0].weight))
        self.logger.experiment.add_image("generated", sample_imgs[0], self.current_epoch)


class VAE(L.LightningModule):
    """No test_step; logs a dict whose names have no stage but val's prefix."""

    def __init__(self, latent: int = 4):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU())
        self.mu, self.var = nn.Linear(32, latent), nn.Linear(32, latent)
        self.decoder = nn.Linear(latent, 784)

    def forward(self, x):
        h = self.encoder(x)
        mu, log_var = self.mu(h), self.var(h)
        z = mu + torch.randn_like(mu) * (0.5 * log_var).exp()
        return self.decoder(z), mu, log_var

    def step(self, batch):
        x, _ = batch
        logits, mu, log_var = self(x)
        recon = F.binary_cross_entropy_with_logits(logits, x.flatten(1))
        kl = -0.5 * (1 + log_var - mu**2 - log_var.exp()).mean()
        return recon + 0.1 * kl, {"recon_loss": recon, "kl": kl, "loss": recon + 0.1 * kl}

    def training_step(self, batch, batch_idx):
        loss, logs = self.step(batch)
        self.log_dict({f"train_{k}": v for k, v in logs.items()}, on_step=True, on_epoch=False)
        return loss

    def validation_step(self, batch, batch_idx):
        loss, logs = self.step(batch)
        self.log_dict({f"val_{k}": v for k, v in logs.items()})
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


class RowLSTM(L.LightningModule):
    def __init__(self, hidden: int = 16):
        super().__init__()
        self.lstm, self.head = nn.LSTM(28, hidden, batch_first=True), nn.Linear(hidden, 10)
        metrics = torchmetrics.MetricCollection([MulticlassAccuracy(10), MulticlassF1Score(10)])
        self.train_metrics = metrics.clone(prefix="train_")
        self.valid_metrics = metrics.clone(prefix="val_")
        self.test_metrics = metrics.clone(prefix="test_")

    def forward(self, x):
        output, _ = self.lstm(x.squeeze(1))
        return self.head(output[:, -1])

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self(x)
        self.log_dict(self.train_metrics(logits, y))
        return F.cross_entropy(logits, y)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.valid_metrics.update(self(x), y)

    def on_validation_epoch_end(self):
        self.log_dict(self.valid_metrics.compute())
        self.valid_metrics.reset()

    def test_step(self, batch, batch_idx):
        x, y = batch
        self.test_metrics.update(self(x), y)
        self.log_dict(self.test_metrics)

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=1e-3)


class CNN(L.LightningModule):
    """(B, 1, 28, 28) to log-probabilities; scores by val_acc and test_acc."""

    def __init__(self, width: int = 4):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3, 2)
        self.pool, self.drop = nn.MaxPool2d(2), nn.Dropout(0.25)
        self.head = nn.Linear(width * 6 * 6, 10)
        self.accuracy = MulticlassAccuracy(10, average="micro")

    def forward(self, x):
        x = self.drop(self.pool(F.relu(self.conv(x))))
        return F.log_softmax(self.head(x.flatten(1)), dim=1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.nll_loss(self(x), y)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def evaluate(self, batch, stage):
        x, y = batch
        logits = self(x)
        self.log(f"{stage}_loss", F.nll_loss(logits, y), prog_bar=True)
        self.log(f"{stage}_acc", self.accuracy(logits, y), prog_bar=True)

    def validation_step(self, batch, batch_idx):
        self.evaluate(batch, "val")

    def test_step(self, batch, batch_idx):
        self.evaluate(batch, "test")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


class Unfreeze(BackboneFinetuning):
    def __init__(self):
        super().__init__(unfreeze_backbone_at_epoch=2, verbose=False)


class Transfer(L.LightningModule):
    """Fine-tuning: the backbone is frozen at first; no test_step."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU())
        self.head = nn.Linear(16, 10)

    def configure_callbacks(self):
        return [Unfreeze()]

    def forward(self, x):
        return self.head(self.backbone(x))

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("valid_loss", F.cross_entropy(self(x), y))

    def configure_optimizers(self):
        learns = filter(lambda weight: weight.requires_grad, self.parameters())
        return torch.optim.Adam(learns, lr=1e-3)
