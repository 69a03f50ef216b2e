"""RMSprop as torch computes it, bit for bit, in half the time on a CPU."""

from collections.abc import Callable
from typing import Any

import torch

TINY = torch.finfo(torch.float32).tiny


class RMSprop(torch.optim.RMSprop):
    """torch.optim.RMSprop, faster on a CPU in float32 without momentum and weight decay.

    torch's square root is MKL's, which takes 5 times as long over zeros, and 30 over denormals, as
    over other numbers. Of MNIST's 784 pixels 67 are zero in all training images, and 24 % in all
    but 0.1 % of them: the averages of their weights' gradients stay zero, or fade into denormals.
    Bounding them from below by 1e-38 changes no result: eps is 1e-7.

    Hinton, Neural Networks for Machine Learning, lecture 6e (2012).
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        if not all(_is_plain(group) for group in self.param_groups):
            return super().step(closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group)
        return loss

    def _update(self, weight: torch.Tensor, grad: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:  # what torch's step keeps, and a checkpoint holds
            state["step"] = torch.zeros(())
            state["square_avg"] = torch.zeros_like(weight)
        state["step"] += 1
        square_avg = state["square_avg"]
        square_avg.mul_(group["alpha"]).addcmul_(grad, grad, value=1 - group["alpha"])
        root = square_avg.clamp_min(TINY).sqrt_().add_(group["eps"])
        weight.addcdiv_(grad, root, value=-group["lr"])


def _is_plain(group: dict[str, Any]) -> bool:
    asks_more = ("momentum", "weight_decay", "centered", "maximize", "capturable", "differentiable")
    return (
        not any(group[option] for option in asks_more)
        and group["eps"] > 1e-11  # beside which sqrt(TINY), 1.1e-19, is nothing in float32
        and not isinstance(group["lr"], torch.Tensor)
        and all(p.device.type == "cpu" and p.dtype == torch.float32 for p in group["params"])
    )
