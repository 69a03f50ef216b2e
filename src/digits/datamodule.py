"""Batches of MNIST from tensors in memory. Shapes: N images, B batch, H W pixels."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import SequentialSampler

from digits import download, idx, processes

Batch = tuple[Tensor, Tensor]
SPLIT_SEED = 0  # which images are held out never depends on the run's seed


class EpochShuffle:
    """The order in which one of `world_size` processes sees `count` images: a function of (seed,
    epoch) alone.

    Each process takes every world_size-th image, so that together their batches are those one
    process would have seen. All get equally many (DDP needs that): up to world_size - 1 images are
    left out of an epoch.
    """

    def __init__(self, count: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.count, self.seed, self.rank, self.world_size = count, seed, rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of each epoch, after a resume too."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count // self.world_size

    def indices(self) -> Tensor:
        # torch's CPU generator reads 32 bits of a seed: hash the pair rather than pack it
        mixed = int(np.random.SeedSequence((self.seed, self.epoch)).generate_state(1)[0])
        order = torch.randperm(self.count, generator=torch.Generator().manual_seed(mixed))
        return order[: len(self) * self.world_size][self.rank :: self.world_size]


class InOrder(SequentialSampler):
    """Each image once: process `rank` takes rank, rank + world_size, ... (Lightning knows the base
    class).
    """

    def __init__(self, count: int, rank: int = 0, world_size: int = 1) -> None:
        self.range = range(rank, count, world_size)

    def __len__(self) -> int:
        return len(self.range)

    def indices(self) -> Tensor:
        return torch.tensor(self.range, dtype=torch.int64)


class Batches:
    """One pass over uint8 images as (x_BHW float32 in [0, 1], y_B int64), on the images' device.

    Its state is how many batches of the pass it has given; the next pass after loading one goes on
    from there.
    """

    batch_sampler = None  # as `sampler`, a name Lightning looks for

    def __init__(
        self, images_NHW: Tensor, labels_N: Tensor, batch_size: int, sampler: EpochShuffle | InOrder
    ) -> None:
        self.images_NHW, self.labels_N = images_NHW, labels_N
        self.batch_size, self.sampler = batch_size, sampler
        self.first = self.given = 0

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)

    def state_dict(self) -> dict[str, int]:
        return {"given": self.given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.first = state["given"]

    def __iter__(self) -> Iterator[Batch]:
        self.given, self.first = self.first, 0
        return self._rest()

    def _rest(self) -> Iterator[Batch]:
        indices_N = self.sampler.indices().to(self.labels_N.device)  # now the epoch is known
        for index_B in torch.split(indices_N, self.batch_size)[self.given :]:
            self.given += 1
            x_BHW = self.images_NHW.index_select(0, index_B)
            yield x_BHW / 255, self.labels_N.index_select(0, index_B)


class MNISTDataModule(L.LightningDataModule):
    """MNIST in memory: batches (x_BHW float32 in [0, 1], y_B int64), H = W = 28.

    `batch_size` counts the images of one optimizer step over all processes. `val_size` of the
    60,000 training images are held out for validation; with 0 there is none, and training sees all
    of them.
    """

    def __init__(
        self,
        data_dir: str = "data",
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        val_size: int = 0,
        seed: int = 0,
        mirrors: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.raw_dir = Path(data_dir) / "MNIST" / "raw"
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.val_size, self.seed, self.mirrors = val_size, seed, mirrors
        self.train: Batch | None = None
        self.val: Batch | None = None
        self.test: Batch | None = None

    def prepare_data(self) -> None:
        download.ensure(self.raw_dir, self.mirrors)

    def setup(self, stage: str) -> None:
        if stage in ("fit", "validate") and self.train is None:
            images_NHW, labels_N = self._read(download.TRAIN)
            held_out, kept = split(len(labels_N), self.val_size)
            self.val = images_NHW[held_out], labels_N[held_out]
            self.train = (
                (images_NHW[kept], labels_N[kept]) if self.val_size else (images_NHW, labels_N)
            )
        elif stage == "test" and self.test is None:
            self.test = self._read(download.TEST)

    def train_dataloader(self) -> Batches:
        assert self.train is not None
        rank, world_size = self._place()
        processes.check_batch(self.batch_size, world_size)
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
        processes.check_val(self.val_size, self._place()[1])
        return self._in_order(self.val) if self.val_size else []

    def test_dataloader(self) -> Batches:
        assert self.test is not None
        return self._in_order(self.test)

    def _read(self, names: tuple[str, str]) -> Batch:
        images_NHW, labels_N = idx.read(self.raw_dir, names)
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        return images_NHW.to(device), labels_N.to(device)

    def _in_order(self, data: Batch) -> Batches:
        return Batches(*data, self.eval_batch_size, InOrder(len(data[1]), *self._place()))

    def _place(self) -> tuple[int, int]:
        """(rank, world_size); outside of a Trainer there is one process."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


def split(count: int, val_size: int) -> tuple[Tensor, Tensor]:
    """Indices (held out, kept), each ascending; the same for every run with this `val_size`."""
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(SPLIT_SEED))
    return shuffled[:val_size].sort().values, shuffled[val_size:].sort().values
