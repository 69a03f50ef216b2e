from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch

from digits.data import idx
from digits.data.batches import Batch, Batches, EpochShuffle, InOrder, split
from digits.data.datamodule import ImageDataModule, MNISTDataModule
from digits.errors import InputError
from support.commands import ROOT


@pytest.fixture(scope="module", autouse=True)
def read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(idx, "read", cache(idx.read))
        yield


class Given(ImageDataModule):
    """Serves what a test gives it."""

    def __init__(self, shape: tuple[int, ...], **options: Any) -> None:
        super().__init__(batch_size=2, eval_batch_size=2, **options)
        self.shape = shape

    def read(self, stage: str) -> Batch:
        places = torch.arange(self.shape[0])
        numbers = places.byte().view(-1, *[1] * (len(self.shape) - 1))
        return numbers.expand(self.shape).contiguous(), places % 2


def order(epoch: int, seed: int = 0, count: int = 1000) -> list[int]:
    sampler = EpochShuffle(count, seed)
    sampler.set_epoch(epoch)
    return sampler.indices().tolist()


def test_shuffle_depends_on_seed_and_epoch_alone() -> None:
    torch.manual_seed(1)
    first = order(epoch=3)
    torch.rand(7)
    assert order(epoch=3) == first
    assert sorted(first) == list(range(1000))
    assert order(epoch=4) != first
    assert order(epoch=3, seed=1) != first
    assert order(epoch=1, seed=0) != order(epoch=0, seed=1)


@pytest.mark.parametrize(("count", "world_size"), [(12, 2), (13, 2), (13, 4)])
def test_processes_share_each_batch_of_the_one_process_order(count: int, world_size: int) -> None:
    whole = EpochShuffle(count, seed=5).indices()
    parts = [EpochShuffle(count, 5, rank, world_size) for rank in range(world_size)]
    kept = count - count % world_size
    assert [len(part) for part in parts] == [len(part.indices()) for part in parts]
    together = torch.stack([part.indices() for part in parts], dim=1).flatten()
    assert together.tolist() == whole[:kept].tolist()


@pytest.mark.parametrize(("count", "world_size"), [(10_000, 2), (10, 3), (2, 4)])
def test_evaluation_sees_each_image_once(count: int, world_size: int) -> None:
    parts = [InOrder(count, rank, world_size) for rank in range(world_size)]
    seen = torch.cat([part.indices() for part in parts]).tolist()
    assert sorted(seen) == list(range(count))
    assert [len(part) for part in parts] == [len(part.indices()) for part in parts]


def test_a_batch_is_its_images_and_labels() -> None:
    images = torch.arange(10, dtype=torch.uint8).view(10, 1, 1).expand(10, 28, 28)
    batches = Batches(images, torch.arange(10), 4, EpochShuffle(10, seed=0))
    assert len(batches) == 3
    seen = list(batches)
    assert [len(y) for _, y in seen] == [4, 4, 2]
    assert all(torch.equal((x[:, 0, 0] * 255).round().long(), y) for x, y in seen)
    assert sorted(torch.cat([y for _, y in seen]).tolist()) == list(range(10))


def test_split_is_fixed_and_disjoint() -> None:
    held_out, kept = split(60_000, range(5000))
    assert len(held_out) == 5000
    assert len(kept) == 55_000
    assert not set(held_out.tolist()) & set(kept.tolist())
    torch.manual_seed(9)
    assert torch.equal(split(60_000, range(5000))[0], held_out)
    assert held_out[:5].tolist() == [1, 3, 47, 49, 80]


def test_each_image_is_in_one_fold() -> None:
    folds = [Given((11, 4, 4), folds=4, fold=fold) for fold in range(4)]
    for data in folds:
        data.setup("fit")
    held_out = [data.val[0][:, 0, 0].tolist() for data in folds if data.val]
    assert sorted(place for fold in held_out for place in fold) == list(range(11))
    assert [len(fold) for fold in held_out] == [2, 3, 3, 3]
    for data, fold in zip(folds, held_out, strict=True):
        assert data.train is not None
        assert data.train[0][:, 0, 0].tolist() == sorted({*range(11)} - {*fold})
        assert len(data.val_dataloader()) == -(-len(fold) // 2)


def test_fewer_images_are_the_first_of_one_order_whatever_the_seed() -> None:
    def kept(**options: int) -> list[int]:
        data = Given((90, 4, 4), **options)
        data.setup("fit")
        assert data.train is not None
        return data.train[0][:, 0, 0].tolist()

    some, more = kept(train_size=7), kept(train_size=30, seed=5)
    assert (len(some), len(more)) == (7, 30)
    assert {*some} < {*more}
    held_out = {*range(90)} - {*kept(val_size=20)}
    assert len(kept(train_size=70, val_size=20)) == 70
    assert not {*kept(train_size=50, val_size=20)} & held_out
    assert some == split(90, range(0), 7)[1].tolist() == [39, 44, 47, 57, 61, 70, 83]
    assert len(kept(train_size=72, folds=5, fold=1)) == 72


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"train_size": 71, "val_size": 20}, "train_size=71: expected a whole number from 1 to 70"),
        ({"train_size": 73, "folds": 5, "fold": 4}, "train_size=73: expected a whole number from "),
        ({"folds": 91, "fold": 0}, "folds=91: expected a whole number from 2 to 90: the data set"),
        ({"folds": 5, "fold": 5}, "folds=5 data.fold=5: expected two numbers, the second from 0 t"),
        ({"folds": 5}, "folds=5 data.fold=null: expected two numbers, the second from 0 to below"),
        ({"fold": 0}, "folds=null data.fold=0: expected two numbers, the second from 0 to below "),
        ({"folds": 5, "fold": 0, "val_size": 9}, "val_size=9: with data.folds=5 a fold is held o"),
    ],
)
def test_parts_that_do_not_exist_are_told_of(options: dict[str, int], line: str) -> None:
    with pytest.raises(InputError) as caught:
        Given((90, 4, 4), **options).setup("fit")
    assert str(caught.value).startswith(f"data.{line}")


def loaded(**options: int) -> MNISTDataModule:
    datamodule = MNISTDataModule(str(ROOT / "data"), **options)
    datamodule.prepare_data()
    datamodule.setup("fit")
    datamodule.setup("test")
    return datamodule


def test_reference_batches() -> None:
    datamodule = loaded()
    train = list(datamodule.train_dataloader())
    assert len(train) == 469
    assert [len(y) for _, y in train[-2:]] == [128, 96]
    assert sum(len(y) for _, y in datamodule.test_dataloader()) == 10_000
    assert datamodule.val_dataloader() == []


def test_scaling_is_true_division_by_255() -> None:
    x = torch.arange(256, dtype=torch.uint8)
    batches = Batches(x, x, 256, InOrder(256))
    ((scaled, _),) = batches
    batches.keep_buffers()
    for values, _ in ((scaled, x), *batches):
        assert values.dtype == torch.float32
        assert torch.equal(values, torch.arange(256, dtype=torch.float32) / 255)
    assert scaled[148].item() == pytest.approx(0.58039, abs=1e-5)  # the reference's own example


def test_held_out_images_are_not_trained_on_and_never_come_from_the_test_set() -> None:
    datamodule = loaded(val_size=5000)
    assert datamodule.train is not None
    assert datamodule.val is not None
    assert len(datamodule.train[1]) == 55_000
    assert len(datamodule.val[1]) == 5000
    whole, _ = loaded().train or ()
    held_out, kept = split(60_000, range(5000))
    assert torch.equal(datamodule.val[0], whole[held_out])
    assert torch.equal(datamodule.train[0], whole[kept])


def test_a_channel_is_added_and_nothing_else_changes() -> None:
    plain, other = loaded(val_size=60), loaded(val_size=60, channels=1)
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        batches = [next(iter(getattr(data, name)())) for data in (plain, other)]
        (x_BHW, y_B), (other_BHW, also_y_B) = batches
        assert other_BHW.shape == (len(y_B), 1, 28, 28)
        assert torch.equal(other_BHW[:, 0], x_BHW)
        assert torch.equal(also_y_B, y_B)


def test_colour_comes_in_batches_and_is_seen_from_the_images() -> None:
    for shape, channels in (((6, 3, 4, 4), 3), ((6, 1, 4, 4), 1), ((6, 4, 4), None)):
        data = Given(shape)
        data.setup("fit")
        x, y_B = next(iter(data.train_dataloader()))
        assert (x.shape, x.dtype) == ((2, *shape[1:]), torch.float32)
        assert torch.equal((x * 255).round().flatten(1).amax(1).long() % 2, y_B)
        assert (data.side, data.channels) == (4, channels)


@pytest.mark.parametrize(
    ("shape", "declared", "expected"),
    [
        ((6, 4, 4, 3), None, "(N, 4, 4) or (N, 1, 4, 4) or (N, 3, 4, 4)"),
        ((6, 4, 4), 3, "(N, 3, 4, 4)"),
        ((6, 3, 4, 4), 1, "(N, 4, 4) or (N, 1, 4, 4)"),
        ((6, 16), None, "(N, 4, 4) or (N, 1, 4, 4) or (N, 3, 4, 4)"),
    ],
    ids=["colours last", "grey", "colour", "flat"],
)
def test_images_of_another_form_are_told_of(
    shape: tuple[int, ...], declared: int | None, expected: str
) -> None:
    data = Given(shape)
    data.side, data.channels = 4, declared
    with pytest.raises(InputError) as caught:
        data.setup("fit")
    line = f"data: Given.read gives images of {shape} torch.uint8; expected {expected} torch.uint8"
    assert str(caught.value) == line


def test_a_pass_goes_on_where_another_was_left() -> None:
    images = torch.zeros(10, 28, 28, dtype=torch.uint8)
    batches = [Batches(images, torch.arange(10), 3, EpochShuffle(10, seed=0)) for _ in range(2)]
    first = iter(batches[0])
    given = [next(first)[1], next(first)[1]]
    state = batches[0].state_dict()
    rest = [y for _, y in first]
    batches[1].load_state_dict(state)
    assert [y.tolist() for _, y in batches[1]] == [y.tolist() for y in rest]
    assert torch.cat([*given, *rest]).unique().numel() == 10
    assert len([y for _, y in batches[1]]) == 4  # the pass after is a whole one


class TwoProcesses:
    world_size, global_rank, overfit_batches = 2, 0, 0.0


@pytest.mark.parametrize(
    ("loader", "settings", "line"),
    [
        ("train_dataloader", {"batch_size": 127}, "data.batch_size=127: 2 processes share "),
        ("val_dataloader", {"val_size": 1}, "data.val_size=1: 2 processes share it: expected at l"),
    ],
    ids=["batch", "validation"],
)
def test_what_processes_cannot_share_is_named(
    loader: str, settings: dict[str, int], line: str
) -> None:
    data = MNISTDataModule(**settings)
    data.trainer = TwoProcesses()
    data.train = data.val = torch.zeros(1, 28, 28, dtype=torch.uint8), torch.zeros(1)
    with pytest.raises(InputError) as caught:
        getattr(data, loader)()
    assert str(caught.value).startswith(line)


def test_each_process_has_an_image_of_each_fold() -> None:
    data = Given((90, 4, 4), folds=46, fold=0)
    data.trainer = TwoProcesses()
    with pytest.raises(InputError, match=r"^data.folds=46: expected a whole number from 2 to 45"):
        data._check_sizes(90, 1)


def test_evaluation_has_a_batch_size_of_its_own() -> None:
    data = loaded(batch_size=64, eval_batch_size=400, val_size=900)
    assert [len(y_B) for _, y_B in data.val_dataloader()] == [400, 400, 100]
    assert [len(y_B) for _, y_B in data.test_dataloader()] == [400] * 25
    assert len(next(iter(data.train_dataloader()))[1]) == 64
