"""What an ONNX file of export.py's is."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from digits.exporting import formats
from digits.model.network import network


@pytest.fixture(scope="module")
def small() -> bytes:
    torch.manual_seed(0)
    return formats.WRITE["onnx"](network(8), {"run": "a"})


def test_the_exported_file_is_what_onnx_says_it_should_be(small: bytes) -> None:
    model = onnx.load_model_from_string(small)
    onnx.checker.check_model(model, full_check=True)
    (given,), (made,) = model.graph.input, model.graph.output
    assert given.type == helper.make_tensor_type_proto(TensorProto.UINT8, ["N", 28, 28])
    assert made.type == helper.make_tensor_type_proto(TensorProto.FLOAT, ["N", 10])


def test_an_image_of_ink_and_one_without(small: bytes) -> None:
    """By hand, in float64."""
    torch.manual_seed(0)
    weights = {name: weight.double().numpy() for name, weight in network(8).state_dict().items()}
    hidden = np.maximum(weights["1.weight"].sum(1), 0)  # every pixel 1
    logits = np.stack([np.zeros(10), weights["3.weight"] @ hidden])
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)

    images = np.zeros((2, 28, 28), np.uint8)
    images[1] = 255
    p = formats.READ["onnx"](small, network(8))(images)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p, expected, atol=1e-5)  # parity's limit for logits to 10
    assert expected[1].max() > 0.2  # white is told from black
