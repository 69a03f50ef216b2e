"""Loggers of a run that goes on: what was logged after the checkpoint is taken out first."""

import csv
from io import BytesIO, StringIO
from pathlib import Path

from lightning.fabric.loggers.csv_logs import _ExperimentWriter
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import loggers
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from digits.files import write_atomically

EARLIER = "events.out.tfevents.0000000000.earlier"  # sorts first, wherever the clock jumps


class CSVLogger(loggers.CSVLogger):
    """Lightning's, but for a metrics.csv that is there: it goes on."""

    @property
    @rank_zero_experiment
    def experiment(self) -> _ExperimentWriter:
        if self._experiment is None:
            self._experiment = _Table(self.log_dir)
        return self._experiment


class _Table(ExperimentWriter):
    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])

    def _check_log_dir_exists(self) -> None:
        """Lightning's deletes the file."""

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        write_atomically(path, _csv(fieldnames, _rows(path)))


def cut_csv(path: Path, step: int) -> None:
    """Leave the rows before `step` (optimizer steps), and no half row that a kill has left."""
    if path.is_file():
        kept = [
            row
            for row in _rows(path)
            if row.get("step", "").isdecimal() and int(row["step"]) < step
        ]
        write_atomically(path, _csv(list(kept[0]), kept)) if kept else path.unlink()


def cut_events(folder: Path, step: int) -> None:
    """Leave what TensorBoard's files have before `step` (optimizer steps), in one file."""
    paths = sorted(folder.glob("events.out.tfevents.*"))
    content = BytesIO()
    writer = RecordWriter(content)
    for record in (record for path in paths for record in RawEventFileLoader(str(path)).Load()):
        event = Event.FromString(record)
        if event.HasField("file_version") or (event.HasField("summary") and event.step < step):
            writer.write(record)
    if paths:
        write_atomically(folder / EARLIER, content.getvalue())
    for path in paths:
        if path.name != EARLIER:
            path.unlink()


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if None not in row.values() and None not in row]


def _csv(fieldnames: list[str], rows: list[dict[str, str]]) -> bytes:
    text = StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
