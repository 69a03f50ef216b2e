"""Of hand-made networks, which a Trainer tests."""

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


class Data(L.LightningDataModule):
    """`batches` as they are; its labels are one too high until they are moved."""

    class_names = ("cat", "dog", "owl")

    def __init__(self, batches: list[Any]) -> None:
        super().__init__()
        self.batches = batches

    def test_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.batches, batch_size=None)  # type: ignore[arg-type]

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return [batch[0], batch[1] - 1] if isinstance(batch, list | tuple) else batch


class Knows(L.LightningModule):
    """An image's first two pixels are its logits for classes 0 and 1, its third for class 2."""

    found: Evidence | None = None
    changes_chance = False

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :3]

    def test_step(self, batch: Any, batch_idx: int) -> None:
        pass

    def on_test_end(self) -> None:
        before = torch.get_rng_state()
        self.found = gathering.evidence(self.trainer, self, "test")
        self.changes_chance = not torch.equal(before, torch.get_rng_state())


def images(*logits: list[float]) -> Tensor:
    return torch.tensor([[*row, 0.0] for row in logits]).view(-1, 2, 2)


def evidence_of(network: Knows, data: list[Any] | Data, **settings: Any) -> Evidence | None:
    quieten_lightning()
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, **settings,
    )  # fmt: skip
    trainer.test(network, data if isinstance(data, Data) else Data(data), verbose=False)
    return network.found


def test_it_is_what_the_network_says_to_each_batch() -> None:
    x = images([2, 0, 0], [0, 0, 9], [0, 3, 0], [0, 5, 0])
    labels = torch.tensor([1, 1, 1, 1])
    batches = [(x[part], labels[part]) for part in (slice(0, 1), slice(1, 2), slice(2, 4))]
    found = evidence_of(Knows(), batches)
    assert found is not None
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
    limited = evidence_of(Knows(), batches, limit_test_batches=2)
    assert limited is not None
    assert limited.count == 2


class Noisy(Knows):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.rand(3)


def test_random_numbers_to_come_are_left_as_they_were() -> None:
    network = Noisy()
    assert evidence_of(network, [(images([1, 0, 0]), torch.tensor([1]))]) is not None
    assert not network.changes_chance


class Fails(Knows):
    def forward(self, x: Tensor) -> Tensor:
        raise TypeError("forward() misses an argument")


class Scalar(Knows):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :1]


ONE = images([1, 0, 0])


@pytest.mark.parametrize(
    ("network", "batch"),
    {
        "no labels": (Knows(), ONE),
        "no classes": (Knows(), [ONE, torch.tensor([0.5])]),
        "of other images": (Knows(), [ONE, torch.tensor([1, 2])]),
        "one number an image: of whatever, not of classes": (Scalar(), [ONE, torch.tensor([1])]),
        "without a class": (Knows(), [ONE, torch.tensor([-99])]),
        "no number": (Knows(), [ONE * torch.nan, torch.tensor([1])]),
        "another forward": (Fails(), [ONE, torch.tensor([1])]),
    }.values(),
)
def test_what_is_no_classifiers_is_no_evidence(network: Knows, batch: Any) -> None:
    assert evidence_of(network, [batch]) is None


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        yield from [(ONE[0], 1)] * 3


def test_data_without_a_length_is_looked_at() -> None:
    data = Data([])
    data.test_dataloader = lambda: DataLoader(Stream(), 2)  # type: ignore[method-assign]
    found = evidence_of(Knows(), data)
    assert found is not None
    assert (found.count, found.correct) == (3, 3)


class OfTwo(Knows):
    """The first process, which had images 0, 2 and 4, and the second, which had 1, 3 and, so that
    both had as many, 0 again. Two of the five are mistakes.
    """

    def on_test_end(self) -> None:
        second = (
            (np.array([1, 1, 0]), torch.eye(3)[[1, 2, 1]].numpy()),
            [(2, 1.0, np.zeros((2, 2), np.uint8)), (1, 0.8, np.zeros((2, 2), np.uint8))],
        )

        def gather(mine: object, told: list[object]) -> None:
            told[:] = [mine, second]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dist, "is_initialized", lambda: True)
            patch.setattr(dist, "get_world_size", lambda: 2)
            patch.setattr(dist, "get_rank", lambda: 0)
            patch.setattr(dist, "gather_object", gather)
            super().on_test_end()


def test_two_processes_images_are_put_in_their_order() -> None:
    data, x = Data([]), images([9, 0, 0], [0, 9, 0], [0, 0, 9], [5, 0, 0], [5, 0, 0])
    labels = [1, 1, 3, 0, 0]  # the last two are not looked at here
    both = [(x[place], labels[place]) for place in range(5)]
    data.test_dataloader = lambda: DataLoader(both, 3)  # type: ignore[method-assign]
    found = evidence_of(OfTwo(), data, limit_test_batches=1)
    assert found is not None
    assert found.labels_N.tolist() == [0, 1, 0, 1, 2]
    assert found.predicted_N.tolist() == [0, 1, 1, 2, 2]
    assert found.shown_M.tolist() == [2, 3], "the most confident mistake comes first"


def test_the_pictures_of_the_most_confident_mistakes_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "MOST_PICTURES", 2)
    logits = [[0, 3, 0], [0, 9, 0]], [[0, 5, 0]], [[0, 2, 0]]
    found = evidence_of(
        Knows(), [(images(*each) / 9, torch.tensor([1] * len(each))) for each in logits]
    )
    assert found is not None
    assert found.shown_M.tolist() == [1, 2]
    assert found.pictures_MHW[:, 0, 1].tolist() == [255, 142]


def test_what_adds_up_to_one_is_taken_as_it_is() -> None:
    already = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    assert torch.equal(gathering.probabilities(already), already)
    logits = torch.tensor([[0.0, 0.0], [2.0, 2.0]])
    assert gathering.probabilities(logits).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert torch.allclose(
        gathering.probabilities(torch.tensor([[0.2, 0.3]]).log_softmax(1)),
        torch.tensor([[0.2, 0.3]]).softmax(1),
    )


def test_pictures_are_grey_or_of_three_colours() -> None:
    grey = torch.tensor([[[0.0, 1.0], [0.5, 0.2]]])
    assert gathering.pictures(grey).tolist() == [[[0, 255], [128, 51]]]  # type: ignore[union-attr]
    assert gathering.pictures(grey[:, None]).shape == (1, 2, 2)  # type: ignore[union-attr]
    colours = torch.stack([grey, grey, grey], 1)
    assert gathering.pictures(colours).shape == (1, 2, 2, 3)  # type: ignore[union-attr]
    assert gathering.pictures(torch.zeros(3, 7)) is None
    assert gathering.pictures(torch.zeros(3, 2, 5, 5)) is None


def test_other_numbers_than_fractions_are_spread() -> None:
    normalised = torch.tensor([[[-1.0, 1.0], [0.0, 3.0]]])
    assert gathering.pictures(normalised).tolist() == [[[0, 128], [64, 255]]]  # type: ignore[union-attr]


def test_large_pictures_become_small() -> None:
    shown = gathering.pictures(torch.zeros(1, 300, 200))
    assert shown is not None
    assert shown.shape == (1, 60, 40)


def test_the_units_with_the_largest_weights_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "UNITS", 2)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 0.1, 0, 0], [0, 0, 0, -5]]))
    tiles, units = gathering.first_weights(network, 2)
    assert units == 3
    assert tiles.tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, -5]]]


def test_a_first_layer_that_is_no_picture_has_none() -> None:
    assert len(gathering.first_weights(nn.Linear(5, 3), 2)[0]) == 0
    assert len(gathering.first_weights(nn.ReLU(), 2)[0]) == 0
    filters, count = gathering.first_weights(nn.Conv2d(3, 8, 5), None)
    assert (filters.shape, count) == ((8, 5, 5), 8)
