"""What a network does inside to a few images. Shapes: B images, D features."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass
class Layer:
    """A module without modules inside that was called: the names of those whose result it took,
    and the shape of its own.
    """

    kind: str
    takes: list[str] = field(default_factory=list)
    shape: tuple[int, ...] = ()


@dataclass
class Probe:
    """`activations` (by layer) of the ReLUs and the last layer; `dead` the share of each ReLU's
    units (channels) that are 0 for all images; `hidden_BD` what the last linear layer takes.
    """

    layers: dict[str, Layer] = field(default_factory=dict)
    activations: dict[str, Tensor] = field(default_factory=dict)
    dead: dict[str, float] = field(default_factory=dict)
    hidden_BD: Tensor | None = None


def look(module: nn.Module, x_B: Tensor) -> Probe:
    """Call `module` as for a prediction, layer by layer, and leave it, its weights and the
    random numbers to come as they were.

    Raises what its `forward` raises.
    """
    probe, made = Probe(), {id(x_B): "input"}
    keep: list[Tensor] = [x_B]  # an id is given again when its tensor is gone
    leaves = {layer: name for name, layer in module.named_modules() if not any(layer.children())}
    last = [layer for layer in leaves if isinstance(layer, nn.Linear)][-1:]

    def seen(layer: nn.Module, given: tuple[object, ...], answer: object) -> None:
        if not isinstance(answer, Tensor):
            return
        name = leaves[layer]
        takes = [made[id(each)] for each in given if id(each) in made]
        if not takes and len(keep) > 1:  # a function without a module came between
            takes = [made[id(keep[-1])]]
        probe.layers[name] = Layer(type(layer).__name__, takes, tuple(answer.shape))
        made[id(answer)] = name
        keep.append(answer)
        if isinstance(layer, nn.ReLU):
            probe.activations[name] = answer
            units = answer.movedim(1, -1).flatten(0, -2) if answer.ndim > 1 else answer[None]
            probe.dead[name] = float((units <= 0).all(0).float().mean())
        elif layer in last:
            probe.activations[name] = answer
            first = given[0] if given else None
            probe.hidden_BD = first if isinstance(first, Tensor) and first.ndim == 2 else None

    handles = [layer.register_forward_hook(seen) for layer in leaves]
    try:
        chance = torch.random.fork_rng([x_B.device] if x_B.is_cuda else [])
        with chance, _as_for_a_prediction(module), _uncompiled():
            module(x_B)
    finally:
        for handle in handles:
            handle.remove()
    return probe


@contextmanager
def _as_for_a_prediction(module: nn.Module) -> Iterator[None]:
    """Without gradients, dropout and new running means; afterwards each part is as before."""
    before = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        with torch.no_grad():
            yield
    finally:
        for part, was_training in before:
            part.training = was_training


def _uncompiled() -> AbstractContextManager[None]:
    """Only who compiles has imported the compiler, which takes 4 s."""
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance
