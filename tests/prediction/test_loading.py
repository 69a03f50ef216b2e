"""Networks from checkpoints and safetensors, and which are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from digits.data import idx, mnist
from digits.errors import InputError
from digits.files import ROBUST
from digits.prediction import loading
from digits.prediction.network import Weights, shipped
from digits.runs import archive, checkpoint, contents
from support import hostile
from support.commands import EMBEDDED


def saved(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


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
