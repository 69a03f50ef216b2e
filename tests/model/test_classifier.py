import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from digits.errors import InputError
from digits.model.classifier import DigitClassifier, check_input
from digits.model.rmsprop import RMSprop
from digits.model.score import Score


def test_network_is_the_reference() -> None:
    model = DigitClassifier()
    kinds = (nn.Flatten, nn.Linear, nn.ReLU, nn.Linear)
    assert all(map(isinstance, model.net, kinds))
    assert len(model.net) == len(kinds)
    assert {name: tuple(p.shape) for name, p in model.named_parameters()} == {
        "net.1.weight": (512, 784),
        "net.1.bias": (512,),
        "net.3.weight": (10, 512),
        "net.3.bias": (10,),
    }
    assert sum(p.numel() for p in model.parameters()) == 407_050


def test_weights_start_glorot_uniform_and_biases_at_zero() -> None:
    torch.manual_seed(0)
    net = DigitClassifier().net
    for layer, fans in ((net[1], 784 + 512), (net[3], 512 + 10)):
        bound = math.sqrt(6 / fans)  # Glorot and Bengio 2010, eq. 16
        assert layer.weight.abs().max().item() <= bound
        # a uniform's standard deviation is bound / sqrt(3); 5120 draws estimate it to 1 % (3 sigma)
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
        assert not layer.bias.any()


def test_loss_starts_near_ln_10() -> None:
    torch.manual_seed(0)
    logits = DigitClassifier()(torch.rand(256, 28, 28))
    assert logits.shape == (256, 10)
    loss = nn.functional.cross_entropy(logits, torch.randint(10, (256,)))
    assert loss.item() == pytest.approx(math.log(10), abs=0.3)


def test_one_batch_is_overfitted() -> None:
    torch.manual_seed(0)
    model = DigitClassifier(64, partial(torch.optim.RMSprop, lr=1e-3, alpha=0.9, eps=1e-7))
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.RMSprop)
    x, y = torch.rand(32, 28, 28), torch.randint(10, (32,))
    for _ in range(200):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01


def test_score_by_hand() -> None:
    score = Score()
    logits = torch.tensor([[2.0, 1.0], [0.0, 3.0], [5.0, 0.0]])
    score.update(torch.tensor(0.5), logits[:2], torch.tensor([0, 0]))
    score.update(torch.tensor(2.0), logits[2:], torch.tensor([0]))
    assert score.compute()["loss"].item() == pytest.approx((0.5 * 2 + 2.0 * 1) / 3)
    assert score.compute()["acc"].item() == pytest.approx(2 / 3)
    assert score.compute()["images"].item() == 3


@pytest.mark.parametrize(
    "x",
    [
        torch.rand(2, 3, 28, 28),
        torch.rand(2, 28, 27),
        torch.rand(2, 784),
        torch.randint(256, (2, 28, 28), dtype=torch.uint8),
        torch.rand(2, 28, 28) * 255,
        torch.rand(2, 28, 28) - 0.5,
        torch.full((2, 28, 28), math.nan),
    ],
    ids=["channel", "width", "flat", "uint8", "0 to 255", "negative", "nan"],
)
def test_other_input_is_refused(x: torch.Tensor) -> None:
    check_input(torch.rand(2, 28, 28))
    check_input(torch.rand(2, 1, 28, 28))
    line = r"be \(B, 28, 28\) or \(B, 1, 28, 28\) float32 in \[0, 1\]; got"
    with pytest.raises(ValueError, match=line):
        check_input(x)


def test_colour_is_taken_whole() -> None:
    model = DigitClassifier(8, side=4, classes=2, channels=3)
    assert model(torch.rand(5, 3, 4, 4)).shape == (5, 2)
    line = r"^images must be \(B, 3, 4, 4\) float32 in \[0, 1\]; got \(2, 4, 4\)"
    with pytest.raises(ValueError, match=line):
        check_input(torch.rand(2, 4, 4), 4, 3)


@pytest.mark.parametrize("stage", ["training_step", "validation_step", "test_step"])
def test_every_stage_looks_at_its_first_batch(stage: str) -> None:
    bytes_not_fractions = torch.rand(2, 28, 28) * 255, torch.tensor([3, 7])
    with pytest.raises(ValueError, match=r"^images must be \(B, 28, 28\) or .* float32 in"):
        getattr(DigitClassifier(8), stage)(bytes_not_fractions, 0)


def test_scheduler_comes_from_the_config() -> None:
    cosine = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=3)
    model = DigitClassifier(8, partial(torch.optim.SGD, lr=1.0), cosine)
    configured = model.configure_optimizers()
    assert isinstance(configured, dict)
    assert configured["lr_scheduler"].T_max == 3


Cosine = torch.optim.lr_scheduler.CosineAnnealingLR


@pytest.mark.parametrize(
    ("optimizer", "scheduler", "line"),
    [
        (partial(RMSprop, lr=1e308), None, "model.optimizer: value cannot be converted to type fl"),
        (partial(torch.optim.AdamW, betas=[1, 2]), None, "model.optimizer: Invalid beta parameter"),
        (partial(RMSprop, nesterov=True), None, "model.optimizer: RMSprop.__init__() got an unexp"),
        (RMSprop, partial(Cosine, T_max=3, eta_min="x"), "model.scheduler: unsupported operand ty"),
        (None, None, "model.optimizer: training needs one"),
    ],
    ids=["lr", "betas", "unknown", "eta_min", "none"],
)
def test_what_torch_says_at_a_step_is_said_before_the_first(
    optimizer: Any, scheduler: Any, line: str
) -> None:
    model = DigitClassifier(8, optimizer, scheduler)
    before = [weight.clone() for weight in model.parameters()]
    with pytest.raises(InputError) as caught:
        model.configure_optimizers()
    assert str(caught.value).startswith(line)
    assert all(map(torch.equal, model.parameters(), before))


@pytest.mark.parametrize("optimizer", [torch.optim.LBFGS, torch.optim.SGD, torch.optim.Adam])
def test_other_optimizers_pass(optimizer: Any) -> None:
    assert isinstance(DigitClassifier(8, optimizer).configure_optimizers(), optimizer)


def test_an_epoch_begins_with_no_scores_of_one_that_was_interrupted() -> None:
    model = DigitClassifier(2)
    model.train_score.update(torch.tensor(9.0), torch.zeros(4, 10), torch.zeros(4).long())
    model.on_train_epoch_start()
    assert model.train_score.images == 0
