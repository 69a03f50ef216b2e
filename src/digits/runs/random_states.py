"""The states of the random generators that a run draws from: taken, put back, checked."""

import random
from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor


def random_states(device: torch.device) -> dict[str, Any]:
    """Of python, numpy, torch and, where it is no CPU, `device`: as tensors and numbers."""
    version, words, next_gauss = random.getstate()
    legacy = np.random.get_state(legacy=False)
    assert isinstance(legacy, dict)
    key = torch.tensor(legacy["state"]["key"].tolist())
    states = {
        "python": (version, torch.tensor(words), next_gauss),
        "numpy": legacy | {"state": legacy["state"] | {"key": key}},
        "torch": torch.get_rng_state(),
    }
    if device.type != "cpu":
        states["device"] = torch.get_device_module(device).get_rng_state()
    return states


def set_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Raises KeyError, TypeError, ValueError, AttributeError or RuntimeError for other states than
    `random_states` gives.
    """
    _restore(states, random.setstate, np.random.set_state, torch.set_rng_state)
    if "device" in states and device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states["device"])


def check_random_states(states: dict[str, Any]) -> None:
    """Raises what `set_random_states` does, and leaves the generators alone; those of a GPU are not
    tried.
    """
    other = random.Random(), np.random.RandomState(), torch.Generator()
    _restore(states, other[0].setstate, other[1].set_state, other[2].set_state)
    if "device" in states and states["device"].dtype != torch.uint8:
        raise TypeError("a device's state is bytes")


def _restore(
    states: dict[str, Any],
    python: Callable[[Any], object],
    numpy: Callable[[Any], object],
    of_torch: Callable[[Tensor], object],
) -> None:
    version, words, next_gauss = states["python"]
    legacy = states["numpy"]
    halves = next_gauss, legacy["gauss"]  # of the pairs that normal numbers are drawn in
    if not all(half is None or (type(half) is float and isfinite(half)) for half in halves):
        raise TypeError("what is left of a pair is a number")
    python((version, tuple(_words(words, 625)), next_gauss))
    key, position = legacy["state"]["key"], legacy["state"]["pos"]
    if type(position) is not int or not 0 <= position <= 624:  # numpy would read there
        raise ValueError("a Mersenne Twister's state has 624 words")
    if legacy["has_gauss"] not in (0, 1):
        raise ValueError("has_gauss is 0 or 1")
    key = np.array(_words(key, 624), dtype=np.uint32)
    numpy(legacy | {"state": {"key": key, "pos": position}})
    of_torch(states["torch"])


def _words(tensor: Tensor, count: int) -> list[int]:
    words: list[int] = tensor.tolist()
    if tensor.shape != (count,) or not all(0 <= word < 1 << 32 for word in words):
        raise ValueError("a Mersenne Twister's state has 624 words of 32 bits")
    return words
