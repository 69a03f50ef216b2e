"""Batches from tensors in memory, and their order. Shapes: N images, B batch, H W pixels."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import SequentialSampler

from digits.data.augment import Augment

Batch = tuple[Tensor, Tensor]
SPLIT_SEED = 0  # the held-out images never depend on the run's seed


def seeded(*numbers: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator. Torch reads 32 bits of a seed, so the numbers are hashed, not packed."""
    mixed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    return torch.Generator(device).manual_seed(mixed)


class EpochShuffle:
    """The order in which one of `world_size` processes sees `count` images. It depends on (seed,
    epoch) alone.

    Each process takes every world_size-th image, so that together their batches are those that one
    process would see. All processes get equally many, as DDP needs: an epoch leaves out up to
    world_size - 1 images.
    """

    def __init__(self, count: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.count, self.seed, self.rank, self.world_size = count, seed, rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch. Lightning calls this at the start of each epoch, after a resume too."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count // self.world_size

    def indices(self) -> Tensor:
        order = torch.randperm(self.count, generator=seeded(self.seed, self.epoch))
        return order[: len(self) * self.world_size][self.rank :: self.world_size]

    def draw(self, batch: int, device: torch.device) -> torch.Generator:
        """Return what draws the augmentation of a batch, so that a resume draws the same."""
        return seeded(self.seed, self.epoch, self.rank, batch, device=device)


class InOrder(SequentialSampler):
    """The order in which process `rank` sees images rank, rank + world_size, ...; each image comes
    once. Lightning knows the base class.
    """

    def __init__(self, count: int, rank: int = 0, world_size: int = 1) -> None:
        self.range = range(rank, count, world_size)

    def __len__(self) -> int:
        return len(self.range)

    def indices(self) -> Tensor:
        return torch.tensor(self.range, dtype=torch.int64)


class Batches:
    """One pass over uint8 images as (x_BHW float32 in [0, 1], y_B int64), on the images' device.

    Its state is the number of batches that the pass has given. After a state is loaded, the next
    pass goes on from there. `augment` makes other images of those of a shuffled batch.
    """

    batch_sampler = None  # Lightning looks for this name, and for `sampler`

    def __init__(
        self,
        images_NHW: Tensor,
        labels_N: Tensor,
        batch_size: int,
        sampler: EpochShuffle | InOrder,
        augment: Augment | None = None,
    ) -> None:
        self.images_NHW, self.labels_N = images_NHW, labels_N
        self.batch_size, self.sampler, self.augment = batch_size, sampler, augment
        self.first = self.given = 0
        self.buffers: Batch | None = None

    def keep_buffers(self) -> None:
        """From here on use the same memory for all batches: the next one overwrites a batch."""
        shape = self.batch_size, *self.images_NHW.shape[1:]
        device = self.images_NHW.device
        kinds = torch.uint8, torch.float32
        images_BHW, x_BHW = (torch.empty(shape, dtype=kind, device=device) for kind in kinds)
        self.buffers = images_BHW, x_BHW

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)

    def state_dict(self) -> dict[str, int]:
        return {"given": self.given % len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.first = state["given"]

    def __iter__(self) -> Iterator[Batch]:
        self.given, self.first = self.first, 0
        return self._rest()

    def _rest(self) -> Iterator[Batch]:
        indices_N = self.sampler.indices().to(self.labels_N.device)  # the epoch is known only now
        for index_B in torch.split(indices_N, self.batch_size)[self.given :]:
            self.given += 1
            yield self._scaled(index_B), self.labels_N.index_select(0, index_B)

    def _scaled(self, index_B: Tensor) -> Tensor:
        if self.augment and isinstance(self.sampler, EpochShuffle):
            draw = self.sampler.draw(self.given, self.images_NHW.device)
            return self.augment(self.images_NHW.index_select(0, index_B), draw, self.sampler.epoch)
        if self.buffers is None:
            return self.images_NHW.index_select(0, index_B) / 255
        images_BHW, x_BHW = (buffer[: len(index_B)] for buffer in self.buffers)
        torch.index_select(self.images_NHW, 0, index_B, out=images_BHW)
        return torch.div(images_BHW, 255, out=x_BHW)


def split(count: int, held_out: range, train_size: int | None = None) -> tuple[Tensor, Tensor]:
    """Return indices (held out, kept), each ascending, of one shuffle, always the same: the places
    `held_out` of it, and the first `train_size` of the others, or all.
    """
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(SPLIT_SEED))
    before, out, after = shuffled.tensor_split([held_out.start, held_out.stop])
    return out.sort().values, torch.cat([before, after])[:train_size].sort().values
