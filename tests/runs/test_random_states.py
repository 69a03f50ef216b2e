import io
import random

import numpy as np
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
