"""Logs cut to a step: all that was before it, once, and nothing else."""

from pathlib import Path

import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from trials.common import curves

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
    logger = TensorBoardLogger(folder, name="", version="tensorboard")
    for step in steps:
        logger.log_metrics({"x": float(step)}, step=step)
    logger.experiment.close()


def test_curves_are_cut_and_go_on_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "tensorboard"
    logs.cut_events(folder, 5)  # there is none yet
    tensorboard(tmp_path, range(8))
    (file,) = folder.glob("events*")
    file.write_bytes(file.read_bytes()[:-3])  # the kill cut the last record
    logs.cut_events(folder, 5)
    assert [path.name for path in folder.glob("events*")] == [logs.EARLIER]
    assert curves(tmp_path) == {"x": [(step, step) for step in range(5)]}
    tensorboard(tmp_path, range(5, 9))
    assert curves(tmp_path) == {"x": [(step, step) for step in range(9)]}
    logs.cut_events(folder, 7)
    tensorboard(tmp_path, range(7, 9))
    assert curves(tmp_path) == {"x": [(step, step) for step in range(9)]}


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


@pytest.mark.parametrize("name", ["metrics.csv", "events.out.tfevents.1.x"])
def test_logs_with_a_hole_of_80_gibibytes_are_not_read(name: str, tmp_path: Path) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(80 << 30)
    cut = logs.cut_csv if name == "metrics.csv" else lambda path, step: logs.cut_events(tmp_path, 5)
    with pytest.raises(ValueError, match="more than 67108864 bytes"):
        cut(tmp_path / name, 5)


def test_a_step_of_many_digits_is_none(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("a,step\n1,2\n1," + "0" * 5000 + "\n")  # int() would raise
    logs.cut_csv(path, 50)
    assert path.read_text() == "a,step\n1,2\n"


def killed_at_events(path: Path, missing_ok: bool = False) -> None:
    """Not at what writing a file unlinks, which is gone by then."""
    if path.exists():
        raise KeyboardInterrupt


def test_a_kill_while_curves_are_cut_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensorboard(tmp_path, range(8))
    monkeypatch.setattr(Path, "unlink", killed_at_events)
    with pytest.raises(KeyboardInterrupt):  # the new file is there, and the old one still is
        logs.cut_events(tmp_path / "tensorboard", 5)
    monkeypatch.undo()
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    logs.cut_events(tmp_path / "tensorboard", 5)
    tensorboard(tmp_path, range(5, 9))
    assert curves(tmp_path) == {"x": [(step, step) for step in range(9)]}
