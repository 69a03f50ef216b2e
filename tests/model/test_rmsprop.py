import pytest
import torch
from torch import Tensor, nn

from digits.model.rmsprop import RMSprop


def steps(optimizer_class: type[torch.optim.RMSprop], **settings: float) -> tuple[Tensor, Tensor]:
    """Weights and square_avg after 300 steps: some gradients are always 0, some vanish, and some
    are so small from the first that only eps keeps their step finite; those weights start at 0.
    """
    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.rand(1000, generator=generator))
    weight.data[400:600] = 0
    optimizer = optimizer_class([weight], **({"lr": 1e-3, "alpha": 0.9, "eps": 1e-7} | settings))
    for step in range(300):
        weight.grad = torch.randn(1000, generator=generator)
        weight.grad[:200] = 0
        weight.grad[200:400] *= 10.0 ** -(step / 6)  # to 1e-50: through denormals to 0
        weight.grad[400:600] *= 10.0 ** -torch.linspace(10, 40, 200)  # squares from 1e-20 to 0
        optimizer.step()
    return weight.detach(), optimizer.state[weight]["square_avg"]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"eps": 2e-11},
        {"eps": 1e-20},
        {"momentum": 0.5},
        {"weight_decay": 0.1},
        {"centered": True},
        {"maximize": True},
    ],
    ids=str,
)
def test_bits_are_those_of_torch(settings: dict[str, float]) -> None:
    expected_weight, expected_average = steps(torch.optim.RMSprop, **settings)
    weight, average = steps(RMSprop, **settings)
    assert torch.equal(weight, expected_weight)
    assert torch.equal(average, expected_average)


def test_state_goes_over_to_torchs_and_back() -> None:
    weight = nn.Parameter(torch.ones(3))
    ours = RMSprop([weight], lr=0.1)
    weight.grad = torch.ones(3)
    ours.step()
    theirs = torch.optim.RMSprop([weight], lr=0.1)
    theirs.load_state_dict(ours.state_dict())
    theirs.step()
    ours.load_state_dict(theirs.state_dict())
    assert ours.state[weight]["step"] == 2


def test_closure_is_run_with_gradients_and_its_loss_returned() -> None:
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = RMSprop([weight], lr=0.1, alpha=0.75)

    def closure() -> Tensor:
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9
    # gradient 6, average 0.25 * 36 = 9, step 0.1 * 6 / 3
    assert weight.item() == pytest.approx(2.8)
