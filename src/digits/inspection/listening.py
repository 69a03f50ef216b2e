"""What a classifier says of each batch. Shapes: B batch, M mistakes, K classes, H W pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from digits.inspection.evidence import LARGEST, MOST_PICTURES, Pixels


class Gatherer:
    """Listens to `module`, whose `forward` gives logits (B, K > 1) or probabilities, until
    `close`. `add` takes what it answered last with the labels.
    """

    def __init__(self, module: nn.Module) -> None:
        self.logits_BK: Tensor | None = None
        self.labels: list[Tensor] = []
        self.probabilities: list[Tensor] = []
        self.worst = Mistakes()
        self.count = 0
        self.handle = module.register_forward_hook(self._keep)

    def close(self) -> None:
        self.handle.remove()

    def _keep(self, module: nn.Module, given: Any, answer: Any) -> None:
        if not isinstance(answer, Tensor) or not answer.is_floating_point():
            return
        if answer.ndim == 2 and answer.shape[1] > 1:
            self.logits_BK = answer.detach()  # with DDP, the step's own result comes by as well

    def add(self, batch: Any) -> bool:
        """Whether the batch is a classifier's: (x, y), and the module has answered to it."""
        logits_BK, self.logits_BK = self.logits_BK, None
        if logits_BK is None or not is_labelled(batch) or len(batch[1]) != len(logits_BK):
            return False
        x_B, y_B = batch[:2]
        probabilities_BK = probabilities(logits_BK)
        confidence_B, predicted_B = probabilities_BK.max(1)
        wrong_B = predicted_B != y_B
        if wrong_B.any():
            places_B = torch.arange(self.count, self.count + len(y_B), device=y_B.device)
            self.worst.add(places_B[wrong_B], confidence_B[wrong_B], x_B, wrong_B)
        self.count += len(y_B)
        self.labels.append(y_B)
        self.probabilities.append(probabilities_BK)
        return True

    def scores(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(labels (N,), probabilities (N, K)) of this process."""
        return torch.cat(self.labels).cpu().numpy(), torch.cat(self.probabilities).cpu().numpy()


class Mistakes:
    """The pictures of the most confident mistakes, and which images they are."""

    def __init__(self) -> None:
        self.places_M = np.zeros(0, np.int64)
        self.confidence_M = np.zeros(0, np.float32)
        self.pictures_M: Pixels | None = None

    def add(self, places_M: Tensor, confidence_M: Tensor, x_B: Any, wrong_B: Tensor) -> None:
        order_M = confidence_M.argsort(descending=True)[:MOST_PICTURES]
        shown = pictures(x_B[wrong_B][order_M]) if isinstance(x_B, Tensor) else None
        self.merge(places_M[order_M].cpu().numpy(), confidence_M[order_M].cpu().numpy(), shown)

    def merge(self, places_M: Any, confidence_M: Any, shown: Pixels | None) -> None:
        if shown is None:
            return
        if self.pictures_M is not None:
            shown = np.concatenate([self.pictures_M, shown])
        places_M = np.concatenate([self.places_M, places_M])
        confidence_M = np.concatenate([self.confidence_M, confidence_M])
        order_M = np.argsort(-confidence_M, kind="stable")[:MOST_PICTURES]
        self.places_M, self.confidence_M = places_M[order_M], confidence_M[order_M]
        self.pictures_M = shown[order_M]


def is_labelled(batch: Any) -> bool:
    """Whether it is (x, y) with a class for each image."""
    if not isinstance(batch, Sequence) or len(batch) < 2 or not isinstance(batch[1], Tensor):
        return False
    return batch[1].ndim == 1 and not batch[1].is_floating_point()


def probabilities(logits_BK: Tensor) -> Tensor:
    """Float32, on the logits' device. What adds up to 1 is taken for probabilities already."""
    logits_BK = logits_BK.float()
    are_already = bool((logits_BK >= 0).all()) and torch.allclose(
        logits_BK.sum(1), torch.ones_like(logits_BK[:, 0]), atol=1e-4
    )
    return logits_BK if are_already else logits_BK.softmax(1)


def pictures(x_B: Tensor) -> Pixels | None:
    """Of images (B, H, W), (B, 1, H, W) or (B, 3, H, W) uint8, with three colours last; None of
    what is no picture. Other numbers than those in [0, 1] are spread over 0 to 255.
    """
    if x_B.ndim == 4 and x_B.shape[1] in (1, 3):
        x_B = x_B[:, 0] if x_B.shape[1] == 1 else x_B.movedim(1, 3)
    elif x_B.ndim != 3:
        return None
    if x_B.dtype != torch.uint8:
        x_B = x_B.detach().float()
        low, high = (float(bound) for bound in x_B.aminmax()) if x_B.numel() else (0.0, 1.0)
        if not (low >= 0 and high <= 1):
            x_B = (x_B - low) / max(high - low, 1e-12)
        x_B = (x_B * 255).round().to(torch.uint8)
    step = -(-max(x_B.shape[1:3]) // LARGEST)
    return np.ascontiguousarray(x_B[:, ::step, ::step].cpu().numpy())
