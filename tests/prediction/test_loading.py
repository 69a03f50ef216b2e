"""ONNX files: those that export.py writes are read, others refused in a line. And checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx as format_
import pytest
import safetensors.numpy
import torch
from onnx import ModelProto, TensorProto, helper

from digits.data import idx, mnist
from digits.errors import InputError
from digits.exporting import formats
from digits.files import ROBUST
from digits.model.network import network
from digits.prediction import loading
from digits.prediction.network import Weights, shipped
from digits.runs import archive, checkpoint, contents
from support import hostile, hostile_onnx
from support.commands import EMBEDDED


@pytest.fixture(scope="module")
def small() -> bytes:
    torch.manual_seed(0)
    return formats.WRITE["onnx"](network(8), {"run": "a"})


def saved(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def test_the_exported_file_is_what_onnx_says_it_should_be(small: bytes) -> None:
    model = format_.load_model_from_string(small)
    format_.checker.check_model(model, full_check=True)
    (given,), (made,) = model.graph.input, model.graph.output
    assert given.type == helper.make_tensor_type_proto(TensorProto.UINT8, ["N", 28, 28])
    assert made.type == helper.make_tensor_type_proto(TensorProto.FLOAT, ["N", 10])


def test_an_image_of_ink_and_one_without(small: bytes, tmp_path: Path) -> None:
    """By hand, in float64."""
    torch.manual_seed(0)
    weights = {name: weight.double().numpy() for name, weight in network(8).state_dict().items()}
    hidden = np.maximum(weights["1.weight"].sum(1), 0)  # every pixel 1
    logits = np.stack([np.zeros(10), weights["3.weight"] @ hidden])
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)

    images = np.zeros((2, 28, 28), np.uint8)
    images[1] = 255
    p = loading.from_onnx(saved(tmp_path / "x.onnx", small)).network(images)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p, expected, atol=1e-5)  # parity's limit for logits to 10
    assert expected[1].max() > 0.2  # white is told from black


def test_a_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MAX_BYTES", 100)
    with pytest.raises(InputError, match=r"x.onnx: expected at most 100 bytes$"):
        loading.from_onnx(saved(tmp_path / "x.onnx", bytes(101)))


def test_other_files_and_parts_of_one_are_refused(small: bytes, tmp_path: Path) -> None:
    parts = [small[:size] for size in {*range(0, len(small), 4999), len(small) - 1}]
    for data in (b"hello\n", b"PK\x03\x04", b"ORTM", bytes(100), *parts):
        with pytest.raises(InputError, match=r"^--onnx .*x.onnx: not an ONNX file, or damaged"):
            loading.from_onnx(saved(tmp_path / "x.onnx", data))


DAMAGED = "not an ONNX file, or damaged"
EXPECTED = r"expected uint8 \(N, 28, 28\) to probabilities \(N, 10\); it "
CHANGES: dict[str, tuple[Callable[[ModelProto], None], ...]] = {
    DAMAGED: (
        hostile_onnx.external, hostile_onnx.a_huge_weight, hostile_onnx.no_output,
    ),
    f"{EXPECTED}gives no probabilities": (
        hostile_onnx.of_logits, hostile_onnx.a_product_with_itself, hostile_onnx.of_nothing,
    ),
    f"{EXPECTED}says ": (
        hostile_onnx.of_floats, hostile_onnx.of_32_pixels,
    ),
}  # fmt: skip


@pytest.mark.parametrize("said", CHANGES)
def test_another_model_is_refused(
    said: str, small: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    for change in CHANGES[said]:
        model = format_.load_model_from_string(small)
        change(model)
        with pytest.raises(InputError, match=f"^{said}"):
            loading.onnx_network(model.SerializeToString())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_numpy_gives_torchs_probabilities(dtype: torch.dtype, tmp_path: Path) -> None:
    content = hostile.content()
    content["state_dict"] = {name: w.to(dtype) for name, w in content["state_dict"].items()}
    path = saved(tmp_path / "x.ckpt", hostile.saved(content))
    read = loading.numpy_network(contents.read(path, archive.floats))
    assert read
    images_NHW = np.random.default_rng(0).integers(0, 256, (9, 28, 28), np.uint8)
    net = loading.network_of(path, checkpoint.read(path))
    with torch.inference_mode():
        expected_NK = net(torch.from_numpy(images_NHW) / 255).softmax(1).numpy()
    assert read(images_NHW) == pytest.approx(expected_NK, abs=1e-6)
    assert read(images_NHW[:0]).shape == (0, 10)


WEIGHTS = hostile.content()["state_dict"]
OTHERS: dict[str, Any] = {
    "a convolution": {"hyper_parameters": {"hidden_size": 8, "filters": 4}},
    "an own network": {"settings": {"model.net._target_": "mine.Net"}},
    "an own model": {"settings": {"model._target_": "mine.Model"}},
    "no digits": {"settings": {"data._target_": "x.Letters"}, "Letters": {"class_names": ["a"]}},
    "a weight more": {"state_dict": WEIGHTS | {"more": torch.zeros(1)}},
    "NaN": {"state_dict": WEIGHTS | {"net.1.bias": torch.full((8,), torch.nan)}},
    "whole numbers": {"state_dict": WEIGHTS | {"net.1.bias": torch.zeros(8, dtype=torch.int64)}},
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_networks_are_torchs(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "x.ckpt", hostile.saved(hostile.content(**OTHERS[name])))
    assert loading.numpy_network(contents.read(path, archive.floats)) is None


def shown_weights(state: dict[str, np.ndarray], path: Path) -> str:
    return saved(
        path, safetensors.numpy.save(state, {"test_accuracy": "0.975", "test_images": "40"})
    )


STATE = {name: np.asarray(weight, np.float32) for name, weight in WEIGHTS.items()}
ROWS = {name for name, weight in STATE.items() if weight.ndim == 2}


@pytest.mark.parametrize(("kind", "off"), [("float32", 1e-6), ("float16", 1e-3), ("int8", 1e-2)])
def test_safetensors_hold_the_network(kind: str, off: float, tmp_path: Path) -> None:
    state = dict(STATE)
    for name in ROWS if kind == "int8" else ():
        scale_R = abs(STATE[name]).max(1) / 127
        state |= {name: (STATE[name] / scale_R[:, None]).round(), f"{name}.scale": scale_R}
    state = {name: w.astype(kind) if name in ROWS else w for name, w in state.items()}
    path = shown_weights(state, tmp_path / "x.safetensors")
    images_NHW = np.random.default_rng(0).integers(0, 256, (9, 28, 28), np.uint8)
    expected = Weights.of(STATE)
    assert expected
    found = loading.from_file(path).network(images_NHW)
    assert found == pytest.approx(expected(images_NHW), abs=off)
    assert abs(found - found[:1]).max() > 5 * off  # or this would be no test
    assert str(loading.described(path)) == f"{path}, which reads 97.50 % of 40 test images"


@pytest.mark.parametrize(
    "state",
    [
        {"net.1.bias": STATE["net.1.bias"]},
        STATE | {"net.3.bias": np.full(10, np.nan, np.float32)},
        STATE | {"more": np.zeros(1, np.float32)},
        STATE | {"net.1.weight": np.zeros((8, 784), np.int8)},
    ],
    ids=["missing", "NaN", "more", "int8 without a scale"],
)
def test_other_safetensors_are_refused(state: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = shown_weights(state, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match=rf"^--ckpt {path}: expected one of digits that export"):
        loading.from_file(path)


def test_the_shipped_network_is_known() -> None:
    described = loading.described(str(ROBUST))
    assert str(described) == "robust, which reads 98.94 % of 10,000 test images"
    images, labels = idx.read(EMBEDDED, mnist.TEST)
    right = shipped()(images.numpy()).argmax(1) == labels.numpy()
    assert right.sum() == pytest.approx(9894, abs=1)  # sums in another order may turn a tie
