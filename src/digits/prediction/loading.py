"""A Predictor from a checkpoint, with torch, or from an ONNX file, without. What each needs is
imported when it is asked for.
"""

import numpy as np
from numpy.typing import NDArray

from digits.images.glyph import Pixels
from digits.prediction.predictor import Predictor


def from_checkpoint(path: str) -> Predictor:
    """Raises InputError where there is no checkpoint of ours."""
    import torch

    from digits.runs import checkpoint

    net = checkpoint.digits_network_of(path, checkpoint.read(path))

    def network(images_NHW: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            x_BHW = torch.from_numpy(images_NHW).float() / 255
            p_BK: NDArray[np.float32] = net(x_BHW).softmax(1).numpy()
            return p_BK

    return Predictor(network)


def from_onnx(path: str) -> Predictor:
    """Without torch. Raises InputError where there is no file of export.py's."""
    from digits.prediction import onnx_file

    return Predictor(onnx_file.network_from(path))
