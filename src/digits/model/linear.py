"""nn.Linear, twice as fast on CPUs for which MKL was not made. Shapes: B batch, D features in, E
features out.
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Linear(nn.Linear):
    """nn.Linear whose float32 products on a CPU are oneDNN's; elsewhere it is nn.Linear.

    torch leaves them to MKL. On an AMD CPU with AVX-512 oneDNN took 0.26 ms where MKL took 0.58 ms
    (128x784 by 784x512, 2 cores), and its bits don't depend on the number of threads; MKL's do.
    """

    def forward(self, x_BD: Tensor) -> Tensor:
        if not _suits_onednn(x_BD):
            return F.linear(x_BD, self.weight, self.bias)
        y_BE: Tensor = _OneDNN.apply(x_BD, self.weight, self.bias)
        return y_BE


class _OneDNN(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BD: Tensor, weight_ED: Tensor, bias_E: Tensor | None) -> Tensor:
        ctx.save_for_backward(x_BD, weight_ED)
        return _product(x_BD, weight_ED, bias_E)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BE: Tensor) -> tuple[Tensor | None, ...]:
        x_BD, weight_ED = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _product(grad_BE, weight_ED.t()) if of_x else None,
            _product(grad_BE.t(), x_BD.t()) if of_weight else None,
            grad_BE.sum(0) if of_bias else None,
        )


def _product(x_BD: Tensor, weight_ED: Tensor, bias_E: Tensor | None = None) -> Tensor:
    """x @ weight.T + bias, through the operator that torch.compile uses for nn.Linear on CPUs."""
    y_BE: Tensor = torch.ops.mkldnn._linear_pointwise(x_BD, weight_ED, bias_E, "none", [], "")
    return y_BE


def bits_ignore_threads(module: nn.Module, batch_sizes: Iterable[int]) -> bool:
    """Whether `module` computes the same bits with 1 to torch's present number of threads.

    Tried out on its Linear layers: it depends on shapes, CPU and oneDNN's version, not on data.
    False for a module that learns in other layers.
    """
    layers = [layer for layer in module.modules() if list(layer.parameters(recurse=False))]
    if not all(isinstance(layer, nn.Linear) for layer in layers):
        return False
    most = torch.get_num_threads()
    try:
        return all(
            _same_with_any_threads(layer, size, most)
            for layer in layers
            if isinstance(layer, nn.Linear)
            for size in batch_sizes
        )
    finally:
        torch.set_num_threads(most)


def _same_with_any_threads(layer: nn.Linear, batch_size: int, most: int) -> bool:
    torch.set_num_threads(1)
    expected = _products(layer, batch_size)
    for threads in range(2, most + 1):
        torch.set_num_threads(threads)
        if not all(map(torch.equal, _products(layer, batch_size), expected)):
            return False
    return True


def _products(layer: nn.Linear, batch_size: int) -> tuple[Tensor, ...]:
    """A layer's output and gradients at made-up values, of this batch size."""
    kind = layer.weight.dtype
    x_BD = torch.linspace(-1, 1, batch_size * layer.in_features, dtype=kind).view(batch_size, -1)
    x_BD.requires_grad_()
    y_BE = layer(x_BD)
    grad_BE = torch.linspace(-1, 1, y_BE.numel(), dtype=y_BE.dtype).view_as(y_BE)
    learned = [weight for weight in layer.parameters() if weight.requires_grad]
    return y_BE, *torch.autograd.grad(y_BE, (x_BD, *learned), grad_BE)


def _suits_onednn(x_BD: Tensor) -> bool:
    return bool(
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and x_BD.device.type == "cpu"
        and x_BD.dtype == torch.float32
        and x_BD.dim() == 2
        and len(x_BD) > 0
        and torch.backends.mkldnn.enabled
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and not torch.is_autocast_enabled("cpu")
    )
