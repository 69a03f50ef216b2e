"""Data sets in memory. Shapes: N images, B batch, H W pixels."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial

import lightning as L
import torch
from torch import Tensor

from digits.data import download, idx, mnist, shares
from digits.data.batches import Batch, Batches, EpochShuffle, InOrder, split
from digits.data.unpacking import raw_dir
from digits.errors import InputError


class ImageDataModule(L.LightningDataModule):
    """Serves the data set that `read` returns, in batches (x_BHW float32 in [0, 1], y_B int64).

    `batch_size` counts the images of one optimizer step over all processes. `val_size` training
    images are held out for validation; with 0 there is no validation, and training sees all.

    A model that leaves its sizes open takes those that a subclass declares: `side` (pixels) and
    `classes`. If it declares none, the images and labels decide them.
    """

    side: int | None = None
    classes: int | None = None

    def __init__(
        self, batch_size: int = 128, eval_batch_size: int = 1000, val_size: int = 0, seed: int = 0
    ) -> None:
        super().__init__()
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.val_size, self.seed = val_size, seed
        self.train: Batch | None = None
        self.val: Batch | None = None
        self.test: Batch | None = None

    @abstractmethod
    def read(self, stage: str) -> Batch:
        """Return all images (N, H, W) uint8, 0 black, and labels (N,) int64 for `fit` or `test`."""

    def setup(self, stage: str) -> None:
        if stage in ("fit", "validate") and self.train is None:
            images_NHW, labels_N = self._on_device("fit")
            self._check_sizes(len(labels_N))
            held_out, kept = split(len(labels_N), self.val_size)
            self.val = images_NHW[held_out], labels_N[held_out]
            self.train = (
                (images_NHW[kept], labels_N[kept]) if self.val_size else (images_NHW, labels_N)
            )
        elif stage == "test" and self.test is None:
            self.test = self._on_device("test")

    def train_dataloader(self) -> Batches:
        assert self.train is not None
        rank, world_size = self._place()
        shares.check_batch(self.batch_size, world_size)
        count = len(self.train[1])
        overfits = self.trainer is not None and self.trainer.overfit_batches > 0  # type: ignore[attr-defined]
        in_turn = InOrder if overfits else partial(EpochShuffle, seed=self.seed)
        return Batches(
            *self.train,
            self.batch_size // world_size,
            in_turn(count, rank=rank, world_size=world_size),
        )

    def val_dataloader(self) -> Batches | list[Batches]:
        assert self.val is not None
        shares.check_val(self.val_size, self._place()[1])
        return self._in_order(self.val) if self.val_size else []

    def test_dataloader(self) -> Batches:
        assert self.test is not None
        return self._in_order(self.test)

    def _check_sizes(self, count: int) -> None:
        for name, low, high in (("batch_size", 1, count), ("val_size", 0, count - 1)):
            if not low <= getattr(self, name) <= high:
                raise InputError(
                    f"data.{name}={getattr(self, name)}: expected a whole number from {low} to "
                    f"{high}: the data set has {count} training images"
                )

    def _note_sizes(self, images_NHW: Tensor, labels_N: Tensor) -> None:
        """Note the sizes. Raises InputError for images or labels other than declared."""
        self.side = self.side or int(images_NHW.shape[-1])
        low, high = (int(bound) for bound in labels_N.aminmax())
        self.classes = self.classes or high + 1
        read = f"data: {type(self).__name__}.read gives"
        if images_NHW.shape[1:] != (self.side, self.side) or images_NHW.dtype != torch.uint8:
            raise InputError(
                f"{read} images of {tuple(images_NHW.shape)} {images_NHW.dtype}; "
                f"expected (N, {self.side}, {self.side}) torch.uint8"
            )
        if not 0 <= low <= high < self.classes:
            raise InputError(
                f"{read} labels from {low} to {high}; expected 0 to {self.classes - 1}"
            )

    def _on_device(self, stage: str) -> Batch:
        images_NHW, labels_N = self.read(stage)
        self._note_sizes(images_NHW, labels_N)
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        return images_NHW.to(device), labels_N.to(device)

    def _in_order(self, data: Batch) -> Batches:
        return Batches(*data, self.eval_batch_size, InOrder(len(data[1]), *self._place()))

    def _place(self) -> tuple[int, int]:
        """Return (rank, world_size); without a Trainer there is one process."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


class MNISTDataModule(ImageDataModule):
    """MNIST, H = W = 28: by default the project's copy, else from `data_dir`/MNIST/raw. Missing
    files are downloaded there, from `mirrors` (URLs, tried in order) if given.
    """

    side, classes = mnist.SIDE, mnist.CLASSES

    def __init__(
        self,
        data_dir: str | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        val_size: int = 0,
        seed: int = 0,
        mirrors: Sequence[str] | None = None,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, val_size, seed)
        self.raw_dir, self.mirrors = raw_dir(data_dir), mirrors

    def prepare_data(self) -> None:
        download.ensure(self.raw_dir, self.mirrors)

    def read(self, stage: str) -> Batch:
        return idx.read(self.raw_dir, mnist.TEST if stage == "test" else mnist.TRAIN)
