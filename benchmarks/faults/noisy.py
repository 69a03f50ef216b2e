"""A model whose training draws from each random generator there is, at every step."""

import random

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from digits.model.classifier import DigitClassifier


class NoisyClassifier(DigitClassifier):
    """Shifts (python's generator), brightness (numpy's) and dropped pixels (torch's)."""

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x_BHW, y_B = batch
        x_BHW = x_BHW.roll((random.randint(-2, 2), random.randint(-2, 2)), dims=(1, 2))
        x_BHW = F.dropout(x_BHW * float(np.random.uniform(0.5, 1.0)), 0.2).clamp(max=1.0)
        return super().training_step((x_BHW, y_B), batch_idx)
