"""The short form of benchmarks/faults: real processes, really killed."""

from pathlib import Path

import pytest
from faults import kills, sources
from faults.common import Row

pytestmark = pytest.mark.slow
SHORT = ("trainer.limit_train_batches=30", "trainer.max_epochs=3", "model.hidden_size=32")
SHORT += ("callbacks.samples=null", "callbacks.report=null")


def survived(row: Row, count: int) -> bool:
    assert row.problems == []
    assert (row.equal, row.survived) == (row.runs, row.injected)
    return row.injected == count


def test_runs_killed_at_a_moment_end_as_if_nothing_had_been(tmp_path: Path) -> None:
    times = [("writing a file", 4), ("keeping the checkpoint before", 1)]
    assert survived(kills.moments(tmp_path, times, shorter=SHORT), 2)


def test_two_processes_that_are_killed_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(kills.SETTINGS, "2 processes", [*kills.SETTINGS["2 processes"], *SHORT])
    assert survived(kills.kills("2 processes", 1, tmp_path), 1)


def test_runs_that_begin_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    crowd, instant = sources.at_once(tmp_path, runs=2, same_instant=2)
    assert survived(crowd, 2)
    assert survived(instant, 2)
