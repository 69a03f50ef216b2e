"""nn.Linear with the products that are quick on this CPU. Shapes: B batch, D features in, E out."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from digits import imports, machine

ONEDNN, TORCH = MATMULS = ("onednn", "torch")  # whose products; torch's are MKL's
AMD = ("AuthenticAMD", "HygonGenuine")
INTEL = ("GenuineIntel",)
NARROW = 64  # features; with fewer, in or out, MKL's bits depend on the number of threads


class Linear(nn.Linear):
    """nn.Linear whose float32 products on a CPU are oneDNN's where those suit it; elsewhere it is
    nn.Linear. `matmul`, one of MATMULS, says which.

    The choice is by the CPU's maker and the layer's shape, so that it is the same each time: docs/
    speed.md has the measurements. torch itself leaves all to MKL.
    """

    def __init__(self, in_features: int, out_features: int, *more: Any, **settings: Any) -> None:
        """With nn.Linear's arguments."""
        super().__init__(in_features, out_features, *more, **settings)
        self.matmul = matmul_for(in_features, out_features)

    def forward(self, x_BD: Tensor) -> Tensor:
        if not (self.matmul == ONEDNN and _suits_onednn(x_BD)):
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


def matmul_for(in_features: int, out_features: int) -> str:
    """Of MATMULS, the one for a layer on this CPU; where nobody has measured, torch's."""
    maker = machine.cpu_maker()
    is_for_onednn = maker in AMD or (maker in INTEL and min(in_features, out_features) < NARROW)
    return ONEDNN if is_for_onednn and has_onednn() else TORCH


@cache
def has_onednn() -> bool:
    """Whether this torch has oneDNN, and the operator is what it was (it is not public)."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    x, weight, bias = (
        torch.tensor(values, device="cpu", dtype=torch.float32)
        for values in ([[1, 2]], [[3, 4], [5, 6]], [7, 8])
    )
    try:
        return _product(x, weight, bias).tolist() == [[18, 25]]
    except (AttributeError, RuntimeError, TypeError):
        return False


def matmuls(module: nn.Module) -> dict[str, str]:
    """Whose products the Linear layers of `module` use, by the layers' names."""
    return {name: layer.matmul for name, layer in _layers(module)}


def use_matmuls(module: nn.Module, before: Mapping[str, str] | None) -> None:
    """Have the layers of `module` use what those of a run used `before`, for the same bits. None:
    that run was of a time when all used oneDNN's.
    """
    for name, layer in _layers(module):
        given = ONEDNN if before is None else before[name]
        layer.matmul = given if has_onednn() else TORCH


def _layers(module: nn.Module) -> list[tuple[str, Linear]]:
    return [(name, part) for name, part in module.named_modules() if isinstance(part, Linear)]


def bits_ignore_threads(module: nn.Module, batch_sizes: Iterable[int]) -> bool:
    """Whether `module` computes the same bits with 1 to torch's present number of threads.

    Tried out on its Linear layers: it depends on shapes, CPU and oneDNN's version, not on data.
    False for a module that learns in other layers, and for one that is compiled: its products are
    the compiler's.
    """
    if any(map(_is_compiled, module.modules())):
        return False
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


def _is_compiled(module: nn.Module) -> bool:
    """By module.compile(), by torch.compile or, the whole of it, by Lightning."""
    return (
        module._compiled_call_impl is not None
        or isinstance(module, imports.Compiled)
        or getattr(module, "_compiler_ctx", None) is not None
    )


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
    # given grad_BE, autograd would import sympy: 0.3 s
    return y_BE, *torch.autograd.grad((y_BE * grad_BE).sum(), (x_BD, *learned))


def _suits_onednn(x_BD: Tensor) -> bool:
    return bool(
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and x_BD.device.type == "cpu"
        and x_BD.dtype == torch.float32
        and x_BD.dim() == 2
        and len(x_BD) > 0
        and torch.backends.mkldnn.enabled
        and not torch.is_autocast_enabled("cpu")
    )
