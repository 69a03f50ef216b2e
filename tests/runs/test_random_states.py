import io
import random
from typing import Any

import numpy as np
import pytest
import torch

from digits.runs.checkpoint import check_random_states, random_states, set_random_states

CPU = torch.device("cpu")


def draw() -> list[float]:
    """From each generator; the odd number of normal ones leaves half a pair behind."""
    drawn = [random.gauss(), random.random(), np.random.normal(), np.random.uniform()]
    return [*drawn, torch.rand(()).item(), torch.randn(()).item()]


def test_random_states_come_back_from_a_file_of_plain_data() -> None:
    draw()
    file = io.BytesIO()
    torch.save(random_states(CPU), file)
    expected = [draw() for _ in range(1000)]
    file.seek(0)
    set_random_states(torch.load(file, weights_only=True), CPU)
    assert [draw() for _ in range(1000)] == expected
    assert draw() != expected[0]


def test_trying_states_draws_nothing() -> None:
    states = random_states(CPU)
    expected = draw()
    set_random_states(states, CPU)
    check_random_states(states)
    assert draw() == expected


WORDS = random_states(CPU)["numpy"]["state"]["key"]


@pytest.mark.parametrize(
    ("generator", "state"),
    [
        ("python", (3, torch.full((625,), -1), None)),
        ("python", (3, torch.zeros(624, dtype=torch.int64), None)),
        ("python", (3, torch.zeros(625, dtype=torch.int64), "x")),
        ("numpy", {"state": {"key": -WORDS - 1, "pos": 0}}),
        ("numpy", {"state": {"key": WORDS, "pos": 625}}),
        ("numpy", {"has_gauss": 1 << 62}),
        ("numpy", {"gauss": float("nan")}),
        ("torch", torch.zeros(3, dtype=torch.uint8)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_states_that_no_generator_has_are_refused(generator: str, state: Any) -> None:
    states = random_states(CPU)
    known = states[generator]
    states[generator] = known | state if isinstance(known, dict) else state
    for use in (check_random_states, lambda given: set_random_states(given, CPU)):
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            use(states)
