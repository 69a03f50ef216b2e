"""Ctrl+C before a run or a sweep has begun: one line, and 130."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from support.commands import process

if sys.platform != "linux":
    pytest.skip("a forkserver needs Linux", allow_module_level=True)

RUN = ("trainer.max_epochs=99", "logger=none")
SWEEP = ("-m", "seed=0,1", "trainer.max_epochs=99", "logger=none")


def stopped_after(seconds: float, outputs: Path, *words: str) -> tuple[int, list[str]]:
    """Exit code and lines on stderr, when the terminal sends Ctrl+C to all of it."""
    given = ("src/train.py", *words, f"paths.outputs_dir={outputs}")
    with process(*given, start_new_session=True) as run:
        time.sleep(seconds)
        os.killpg(run.pid, signal.SIGINT)
        _, err = run.communicate(timeout=60)
        return run.returncode, err.splitlines()


def check(code: int, lines: list[str]) -> None:
    assert code == 130
    assert len(lines) == 1, lines
    assert lines[0].startswith("stopped; ")


@pytest.mark.parametrize("words", [RUN, SWEEP], ids=["run", "sweep"])
def test_ctrl_c_in_the_first_second_is_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    check(*stopped_after(0.4, tmp_path, *words))


@pytest.mark.slow
@pytest.mark.parametrize("words", [RUN, SWEEP], ids=["run", "sweep"])
@pytest.mark.parametrize("tenths", [1, 2, 3, 5, 7, 9, 12, 16, 20, 25, 30, 40, 50, 60])
def test_ctrl_c_at_any_moment_is_one_line(
    tenths: int, words: tuple[str, ...], tmp_path: Path
) -> None:
    check(*stopped_after(tenths / 10, tmp_path, *words))
