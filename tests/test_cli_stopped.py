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


MOMENTS = [(RUN, 1), (RUN, 7), (RUN, 12), (RUN, 20), (RUN, 30), (RUN, 45)]
MOMENTS += [(SWEEP, 2), (SWEEP, 9), (SWEEP, 16), (SWEEP, 25), (SWEEP, 40)]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "tenths"), MOMENTS, ids=range(len(MOMENTS)))
def test_ctrl_c_at_any_moment_is_one_line(
    tenths: int, words: tuple[str, ...], tmp_path: Path
) -> None:
    check(*stopped_after(tenths / 10, tmp_path, *words))
