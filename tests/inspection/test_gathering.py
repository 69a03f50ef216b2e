"""Of hand-made networks."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from digits.inspection import gathering, listening
from digits.inspection.listening import Gatherer

WITH_NAMES = type("Data", (), {"class_names": ["cat", "dog", "owl"], "side": 2})()


class Knows(nn.Module):
    """An image's first two pixels are its logits for classes 0 and 1, its third for class 2."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :3]


def images(*logits: list[float]) -> Tensor:
    return torch.tensor([[*row, 0.0] for row in logits]).view(-1, 2, 2)


def test_it_listens_to_what_the_network_says() -> None:
    network = Knows()
    gatherer = Gatherer(network)
    x = images([2, 0, 0], [0, 0, 9], [0, 3, 0], [0, 5, 0])
    labels = torch.tensor([0, 0, 0, 0])
    for batch in (slice(0, 1), slice(1, 2), slice(2, 4)):
        network(x[batch])
        assert gatherer.add((x[batch], labels[batch]))
    gatherer.close()
    network(x)
    assert gatherer.logits_BK is None
    gathered = gathering.evidence(gatherer, "test", network, WITH_NAMES)
    assert gathered is not None
    found, probabilities = gathered
    assert found.labels_N.tolist() == [0, 0, 0, 0]
    assert found.predicted_N.tolist() == [0, 2, 1, 1]
    e = np.e
    assert found.confidence_N == pytest.approx(
        [e**2 / (e**2 + 2), e**9 / (e**9 + 2), e**3 / (e**3 + 2), e**5 / (e**5 + 2)]
    )
    assert found.true_probability_N[1] == pytest.approx(1 / (e**9 + 2))
    assert probabilities.sum(1) == pytest.approx([1, 1, 1, 1])
    assert found.shown_M.tolist() == [1, 3, 2], "the most confident mistake comes first"
    assert found.names_K.tolist() == ["cat", "dog", "owl"]


def test_a_batch_that_is_no_classifiers_is_left_out() -> None:
    network = Knows()
    gatherer = Gatherer(network)
    x = images([1, 0, 0])
    assert not gatherer.add((x, torch.tensor([0]))), "nothing was said"
    network(x)
    assert not gatherer.add(x), "no labels"
    network(x)
    assert not gatherer.add((x, torch.tensor([0.5]))), "no classes"
    network(x)
    assert not gatherer.add((x, torch.tensor([0, 1]))), "of other images"
    gatherer.close()
    assert gathering.evidence(gatherer, "test", network, None) is None


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        ([[0.3], [-2.0]], [0, 1]),  # one number an image: of whatever, not of classes
        ([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [0, -100]),  # without a class
        ([[1.0, 0.0, 0.0], [float("nan"), 0.0, 0.0]], [0, 1]),
    ],
)
def test_what_can_be_no_classifiers_answer_is_no_evidence(
    logits: list[list[float]], labels: list[int]
) -> None:
    network = nn.Identity()
    gatherer = Gatherer(network)
    gatherer.add((network(torch.tensor(logits)), torch.tensor(labels)))
    gatherer.close()
    assert gathering.evidence(gatherer, "test", network, None) is None


def test_two_processes_images_are_put_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first had images 0, 2 and 4, the second 1 and 3; two of them are mistakes."""
    network, parts = Knows(), []
    for logits, labels in (
        ([[9, 0, 0], [0, 5, 0], [0, 0, 3]], [0, 0, 2]),
        ([[0, 9, 0], [0, 0, 7]], [1, 1]),
    ):
        gatherer = Gatherer(network)
        x = images(*logits)
        network(x)
        gatherer.add((x, torch.tensor(labels)))
        gatherer.close()
        parts.append(gatherer)

    def gather(mine: object, told: list[object]) -> None:
        told[:] = [mine, (*parts[1].scores(), parts[1].worst)]

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "gather_object", gather)
    gathered = gathering.evidence(parts[0], "test", network, None)
    assert gathered is not None
    found, _ = gathered
    assert found.labels_N.tolist() == [0, 1, 0, 1, 2]
    assert found.predicted_N.tolist() == [0, 1, 1, 2, 2]
    assert found.shown_M.tolist() == [3, 2], "the most confident mistake comes first"


def test_the_pictures_of_the_most_confident_mistakes_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "MOST_PICTURES", 2)
    worst = listening.Mistakes()
    for places, confidence in (([0, 1], [0.5, 0.9]), ([5], [0.7]), ([8], [0.4])):
        x = torch.tensor(places).view(-1, 1, 1).expand(-1, 2, 2) / 255
        wrong = torch.ones(len(places), dtype=torch.bool)
        worst.add(torch.tensor(places), torch.tensor(confidence), x, wrong)
    assert worst.places_M.tolist() == [1, 5]
    assert worst.pictures_M is not None
    assert worst.pictures_M[:, 0, 0].tolist() == [1, 5]


def test_what_adds_up_to_one_is_taken_as_it_is() -> None:
    already = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    assert torch.equal(listening.probabilities(already), already)
    logits = torch.tensor([[0.0, 0.0], [2.0, 2.0]])
    assert listening.probabilities(logits).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert torch.allclose(
        listening.probabilities(torch.tensor([[0.2, 0.3]]).log_softmax(1)),
        torch.tensor([[0.2, 0.3]]).softmax(1),
    )


def test_pictures_are_grey_or_of_three_colours() -> None:
    grey = torch.tensor([[[0.0, 1.0], [0.5, 0.2]]])
    assert listening.pictures(grey).tolist() == [[[0, 255], [128, 51]]]  # type: ignore[union-attr]
    assert listening.pictures(grey[:, None]).shape == (1, 2, 2)  # type: ignore[union-attr]
    colours = torch.stack([grey, grey, grey], 1)
    assert listening.pictures(colours).shape == (1, 2, 2, 3)  # type: ignore[union-attr]
    assert listening.pictures(torch.zeros(3, 7)) is None
    assert listening.pictures(torch.zeros(3, 2, 5, 5)) is None


def test_other_numbers_than_fractions_are_spread() -> None:
    normalised = torch.tensor([[[-1.0, 1.0], [0.0, 3.0]]])
    assert listening.pictures(normalised).tolist() == [[[0, 128], [64, 255]]]  # type: ignore[union-attr]


def test_large_pictures_become_small() -> None:
    shown = listening.pictures(torch.zeros(1, 300, 200))
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
