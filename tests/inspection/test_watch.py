import pytest
import torch
from torch import Tensor, nn

from digits.inspection import watch


class Divided(nn.Module):
    """With a function between its layers, and random numbers of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.drop(self.body(x.flatten(1))))
        answer: Tensor = self.last(torch.tanh(h) + torch.rand_like(h))
        return answer


def test_a_unit_that_no_image_wakes_is_dead() -> None:
    network = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0], [-1.0], [-1.0], [-1.0]]))
        network[0].bias.copy_(torch.tensor([0.0, 0.0, 1.5, -9.0]))
    seen = watch.look(network, torch.tensor([[1.0], [2.0]]))
    assert list(seen) == ["1", "2"]
    hidden, answer = seen["1"][2], seen["2"][2]
    assert hidden.tolist() == [[1, 0, 0.5, 0], [2, 0, 0, 0]]
    assert watch.dead(hidden) == 0.5, "the second and the fourth"
    channels = torch.tensor([1.0, -1.0]).view(1, 2, 1, 1).expand(3, 2, 5, 5)
    assert watch.dead(channels) == 0.5, "a channel is a unit"
    assert torch.equal(seen["2"][1], hidden)
    assert torch.equal(answer, network[2](hidden))


def test_the_network_and_random_numbers_to_come_are_left_as_they_were() -> None:
    network = Divided()
    network.drop.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.rand(8, 2, 2)
    state = torch.get_rng_state()
    seen = watch.look(network, x)
    assert {name: part.training for name, part in network.named_children()} == {
        "body": True, "norm": True, "drop": False, "last": True,
    }  # fmt: skip
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not any(part._forward_hooks for part in network.modules())
    assert not seen["last"][2].requires_grad
    with pytest.raises(RuntimeError, match="shapes"):
        watch.look(network, torch.rand(8, 3))
    assert (network.norm.training, network.drop.training) == (True, False)
    assert not any(part._forward_hooks for part in network.modules())
