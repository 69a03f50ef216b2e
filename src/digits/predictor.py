"""Drawings to digits and probabilities: what predict, serve and export share. Imports no torch
until a checkpoint is read. Shapes: N images, H W pixels, K = 10 classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits.glyph import Box, Glyph, Pixels
from digits.image import Drawing

Network = Callable[[Pixels], NDArray[np.float32]]  # uint8 (N, 28, 28) to probabilities (N, 10)


@dataclass(frozen=True)
class Prediction:
    """`digit` and `probability` are None for a blank image and for one of several digits, which are
    then in `parts`. `note` is empty, "blank", "not sure" or "2 digits". `seen` is what the model
    was shown.
    """

    digit: int | None
    probability: float | None
    probabilities: tuple[float, ...] | None
    note: str
    box: Box | None
    seen: Pixels | None
    parts: tuple["Prediction", ...] = ()


class Predictor:
    """`predict` may be called from any thread, one at a time."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def predict(self, drawings: Sequence[Drawing]) -> list[Prediction]:
        """A prediction for each, through the network in one batch."""
        return [self._one(drawing.whole) for drawing in drawings]

    def _one(self, glyph: Glyph | None) -> Prediction:
        if glyph is None:
            return Prediction(None, None, None, "blank", None, None)
        p_K = self.network(glyph.pixels_HW[None])[0]
        digit = int(p_K.argmax())
        return Prediction(
            digit, float(p_K[digit]), tuple(map(float, p_K)), "", glyph.box, glyph.pixels_HW
        )


def from_checkpoint(path: str) -> Predictor:
    """Raises InputError where there is no checkpoint of ours."""
    import torch

    from digits import checkpoint

    net = checkpoint.network_from(path)

    def network(images_NHW: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            x_BHW = torch.from_numpy(np.array(images_NHW)).float() / 255
            probabilities: NDArray[np.float32] = net(x_BHW).softmax(1).numpy()
            return probabilities

    return Predictor(network)
