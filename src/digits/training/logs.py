"""Loggers that go on: they drop, or hide, what was logged after the checkpoint."""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO
from pathlib import Path
from typing import TextIO

from lightning.fabric.loggers.csv_logs import _ExperimentWriter
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import loggers
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from digits.errors import InputError, flat
from digits.files import write_atomically

MAX_BYTES = 1 << 26  # of a table: 10,000 epochs have 2 MB
MAX_ROWS = 1 << 20
MAX_LINE = 1 << 14


class CSVLogger(loggers.CSVLogger):
    """Lightning's, but for a metrics.csv that is there: it goes on."""

    def go_on_from(self, step: int) -> None:
        """Take out what was logged at `step` (optimizer steps) and after. Raises InputError for a
        table that can't be read.
        """
        try:
            cut_csv(Path(self.log_dir) / "metrics.csv", step)
        except (ValueError, csv.Error) as error:
            raise InputError(
                f"{self.log_dir}: its logs can't be read ({flat(repr(error))[:80]}); "
                "expected a run's, or none"
            ) from error

    @property
    @rank_zero_experiment
    def experiment(self) -> _ExperimentWriter:
        if self._experiment is None:
            self._experiment = _Table(self.log_dir)
        return self._experiment


class TensorBoardLogger(loggers.TensorBoardLogger):
    """Lightning's, but for a run that goes on."""

    def go_on_from(self, step: int) -> None:
        """Have TensorBoard hide what was logged at `step` (optimizer steps) and after."""
        self._kwargs["purge_step"] = step
        earlier = sorted(Path(self.log_dir).glob("events.out.tfevents.*"))
        for number, path in enumerate(earlier):  # read by name: the clock may have jumped back
            path.rename(path.with_name(f"events.out.tfevents.{number:010d}.earlier"))


class _Table(ExperimentWriter):
    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        path = Path(self.metrics_file_path)
        if path.is_file():
            self.metrics_keys = next(_rows(path), [])

    def _check_log_dir_exists(self) -> None:
        """Lightning's deletes the file."""

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        rows = _rows(path)
        before = next(rows)
        places = [before.index(name) if name in before else len(before) for name in fieldnames]
        moved = ([(*row, "")[place] for place in places] for row in rows if len(row) == len(before))
        write_atomically(path, _csv([fieldnames], moved))


def cut_csv(path: Path, step: int) -> None:
    """Leave the rows before `step` (optimizer steps), and no half row that a kill has left. Raises
    ValueError for a table larger than any of ours, csv.Error for none.
    """
    if not path.is_file():
        return
    rows = _rows(path)
    header = next(rows, [])
    at = header.index("step") if "step" in header else len(header)
    kept = [row for row in rows if at < len(row) == len(header) and _is_before(step, row[at])]
    write_atomically(path, _csv([header], kept)) if kept else path.unlink()


def _is_before(step: int, text: str) -> bool:
    return text.isdecimal() and len(text) < 20 and int(text) < step


def _rows(path: Path) -> Iterator[list[str]]:
    """Of a table that may come from anyone, and the header first."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    with path.open(newline="") as file:
        for count, row in enumerate(csv.reader(_lines(file))):
            if count > MAX_ROWS:
                raise ValueError(f"more than {MAX_ROWS} rows")
            yield row


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise ValueError(f"a row of more than {MAX_LINE} characters")
        yield line


def _csv(*parts: Iterable[list[str]]) -> bytes:
    text = StringIO(newline="")
    writer = csv.writer(text)
    for rows in parts:
        writer.writerows(rows)
    return text.getvalue().encode()
