"""Of hand-made networks, which a Trainer tests."""

from collections.abc import Callable
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from digits.inspection import gathering
from digits.inspection.evidence import Evidence
from digits.training.trainer import quieten_lightning
from support.fits import Drawn


class Data(L.LightningDataModule):
    """`batches` as they are; its labels are one too high until they are moved."""

    class_names = ("cat", "dog", "owl")

    def __init__(self, batches: list[Any], loader: DataLoader[Any] | None = None) -> None:
        super().__init__()
        self.loader = DataLoader(batches, None) if loader is None else loader  # type: ignore[arg-type]

    def test_dataloader(self) -> DataLoader[Any]:
        return self.loader

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return [batch[0], batch[1] - 1] if isinstance(batch, list | tuple) else batch


class Knows(L.LightningModule):
    """An image's first two pixels are its logits for classes 0 and 1, its third for class 2."""

    found: Evidence | None = None
    changes_chance = False

    def __init__(self, says: Callable[[Tensor], Any] = lambda x: x.flatten(1)[:, :3]) -> None:
        super().__init__()
        self.says = says

    def forward(self, x: Tensor) -> Any:
        return self.says(x)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        pass

    def on_test_end(self) -> None:
        before = torch.get_rng_state()
        self.found = gathering.evidence(self.trainer, self, "test")
        self.changes_chance = not torch.equal(before, torch.get_rng_state())


def images(*logits: list[float]) -> Tensor:
    return torch.tensor([[*row, 0.0] for row in logits]).view(-1, 2, 2)


ONE = images([1, 0, 0])


def evidence_of(data: list[Any] | Data, network: Knows | None = None, **settings: Any) -> Any:
    quieten_lightning()
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, **settings,
    )  # fmt: skip
    network = network or Knows()
    trainer.test(network, data if isinstance(data, Data) else Data(data), verbose=False)
    return network.found


def test_it_is_what_the_network_says_to_each_batch() -> None:
    x = images([2, 0, 0], [0, 0, 9], [0, 3, 0], [0, 5, 0])
    labels = torch.tensor([1, 1, 1, 1])
    batches = [(x[part], labels[part]) for part in (slice(0, 1), slice(1, 2), slice(2, 4))]
    found = evidence_of(batches)
    assert found.labels_N.tolist() == [0, 0, 0, 0]
    assert found.predicted_N.tolist() == [0, 2, 1, 1]
    e = np.e
    assert found.confidence_N == pytest.approx(
        [e**2 / (e**2 + 2), e**9 / (e**9 + 2), e**3 / (e**3 + 2), e**5 / (e**5 + 2)]
    )
    assert found.probabilities_NP[1] == pytest.approx(
        [1 / (e**9 + 2), 1 / (e**9 + 2), e**9 / (e**9 + 2)]
    )
    assert found.shown_M.tolist() == [1, 3, 2], "the most confident mistake comes first"
    assert found.names_K.tolist() == ["cat", "dog", "owl"]
    assert evidence_of(batches, limit_test_batches=2).count == 2


def test_random_numbers_to_come_are_left_as_they_were() -> None:
    network = Knows(lambda x: x.flatten(1)[:, :3] + torch.rand(3))
    assert evidence_of([(ONE, torch.tensor([1]))], network)
    assert not network.changes_chance


@pytest.mark.parametrize(
    ("batch", "says"),
    {
        "no labels": (ONE, None),
        "no classes": ([ONE, torch.tensor([0.5])], None),
        "of other images": ([ONE, torch.tensor([1, 2])], None),
        "one number an image": ([ONE, torch.tensor([1])], lambda x: x.flatten(1)[:, :1]),
        "without a class": ([ONE, torch.tensor([-99])], None),
        "no number": ([ONE * torch.nan, torch.tensor([1])], None),
        "another forward": ([ONE, torch.tensor([1])], lambda: None),
    }.values(),
)
def test_what_is_no_classifiers_is_no_evidence(batch: Any, says: Any) -> None:
    assert evidence_of([batch], Knows(says) if says else None) is None


@pytest.mark.parametrize(
    ("declared", "pixels", "outputs", "is_evidence"),
    {
        "an autoencoder": (True, [0.0, 0.0, 0.0, 9.0], 4, False),
        "a head of more classes": (True, [9.0, 0.0, 0.0, 0.0], 4, True),
        "the last classes are not seen": (False, [0.0, 0.0, 9.0, 0.0], 3, True),
        "an embedding": (False, [0.0, 0.0, 0.0, 9.0], 4, False),
    }.values(),
)
def test_outputs_beyond_the_classes_are_no_classifiers(
    declared: bool, pixels: list[float], outputs: int, is_evidence: bool
) -> None:
    data = Data([(torch.tensor(pixels).view(1, 2, 2), torch.tensor([1]))])
    if not declared:
        data.class_names = ()  # type: ignore[assignment]
    found = evidence_of(data, Knows(lambda x: x.flatten(1)[:, :outputs]))
    assert (found is not None) == is_evidence


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        yield from [(ONE[0], 1)] * 3


def test_data_without_a_length_is_looked_at() -> None:
    found = evidence_of(Data([], DataLoader(Stream(), 2)))
    assert (found.count, found.correct) == (3, 3)


def test_two_processes_images_are_put_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process had images 0, 2 and 4, and the second 1, 3 and, so that both had as many, 0
    again. Two of the five are mistakes.
    """
    picture = np.zeros((2, 2), np.uint8)
    second = (
        np.array([1, 3, 5]), np.array([1, 1, 0]), torch.eye(3)[[1, 2, 1]].numpy(),
        [(5, 1.0, picture), (3, 0.8, picture)],
    )  # fmt: skip
    monkeypatch.setattr(gathering, "is_whole", lambda trainer: True)
    monkeypatch.setattr(
        dist, "gather_object", lambda mine, told: told.__setitem__(slice(None), [mine, second])
    )

    class OfTwo(Knows):
        def on_test_end(self) -> None:
            with monkeypatch.context() as patch:
                patch.setattr(L.Trainer, "world_size", 2)
                super().on_test_end()

    x, labels = images([9, 0, 0], [0, 9, 0], [0, 0, 9], [5, 0, 0], [5, 0, 0]), [1, 1, 3, 0, 0]
    both = [(x[place], labels[place]) for place in range(5)]  # of which three are looked at here
    found = evidence_of(Data([], DataLoader(both, 3)), OfTwo(), limit_test_batches=1)
    assert found.labels_N.tolist() == [0, 1, 0, 1, 2]
    assert found.predicted_N.tolist() == [0, 1, 1, 2, 2]
    assert found.shown_M.tolist() == [2, 3], "the most confident mistake comes first"


def test_the_pictures_of_the_most_confident_mistakes_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "MOST_PICTURES", 2)
    logits = [[0, 3, 0], [0, 9, 0]], [[0, 5, 0]], [[0, 2, 0]]
    found = evidence_of([(images(*each) / 9, torch.tensor([1] * len(each))) for each in logits])
    assert found.shown_M.tolist() == [1, 2]
    assert found.pictures_MHW[:, 0, 1].tolist() == [255, 142]


def test_pictures_are_grey_or_of_three_colours_spread_and_small() -> None:
    grey = torch.tensor([[[0.0, 1.0], [0.5, 0.2]]])
    spread = torch.tensor([[[-1.0, 1.0], [0.0, 3.0]]])
    for given, levels in (grey, [[0, 255], [128, 51]]), (spread, [[0, 128], [64, 255]]):
        assert gathering.pictures(given).tolist() == [levels]  # type: ignore[union-attr]
        assert gathering.pictures(given[:, None]).tolist() == [levels]  # type: ignore[union-attr]
    shapes = {(1, 3, 2, 2): (1, 2, 2, 3), (1, 300, 200): (1, 60, 40), (3, 7): None,
              (3, 2, 5, 5): None}  # fmt: skip
    for shape, expected in shapes.items():
        shown = gathering.pictures(torch.zeros(shape))
        assert (shown if shown is None else shown.shape) == expected


def test_the_units_with_the_largest_weights_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "UNITS", 2)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 0.1, 0, 0], [0, 0, 0, -5]]))
    tiles, units = gathering.first_weights(network, 2)
    assert (tiles.tolist(), units) == ([[[1, 0], [0, 0]], [[0, 0], [0, -5]]], 3)
    assert len(gathering.first_weights(nn.Linear(5, 3), 2)[0]) == 0
    assert len(gathering.first_weights(nn.ReLU(), 2)[0]) == 0
    filters, count = gathering.first_weights(nn.Conv2d(3, 8, 5), None)
    assert (filters.shape, count) == ((2, 5, 5), 8)


def test_samples_of_augmented_images_show_both() -> None:
    data = Drawn(augment=lambda images_BHW, draw, epoch: 1 - images_BHW / 255)
    data.setup("fit")
    assert data.train is not None
    shown, labels = gathering.samples(data, 6)
    assert (shown[:3] == data.train[0][:3].numpy()).all()
    assert (shown[3:] == 255 - shown[:3]).all()
    assert labels.tolist() == data.train[1][:3].tolist() * 2
