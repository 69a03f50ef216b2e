"""The reference's kind of network, computed by NumPy. Shapes: N images, P pixels, H hidden units,
K = 10 classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import numpy, safe_open

from digits.data.mnist import CLASSES, SIDE
from digits.files import ROBUST
from digits.images.drawn import Pixels

Floats = NDArray[np.float32]
About = Mapping[str, str]

SCALE = ".scale"  # of a row's int8 weights


@dataclass(frozen=True)
class Weights:
    first_HP: Floats
    bias_H: Floats
    second_KH: Floats
    bias_K: Floats

    @classmethod
    def of(cls, state: Mapping[str, NDArray[np.generic]]) -> "Weights | None":
        """Of a state_dict's arrays; None if it is of another network, or not all are numbers."""
        hidden = len(state.get("net.1.bias", ()))
        shapes = {"net.1.weight": (hidden, SIDE**2), "net.1.bias": (hidden,),
                  "net.3.weight": (CLASSES, hidden), "net.3.bias": (CLASSES,)}  # fmt: skip
        if {name: np.shape(weight) for name, weight in state.items()} != shapes:
            return None
        if not all(each.dtype.kind == "f" and np.isfinite(each).all() for each in state.values()):
            return None
        return cls(*(state[name].astype(np.float32) for name in shapes))

    def hidden(self, images_NHW: Pixels) -> Floats:
        """What the hidden units give (N, H)."""
        x_NP = images_NHW.reshape(-1, SIDE**2).astype(np.float32) / 255
        hidden_NH: Floats = np.maximum(x_NP @ self.first_HP.T + self.bias_H, 0)
        return hidden_NH

    def __call__(self, images_NHW: Pixels) -> Floats:
        """The probabilities (N, K)."""
        logits_NK = self.hidden(images_NHW) @ self.second_KH.T + self.bias_K
        powers_NK = np.exp(logits_NK - logits_NK.max(1, keepdims=True))
        p_NK: Floats = powers_NK / powers_NK.sum(1, keepdims=True)
        return p_NK


def metadata(path: Path) -> About:
    """What a safetensors file says of itself. Raises whatever safetensors raises."""
    with safe_open(path, "np") as file:
        return file.metadata() or {}


def from_safetensors(path: Path) -> Weights:
    """The weights in a file that export.py wrote. Raises ValueError for other files, or whatever
    safetensors raises.
    """
    with safe_open(path, "np") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name in [name for name in state if f"{name}{SCALE}" in state]:
        state[name] = state[name] * state.pop(f"{name}{SCALE}")[:, None]
    if weights := Weights.of(state):
        return weights
    raise ValueError("another network's weights")


def packed(weights: Weights, told: dict[str, str]) -> bytes:
    """A safetensors file of int8 weights with a scale for each row, as export.py writes it."""
    state: dict[str, NDArray[Any]] = {"net.1.bias": weights.bias_H, "net.3.bias": weights.bias_K}
    for name, rows in (("net.1.weight", weights.first_HP), ("net.3.weight", weights.second_KH)):
        scale = np.maximum(np.abs(rows).max(1), np.float32(1e-30)) / 127
        state |= {name: (rows / scale[:, None]).round().astype(np.int8), f"{name}{SCALE}": scale}
    return numpy.save(state, told)


@cache
def shipped() -> Weights:
    return from_safetensors(ROBUST)
