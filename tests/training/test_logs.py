"""Logs cut to a step: all that was before it, once, and nothing else."""

from pathlib import Path

import pytest
from faults.common import curves

from digits.errors import InputError
from digits.training import logs


def csv_logger(folder: Path) -> logs.CSVLogger:
    return logs.CSVLogger(folder, name="", version="")


def test_rows_from_a_step_on_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("a,step,z\n1,9,\n2,10,\n,49,0.5\n3,50,\n4,5")  # the kill cut the last row
    logs.cut_csv(path, 50)
    assert path.read_text() == "a,step,z\n1,9,\n2,10,\n,49,0.5\n"
    logs.cut_csv(path, 10)
    assert path.read_text() == "a,step,z\n1,9,\n"
    logs.cut_csv(path, 0)
    assert not path.exists()
    logs.cut_csv(path, 0)  # there is none


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "\0", "a,step\n1,x\n", "a,step\n1,2,3\n"])
def test_what_is_no_table_of_ours_goes(text: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    logs.cut_csv(path, 50)
    assert not path.exists()


def test_a_table_goes_on(tmp_path: Path) -> None:
    first = csv_logger(tmp_path)
    first.log_metrics({"a": 1.0}, step=1)
    first.save()
    second = csv_logger(tmp_path)
    second.log_metrics({"a": 2.0}, step=2)
    second.save()
    second.log_metrics({"b": 3.0}, step=3)  # a new column
    second.save()
    assert (tmp_path / "metrics.csv").read_text().split() == [
        "a,b,step",
        "1.0,,1",
        "2.0,,2",
        ",3.0,3",
    ]


def tensorboard(folder: Path, steps: range) -> None:
    """A run that goes on at the first of `steps`, and is killed while it logs the last."""
    logger = logs.TensorBoardLogger(folder, name="", version="tensorboard")
    if steps.start:
        logger.go_on_from(steps.start)
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


def test_a_run_that_goes_on_has_the_points_of_its_last_test_alone(tmp_path: Path) -> None:
    for end in (3, 5):
        logger = logs.TensorBoardLogger(tmp_path, name="", version="tensorboard")
        if end == 5:
            logger.go_on_from(4)  # more than what the test was logged at
        logger.log_metrics({"test/acc": end / 10, "val/acc_best": end / 10}, step=end)
        logger.experiment.close()
    assert curves(tmp_path) == {
        "test/acc": [(5, 0.5)],
        "best/val_acc": [(3, pytest.approx(0.3)), (5, 0.5)],
    }


@pytest.mark.parametrize(
    "text",
    [
        "step\n" + "1\n" * ((1 << 20) + 1),
        "step\n" + "," * ((1 << 14) + 1),
        "step\n" + "1" * (1 << 20),
    ],
    ids=["rows", "columns", "a number"],
)
def test_a_table_larger_than_any_of_ours_is_not_read_to_its_end(text: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match="more than"):
        logs.cut_csv(path, 50)
    assert path.read_text() == text


def test_a_table_with_a_hole_of_80_gibibytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "metrics.csv").open("wb") as file:
        file.truncate(80 << 30)
    with pytest.raises(InputError, match="more than 67108864 bytes"):
        csv_logger(tmp_path).go_on_from(5)


def test_a_step_of_many_digits_is_none(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("a,step\n1,2\n1," + "0" * 5000 + "\n")  # int() would raise
    logs.cut_csv(path, 50)
    assert path.read_text() == "a,step\n1,2\n"
