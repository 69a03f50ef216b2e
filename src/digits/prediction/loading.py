"""A Predictor from a checkpoint or, without torch, from an ONNX file."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from digits.images.glyph import Pixels
from digits.prediction.predictor import Predictor


def from_checkpoint(path: str, config_dirs: Sequence[str] = ()) -> Predictor:
    """`config_dirs` have a user's own configs. Raises InputError if `path` is not a checkpoint
    written by train.py, or its model does not read digits.
    """
    import torch

    from digits.prediction import digit_network
    from digits.runs import checkpoint

    net = digit_network.of(path, checkpoint.read(path), config_dirs)

    def network(images_NHW: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            x_BHW = torch.from_numpy(images_NHW).float() / 255
            p_BK: NDArray[np.float32] = net(x_BHW).softmax(1).numpy()
            return p_BK

    return Predictor(network)


def from_onnx(path: str) -> Predictor:
    """Raises InputError if `path` is not a file written by export.py."""
    from digits.prediction import onnx_file

    return Predictor(onnx_file.network_from(path))
