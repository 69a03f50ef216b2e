"""The recipe as a plain PyTorch loop over tensors in memory."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from parity.record import BATCH, EPOCHS, LOOKS, Record
from torch import Tensor, nn

from digits.data import idx, mnist
from digits.data.unpacking import raw_dir

LR, ALPHA, EPS = 1e-3, 0.9, 1e-7
IMAGES = 60_000


class KerasRMSprop(torch.optim.Optimizer):
    """Keras 3's rule, w -= lr * g / sqrt(v + eps). torch divides by sqrt(v) + eps."""

    def __init__(self, weights: Iterable[nn.Parameter]) -> None:
        super().__init__(weights, {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        for weight in self.param_groups[0]["params"]:
            state, grad = self.state[weight], weight.grad
            v = state.setdefault("square_avg", torch.zeros_like(weight))
            v.mul_(ALPHA).addcmul_(grad, grad, value=1 - ALPHA)
            weight.addcdiv_(grad, (v + EPS).sqrt_(), value=-LR)


def torchs_rmsprop(weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(weights, lr=LR, alpha=ALPHA, eps=EPS)


def network(glorot: bool = True) -> nn.Sequential:
    """With Keras's initialisation: Glorot-uniform weights, zero biases; or with torch's own."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
    for name, weight in net.named_parameters() if glorot else ():
        if name.endswith("weight"):
            nn.init.xavier_uniform_(weight)
        else:
            nn.init.zeros_(weight)
    return net


def read(names: tuple[str, str]) -> tuple[Tensor, Tensor]:
    images, labels = idx.read(raw_dir(None), names)
    return images / 255, labels


def train(
    net: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    order: Callable[[int], Tensor] = lambda _: torch.randperm(IMAGES),
) -> Iterator[tuple[Tensor, Tensor]]:
    """Five epochs: after each step its loss, and how many of its images were right."""
    for epoch in range(EPOCHS):
        for index in order(epoch).split(BATCH):
            logits = net(x[index])
            loss = F.cross_entropy(logits, y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.detach(), (logits.argmax(1) == y[index]).sum()


@torch.no_grad()
def test(net: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Return loss and accuracy."""
    logits = net(x)
    correct = int((logits.argmax(1) == y).sum())
    return F.cross_entropy(logits, y).item(), correct / len(y)


def fingerprint(weights: Iterable[Tensor]) -> str:
    return hashlib.sha256(b"".join(w.detach().numpy().tobytes() for w in weights)).hexdigest()[:16]


def run(
    seed: int, glorot: bool = True, keras_rule: bool = False, one_order: bool = False
) -> Record:
    x, y = read(mnist.TRAIN)
    test_set = read(mnist.TEST)
    torch.manual_seed(seed)
    net = network(glorot)
    optimizer = (KerasRMSprop if keras_rule else torchs_rmsprop)(net.parameters())
    steps_an_epoch = -(-len(x) // BATCH)
    loss_sum = right = 0.0
    looks = []
    same = torch.randperm(IMAGES) if one_order else None
    steps = train(net, optimizer, x, y, lambda _: torch.randperm(IMAGES) if same is None else same)
    for done, (loss, correct) in enumerate(steps, start=1):
        if done <= steps_an_epoch:  # a mean over images, as Keras prints it
            loss_sum += loss.item() * min(BATCH, len(x) - (done - 1) * BATCH)
            right += correct.item()
        if done - (EPOCHS - 1) * steps_an_epoch in LOOKS:
            looks.append(test(net, *test_set)[1])
    loss_at_end, accuracy = test(net, *test_set)
    return {
        "acc": accuracy,
        "loss": loss_at_end,
        "looks": looks,
        "first_loss": loss_sum / len(x),
        "first_acc": right / len(x),
        "weights": fingerprint(net.parameters()),
    }
