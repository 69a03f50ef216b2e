import pytest
import torch
from torch import Tensor, nn

from digits.inspection import probe


class Divided(nn.Module):
    """With a function between its layers, and one of them called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.drop(self.body(x.flatten(1))))
        return self.last(torch.tanh(h))


def test_a_unit_that_no_image_wakes_is_dead() -> None:
    network = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0], [-1.0], [-1.0], [-1.0]]))
        network[0].bias.copy_(torch.tensor([0.0, 0.0, 1.5, -9.0]))
    seen = probe.look(network, torch.tensor([[1.0], [2.0]]))
    assert seen.dead == {"1": 0.5}, "the second and the fourth"
    assert seen.activations["1"].tolist() == [[1, 0, 0.5, 0], [2, 0, 0, 0]]
    assert seen.hidden_BD is not None
    assert torch.equal(seen.hidden_BD, seen.activations["1"])


def test_a_channel_is_a_unit() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
        network[0].bias.zero_()
    assert probe.look(network, torch.ones(3, 1, 5, 5)).dead == {"1": 0.5}


def test_the_network_is_left_as_it_was() -> None:
    network = Divided()
    network.drop.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.rand(8, 2, 2)
    state = torch.get_rng_state()
    seen = probe.look(network, x)
    assert {name: part.training for name, part in network.named_children()} == {
        "body": True, "norm": True, "drop": False, "last": True,
    }  # fmt: skip
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not any(part._forward_hooks for part in network.modules())
    assert not seen.activations["last"].requires_grad
    assert all(weight.grad is None for weight in network.parameters())


def test_random_numbers_to_come_are_left_as_they_were() -> None:
    class Noisy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.rand_like(x)

    state = torch.get_rng_state()
    probe.look(Noisy(), torch.rand(2, 2))
    torch.set_rng_state(state)
    torch.rand(2, 2)
    after = torch.rand(3)
    torch.set_rng_state(state)
    probe.look(Noisy(), torch.rand(2, 2))
    assert torch.equal(torch.rand(3), after)


def test_layers_are_told_in_the_order_they_were_called() -> None:
    seen = probe.look(Divided(), torch.rand(8, 2, 2))
    assert {name: (layer.kind, layer.takes) for name, layer in seen.layers.items()} == {
        "body.0": ("Linear", []),
        "body.1": ("ReLU", ["body.0"]),
        "drop": ("Dropout", ["body.1"]),
        "norm": ("BatchNorm1d", ["drop"]),
        "last": ("Linear", ["norm"]),
    }
    assert seen.layers["last"].shape == (8, 2)


def test_it_is_left_as_it_was_by_an_error_too() -> None:
    network = Divided()
    with pytest.raises(RuntimeError, match="shapes"):
        probe.look(network, torch.rand(8, 3))
    assert network.drop.training
    assert not any(part._forward_hooks for part in network.modules())
