import math

import pytest
import torch
from torch import Tensor, nn

from digits.model.rmsprop import RMSprop

STEPS = 500
RECIPE = {"lr": 1e-3, "alpha": 0.9, "eps": 1e-7}
# Both round differently: the mean square by at most 3 units of rounding u a step, of which
# 1 / (1 - alpha) = 10 steps are remembered, its root by half of that, the quotient by 2 more: by
# 17 u of a step of at most lr / sqrt(1 - alpha) = 0.0032. Adding it to a weight below 2 rounds by
# u, twice. The errors have either sign and add up as the root of their number.
DIFFERENCE = math.sqrt(STEPS) * (17 * 0.0032 + 2)  # units of rounding


def steps(
    optimizer_class: type[torch.optim.RMSprop],
    dtype: torch.dtype = torch.float32,
    count: int = STEPS,
    **settings: float,
) -> tuple[Tensor, Tensor]:
    """Weights (1000,) and square_avg after `count` steps of wild gradients: some are always 0, some
    vanish, and some are so small from the first that only eps keeps their step finite; those
    weights start at 0.
    """
    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.rand(1000, generator=generator).to(dtype))
    weight.data[400:600] = 0
    optimizer = optimizer_class([weight], **(RECIPE | settings))
    for step in range(count):
        gradient = torch.randn(1000, generator=generator).to(dtype)
        gradient[:200] = 0
        gradient[200:400] *= 10.0 ** -(step / 10)  # to 1e-50: through denormals to 0
        gradient[400:600] *= 10.0 ** -torch.linspace(10, 40, 200)  # squares from 1e-20 to 0
        gradient[600:800] *= 10.0 ** (step % 20 - 10)
        weight.grad = gradient
        optimizer.step()
    return weight.detach(), optimizer.state[weight]["square_avg"]


@pytest.mark.parametrize(
    ("dtype", "unit", "alpha"),
    [(torch.float32, 2**-24, 0.9), (torch.float32, 2**-24, 0.0), (torch.float64, 2**-53, 0.5)],
)
def test_steps_are_those_of_torch_but_for_rounding(
    dtype: torch.dtype, unit: float, alpha: float
) -> None:
    expected, expected_average = steps(torch.optim.RMSprop, dtype, alpha=alpha)
    weight, average = steps(RMSprop, dtype, alpha=alpha)
    assert expected.abs().max() < 2
    assert (weight - expected).abs().max() <= DIFFERENCE * unit
    # 3 units in each of the steps that are remembered; denormals have fewer digits
    torch.testing.assert_close(average, expected_average, rtol=30 * unit, atol=1e-43)


@pytest.mark.parametrize(
    "settings",
    [
        {"momentum": 0.5},
        {"weight_decay": 0.1},
        {"centered": True},
        {"maximize": True},
        {"alpha": 1.0},  # 0 / 0 by Adam's correction
    ],
    ids=str,
)
def test_what_one_pass_cannot_do_is_left_to_torch(settings: dict[str, float]) -> None:
    expected, expected_average = steps(torch.optim.RMSprop, count=50, **settings)
    weight, average = steps(RMSprop, count=50, **settings)
    assert torch.equal(weight, expected)
    assert torch.equal(average, expected_average)


def step_of(weight: nn.Parameter, gradient: Tensor) -> Tensor:
    weight.grad = gradient
    RMSprop([weight], **RECIPE).step()
    return weight.detach()


def test_a_step_by_hand() -> None:
    # v = 0.1 * 9 = 0.9; step = 0.001 * 3 / (sqrt(0.9) + 1e-7) = 0.00316228
    weight = step_of(nn.Parameter(torch.tensor([1.0, 1.0])), torch.tensor([3.0, -3.0]))
    assert weight.tolist() == pytest.approx([1 - 0.00316228, 1 + 0.00316228], abs=1e-7)


def test_other_types_and_layouts_are_stepped_as_well() -> None:
    """The kernel walks through memory: it would take a transposed gradient's numbers in the wrong
    order.
    """
    gradient = torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    up = torch.full((), 0.00316228)  # each weight moves by this, against its gradient
    for weight, grad in [
        (torch.zeros(2, 2), gradient.t().contiguous().t()),
        (torch.zeros(2, 2).t(), gradient),
        (torch.zeros(2, 2, dtype=torch.float64), gradient.double()),
    ]:
        moved = step_of(nn.Parameter(weight), grad)
        torch.testing.assert_close(moved, -up * grad.sign(), check_dtype=False, rtol=1e-4, atol=0)
    half = step_of(nn.Parameter(torch.zeros(2, 2, dtype=torch.bfloat16)), gradient.bfloat16())
    assert half.sign().tolist() == [[-1, 1], [-1, -1]]


def test_one_kernel_makes_the_step() -> None:
    weight = nn.Parameter(torch.rand(30, 20))
    weight.grad = torch.rand_like(weight)
    with torch.profiler.profile() as profile:
        RMSprop([weight], **RECIPE).step()
    names = {event.key for event in profile.key_averages()}
    assert "aten::_fused_adam_" in names
    assert "aten::sqrt_" not in names


def test_a_weight_without_gradient_has_no_state() -> None:
    frozen, learned = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = RMSprop([frozen, learned], **RECIPE)
    optimizer.step()
    assert optimizer.state_dict()["state"] == {}
    learned.grad = torch.ones(2)
    optimizer.step()
    assert list(optimizer.state_dict()["state"]) == [1]
    assert frozen.tolist() == [1, 1]


def test_groups_have_their_own_settings() -> None:
    slow, fast = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = RMSprop([{"params": [slow]}, {"params": [fast], "lr": 0.1}], **RECIPE)
    for weight in (slow, fast):
        weight.grad = torch.ones(1)
    optimizer.step()
    assert slow.item() == pytest.approx(-0.00316228)
    assert fast.item() == pytest.approx(-0.3162277)


def test_state_goes_over_to_torchs_and_back() -> None:
    weight = nn.Parameter(torch.ones(3))
    ours = RMSprop([weight], lr=0.1)
    weight.grad = torch.ones(3)
    ours.step()
    theirs = torch.optim.RMSprop([weight], lr=0.1)
    theirs.load_state_dict(ours.state_dict())
    theirs.step()
    ours.load_state_dict(theirs.state_dict())
    ours.step()
    state = ours.state[weight]
    assert state.keys() == {"step", "square_avg"}
    assert state["step"] == 3
    # 1 - 0.99 ** 3 of gradients that were 1
    assert state["square_avg"].tolist() == pytest.approx([0.029701] * 3)


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
