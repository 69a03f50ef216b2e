"""Logs cut to a step: all that was before it, once, and nothing else."""

from pathlib import Path

import pytest
from faults.common import curves

from digits.training import logs


def csv_logger(folder: Path) -> logs.CSVLogger:
    return logs.CSVLogger(folder, name="", version="")


def test_rows_from_a_step_on_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("a,step,z\n1,9,\n2,10,\n,49,0.5\n3,50,\n4,5")  # the kill cut the last row
    for step, left in (50, "1,9,\r\n2,10,\r\n,49,0.5\r\n"), (10, "1,9,\r\n"):
        csv_logger(tmp_path).go_on_from(step, 0)
        assert path.read_bytes().decode() == f"a,step,z\r\n{left}"
    for _ in range(2):  # then there is none
        csv_logger(tmp_path).go_on_from(0, 0)
        assert not path.exists()


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "\0", "a,step\n1,x\n", "a,step\n1,2,3\n"])
def test_what_is_no_table_of_ours_goes(text: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    csv_logger(tmp_path).go_on_from(50, 0)
    assert not path.exists()


def test_a_table_goes_on(tmp_path: Path) -> None:
    first = csv_logger(tmp_path)
    first.log_metrics({"a": 1.0}, step=1)
    first.save()
    second = csv_logger(tmp_path)
    for step, metrics in (2, {"a": 2.0}), (3, {"b": 3.0}):  # a new column
        second.log_metrics(metrics, step=step)
        second.save()
    assert (tmp_path / "metrics.csv").read_text().split() == [
        "a,b,step", "1.0,,1", "2.0,,2", ",3.0,3",
    ]  # fmt: skip


def tensorboard(folder: Path, steps: range) -> None:
    """A run that goes on at the first of `steps`, and is killed while it logs the last."""
    logger = logs.TensorBoardLogger(folder, name="", version="tensorboard")
    if steps.start:
        logger.go_on_from(steps.start, 0)
    before = set((folder / "tensorboard").glob("events*"))
    for step in steps:
        logger.log_metrics({"x": float(steps.start + step)}, step=step)
    logger.experiment.close()
    (newest,) = set((folder / "tensorboard").glob("events*")) - before
    newest.write_bytes(newest.read_bytes()[:-3])


def test_curves_go_on_in_one_line_without_what_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(2_000_000_000, 0, -86_400))  # it jumps back a day each time
    monkeypatch.setattr("time.time", lambda: next(clock))
    tensorboard(tmp_path, range(9))
    assert curves(tmp_path) == {"x": [(step, step) for step in range(8)]}
    tensorboard(tmp_path, range(5, 9))
    first, second = range(5), range(5, 8)
    points = [(step, step) for step in first] + [(step, 5 + step) for step in second]
    assert curves(tmp_path) == {"x": points}
    tensorboard(tmp_path, range(1, 3))
    assert curves(tmp_path) == {"x": [(0, 0), (1, 2)]}


def test_a_run_that_goes_on_has_one_test_and_each_epoch_once(tmp_path: Path) -> None:
    """Each epoch of three steps; killed after the second, the run goes on within it."""
    for end in (2, 3):
        logger = logs.TensorBoardLogger(tmp_path, name="", version="tensorboard")
        if end == 3:
            logger.go_on_from(4, 1)
        for epoch in range(end - 1, end + 1) if end == 3 else range(1, end + 1):
            logger.log_metrics({"val/acc_best": end / 10}, step=3 * epoch - 1)
            logger.experiment.add_scalar("vs_epoch/val_acc", end / 10, epoch)
        logger.log_metrics({"test/acc": end / 10}, step=3)
        logger.end(succeeded=True)
    old, new = pytest.approx(0.2), pytest.approx(0.3)
    assert curves(tmp_path) == {
        "test/acc": [(3, new)],
        "best/val_acc": [(2, old), (5, new), (8, new)],
        "vs_epoch/val_acc": [(1, old), (2, new), (3, new)],
    }
