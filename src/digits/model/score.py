"""Mean loss and accuracy. Shapes: B batch, K classes."""

from typing import Any

import torch
from torch import Tensor, nn, tensor
from torchmetrics import Metric


class Score(Metric):
    """Mean loss and accuracy (a fraction in [0, 1]) over the images of all processes since `reset`.

    Integer counts keep the accuracy exact, and each image counts once in batches of any size.
    """

    full_state_update = False
    loss_sum: Tensor
    correct: Tensor
    images: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("loss_sum", tensor(0.0), dist_reduce_fx="sum")
        self.add_state("correct", tensor(0), dist_reduce_fx="sum")
        self.add_state("images", tensor(0), dist_reduce_fx="sum")

    def _apply(self, *given: Any, **more: Any) -> nn.Module:
        """Keep the sums in 32 bits when the module is moved to 16 (trainer.precision=bf16-true)."""
        super()._apply(*given, **more)
        for name, default in self._defaults.items():
            wide = torch.promote_types(default.dtype, torch.float32)  # type: ignore[union-attr]
            if default.is_floating_point():  # type: ignore[union-attr]
                self._defaults[name] = default.to(wide)  # type: ignore[union-attr]
                setattr(self, name, getattr(self, name).to(wide))
        return self

    def update(self, loss: Tensor, logits_BK: Tensor, y_B: Tensor) -> None:
        self._add(loss, logits_BK, y_B)

    def add(self, loss: Tensor, logits_BK: Tensor, y_B: Tensor) -> None:
        """Do as `update`, without torchmetrics' wrapper, which doubles the time."""
        self._computed = None
        self._update_count += 1
        self._add(loss, logits_BK, y_B)

    def _add(self, loss: Tensor, logits_BK: Tensor, y_B: Tensor) -> None:
        self.loss_sum.add_(loss.detach(), alpha=len(y_B))
        self.correct.add_((logits_BK.detach().argmax(1) == y_B).sum())
        self.images.add_(len(y_B))  # `+=` would assign to a module, 5 us each

    def compute(self) -> dict[str, Tensor]:
        return self.so_far()

    def so_far(self) -> dict[str, Tensor]:
        """Return the scores over this process's images alone: it waits for no other process."""
        mean_loss, accuracy = self.loss_sum / self.images, self.correct / self.images
        return {"loss": mean_loss, "acc": accuracy, "images": self.images.float()}


def scores_of(module: nn.Module) -> dict[str, Metric]:
    """Return all metrics in `module`, by their names there."""
    return {name: part for name, part in module.named_modules() if isinstance(part, Metric)}
