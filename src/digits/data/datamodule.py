"""Data sets in memory. Shapes: N images, B batch, H W pixels."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Literal

import lightning as L
import torch
from torch import Tensor

from digits.data import download, idx, mnist, sets, shares
from digits.data.augment import Augment
from digits.data.batches import Batch, Batches, EpochShuffle, InOrder, split
from digits.data.unpacking import raw_dir
from digits.errors import InputError


class ImageDataModule(L.LightningDataModule):
    """Serves the data set that `read` returns, in batches (x_BHW float32 in [0, 1], y_B int64).
    With `channels=1` grey images are (B, 1, H, W); colour images are (B, 3, H, W).

    `batch_size` counts the images of one optimizer step over all processes. `val_size` training
    images, or the part `fold` of `folds` equal ones, are held out for validation; without, training
    sees all, or the first `train_size` of them in an order that never changes. `augment` makes
    other images of each training batch, but not with `overfit_batches`.

    A model that leaves its sizes open takes those that a subclass declares: `side` (pixels),
    `classes` and `channels`. If it declares none, the images and labels decide them.
    """

    side: int | None = None
    classes: int | None = None
    channels: int | None = None
    class_names: Sequence[str] | None = None  # in the order of the labels; None: their numbers

    def __init__(
        self,
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        val_size: int = 0,
        seed: int = 0,
        channels: Literal[1] | None = None,
        train_size: int | None = None,
        folds: int | None = None,
        fold: int | None = None,
        augment: Augment | None = None,
    ) -> None:
        super().__init__()
        shares.check_folds(val_size, folds, fold)
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.val_size, self.seed, self.train_size = val_size, seed, train_size
        self.folds, self.fold, self.augment = folds, fold, augment
        self.channels = channels or self.channels
        self.train: Batch | None = None
        self.val: Batch | None = None
        self.test: Batch | None = None

    @abstractmethod
    def read(self, stage: str) -> Batch:
        """Return all images (N, H, W) or (N, 3, H, W) uint8, 0 black, and labels (N,) int64 for
        `fit` or `test`.
        """

    def state_dict(self) -> dict[str, list[str]]:
        """What a checkpoint keeps: who reads digits with it has to know what its classes are."""
        return {"class_names": list(map(str, self.class_names))} if self.class_names else {}

    def setup(self, stage: str) -> None:
        if stage in ("fit", "validate") and self.train is None:
            images_NHW, labels_N = self._on_device("fit")
            count = len(labels_N)
            places = shares.held_out(count, self.val_size, self.folds, self.fold)
            self._check_sizes(count, len(places))
            held_out, kept = split(count, places, self.train_size)
            self.val = images_NHW[held_out], labels_N[held_out]
            some = slice(None) if len(kept) == count else kept  # a view takes no memory
            self.train = images_NHW[some], labels_N[some]
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
            self.augment,
        )

    def val_dataloader(self) -> Batches | list[Batches]:
        assert self.val is not None
        shares.check_val(self.val_size, self._place()[1])
        return self._in_order(self.val) if len(self.val[1]) else []

    def test_dataloader(self) -> Batches:
        assert self.test is not None
        return self._in_order(self.test)

    def _check_sizes(self, count: int, held_out: int) -> None:
        for name, low, high in (
            ("batch_size", 1, count), ("val_size", 0, count - 1),
            ("folds", 2, count // self._place()[1]), ("train_size", 1, count - held_out),
        ):  # fmt: skip
            if (size := getattr(self, name)) is not None and not low <= size <= high:
                raise InputError(
                    f"data.{name}={size}: expected a whole number from {low} to {high}: the data "
                    f"set has {count} training images"
                )

    def _noted(self, images_NHW: Tensor, labels_N: Tensor) -> Tensor:
        """Note the sizes, and return the images in their batches' form. Raises InputError for
        images or labels other than declared.
        """
        self.side = self.side or int(images_NHW.shape[-2:][0])
        low, high = (int(bound) for bound in labels_N.aminmax())
        self.classes = self.classes or high + 1
        read = f"data: {type(self).__name__}.read gives"
        square = self.side, self.side
        counts = [self.channels] if self.channels else [1, 3]
        forms = [square] * (1 in counts) + [(count, *square) for count in counts]
        if images_NHW.shape[1:] not in forms or images_NHW.dtype != torch.uint8:
            shapes = " or ".join(f"(N, {', '.join(map(str, form))})" for form in forms)
            raise InputError(
                f"{read} images of {tuple(images_NHW.shape)} {images_NHW.dtype}; "
                f"expected {shapes} torch.uint8"
            )
        if not 0 <= low <= high < self.classes:
            raise InputError(
                f"{read} labels from {low} to {high}; expected 0 to {self.classes - 1}"
            )
        if images_NHW.ndim == 3 and self.channels is None:
            return images_NHW
        self.channels = self.channels or int(images_NHW.shape[1])
        return images_NHW.unsqueeze(1) if images_NHW.ndim == 3 else images_NHW

    def _on_device(self, stage: str) -> Batch:
        images_NHW, labels_N = self.read(stage)
        images_NHW = self._noted(images_NHW, labels_N)
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        return images_NHW.to(device), labels_N.to(device)

    def _in_order(self, data: Batch) -> Batches:
        return Batches(*data, self.eval_batch_size, InOrder(len(data[1]), *self._place()))

    def _place(self) -> tuple[int, int]:
        """Return (rank, world_size); without a Trainer there is one process."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


class MNISTDataModule(ImageDataModule):
    """MNIST, H = W = 28: by default the project's copy, else from `data_dir`/MNIST/raw; or another
    data set of its format, by `name`, from a folder beside that or Debian's package. Missing files
    are downloaded there, from `mirrors` (URLs, tried in order) if given.
    """

    side = mnist.SIDE

    def __init__(
        self,
        data_dir: str | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        val_size: int = 0,
        seed: int = 0,
        mirrors: Sequence[str] | None = None,
        channels: Literal[1] | None = None,
        train_size: int | None = None,
        folds: int | None = None,
        fold: int | None = None,
        augment: Augment | None = None,
        name: sets.Name = "mnist",
    ) -> None:
        super().__init__(
            batch_size, eval_batch_size, val_size, seed, channels, train_size, folds, fold, augment
        )
        self.known = sets.SETS[name]
        self.raw_dir, self.mirrors = raw_dir(data_dir, self.known), mirrors
        self.class_names = self.known.class_names
        self.classes = len(self.class_names or range(mnist.CLASSES))

    def prepare_data(self) -> None:
        download.ensure(self.raw_dir, self.mirrors, self.known)

    def read(self, stage: str) -> Batch:
        files = self.known.files[2:] if stage == "test" else self.known.files[:2]
        return idx.read(self.raw_dir, files, self.known)
