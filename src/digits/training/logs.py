"""Loggers that go on: they drop what was logged after the checkpoint."""

import csv
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, cast

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import Callback, LightningModule, Trainer, loggers
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.metadata import SESSION_END_INFO_TAG
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams

from digits.errors import InputError
from digits.files import read_at_most, write_atomically
from digits.inspection import tensorboard
from digits.inspection.looks import only_looks
from digits.inspection.tensorboard import BY_EPOCH, writers
from digits.runs.monitors import BEST
from digits.text import flat, redacted

MAX_BYTES = 1 << 26  # of a table: 10,000 epochs have 2 MB
PLAIN = (str, int, float, bool)
HOW = ("_partial_", "_convert_", "_recursive_", "scheduler_interval")


class SettingsLogged(Callback):
    """Tells every logger the `settings` that decide the run, as its fit starts, and TensorBoard
    `texts()` by what they are.
    """

    def __init__(self, settings: dict[str, Any], texts: Callable[[], dict[str, str]]) -> None:
        self.settings, self.texts = settings, texts

    @only_looks
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for logger in trainer.loggers:
            logger.log_hyperparams(dict(self.settings))
        for writer in writers(trainer):
            for tag, words in self.texts().items():
                tensorboard.text(writer, tag, words, trainer.global_step)


class CSVLogger(loggers.CSVLogger):
    """Lightning's, but for a metrics.csv that is there: it goes on."""

    @rank_zero_only
    def log_hyperparams(self, params: Any = None) -> None:
        super().log_hyperparams(_plain(params or {}))

    def go_on_from(self, step: int, epochs: int) -> None:
        """Take out what was logged at `step` (optimizer steps) and after. Raises InputError for a
        table that can't be read.
        """
        path = Path(self.log_dir) / "metrics.csv"
        if not path.exists():
            return
        try:
            header, rows = _rows(path)
        except (OSError, ValueError, csv.Error) as error:
            raise InputError(
                f"{self.log_dir}: its logs can't be read ({flat(repr(error))[:80]}); "
                "expected a run's, or none"
            ) from error
        kept = [row for row in rows if row["step"].isdecimal() and float(row["step"]) < step]
        write_atomically(path, _csv(header, kept)) if kept else path.unlink()

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = _Table(self.log_dir)
        return self._experiment


class TensorBoardLogger(loggers.TensorBoardLogger):
    """Lightning's, but for a run that goes on, and for the HPARAMS tab. Its columns are the
    settings of `log_hyperparams` and all scores that are logged.
    """

    told = False  # whether TensorBoard has the settings

    @rank_zero_only
    def log_hyperparams(self, params: Any, metrics: Any = None, step: int | None = None) -> None:
        """Of `params`, a dict, the plain values: TensorBoard gets them with the first scores. (It
        takes one list only, and Lightning, too, logs what a model calls its hyper-parameters.)
        """
        self.hparams.update(_plain(params))

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Without `epoch`: it would be the first of all charts, and vs_epoch/ has its place. A best
        score, by which a sweep ranks, is the first: the HPARAMS tab shows five.
        """
        told = {_first(name): metrics[name] for name in metrics if name != "epoch"}
        super().log_metrics(told, step)
        if not self.told:
            self.told = True
            _, start, _ = hparams(_telling(cast(dict[str, Any], self.hparams)), {})  # type: ignore[no-untyped-call]
            run = Path(self.save_dir)  # by a name that differs at its beginning
            self._write(start, "session_start_info", group_name=f"{run.name} {run.parent.name}")

    @rank_zero_only
    def end(self, succeeded: bool) -> None:
        """The run is over, and won't go on."""
        _, _, end = hparams({}, {})  # type: ignore[no-untyped-call]
        status = Status.Value("STATUS_SUCCESS" if succeeded else "STATUS_FAILURE")
        self._write(end, "session_end_info", status=status)
        self.experiment.close()

    @only_looks
    def _write(self, summary: Any, part: str, **values: Any) -> None:
        """One of torch's three summaries, with `values` in a part of it. (All three would list the
        columns beforehand, and tell of success at the start.)
        """
        plugin = summary.value[0].metadata.plugin_data
        told = HParamsPluginData.FromString(plugin.content)
        for name, value in values.items():
            setattr(getattr(told, part), name, value)
        plugin.content = told.SerializeToString()
        self.experiment._get_file_writer().add_summary(summary)

    def go_on_from(self, step: int, epochs: int) -> None:
        """Take out what was logged at `step` (optimizer steps) and after, or by later `epochs`."""
        earlier = sorted(Path(self.log_dir).glob("events.out.tfevents.*"))
        for number, path in enumerate(earlier):  # read by name: the clock may have jumped back
            cut_events(path, step, epochs)
            path.rename(path.with_name(f"events.out.tfevents.{number:010d}.earlier"))


def _plain(params: Any) -> dict[str, Any]:
    """The plain values of a dict, without secrets."""
    return {
        name: redacted(value) if isinstance(value, str) else value
        for name, value in dict(params).items()
        if isinstance(value, PLAIN)
    }


def _telling(settings: dict[str, Any]) -> dict[str, Any]:
    """What may tell runs apart: without `lr` where there is `model.optimizer.lr`, of a class its
    name, and nothing of how it is made.
    """
    last_parts = {name.rpartition(".")[2] for name in settings if "." in name}
    told = {}
    for name, value in settings.items():
        owner, _, part = name.rpartition(".")
        if part == "_target_":
            told[owner or "model"] = str(value).rpartition(".")[2]
        elif name not in last_parts and part not in HOW:
            told[name] = value
    return told


def _first(name: str) -> str:
    stage, _, score = name.removesuffix(BEST).partition("/")
    return f"best/{stage}_{score}" if score and name.endswith(BEST) else name


class _Table(ExperimentWriter):
    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        path = Path(self.metrics_file_path)
        if path.is_file():
            self.metrics_keys = _rows(path)[0]

    def _check_log_dir_exists(self) -> None:
        """Lightning's deletes the file."""

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        """As Lightning does, but atomically."""
        path = Path(self.metrics_file_path)
        write_atomically(path, _csv(fieldnames, _rows(path)[1]))


def cut_events(path: Path, step: int, epochs: int) -> None:
    """Leave what was logged before `step`, and of the first `epochs` (some points have epochs for
    steps). How the run ended, and the scores of a test, will be others.
    """
    kept, is_cut = BytesIO(), False
    writer = RecordWriter(kept)
    for raw in RawEventFileLoader(str(path)).Load():
        event = Event.FromString(raw)
        tags = [value.tag for value in event.summary.value]
        is_by_epoch = any(tag.startswith(BY_EPOCH) for tag in tags)
        is_late = event.step > epochs if is_by_epoch else event.step >= step
        if is_late or any(tag.startswith(("test/", SESSION_END_INFO_TAG)) for tag in tags):
            is_cut = True
        else:
            writer.write(raw)
    if is_cut:
        write_atomically(path, kept.getbuffer())


def _rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The header, and the rows that have a step and are whole: a kill may have cut one. Raises
    ValueError for a table larger than any of ours, csv.Error for none.
    """
    table = csv.DictReader(StringIO(read_at_most(path, MAX_BYTES).decode(), newline=""))
    rows = [row for row in table if "step" in row and None not in (*row, *row.values())]
    return list(table.fieldnames or []), rows


def _csv(header: list[str], rows: Iterable[Mapping[str, str]]) -> bytes:
    text = StringIO(newline="")
    writer = csv.DictWriter(text, header)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
