"""Loggers that go on: they drop, or hide, what was logged after the checkpoint."""

import csv
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, TextIO, cast

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import Callback, LightningModule, Trainer, loggers
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from digits.errors import InputError
from digits.files import write_atomically
from digits.inspection import tensorboard
from digits.inspection.tensorboard import BY_EPOCH, writers
from digits.runs.run import BEST
from digits.text import flat, redacted

MAX_BYTES = 1 << 26  # of a table: 10,000 epochs have 2 MB
MAX_ROWS = 1 << 20
MAX_LINE = 1 << 14
PLAIN = (str, int, float, bool)
HOW = ("_partial_", "_convert_", "_recursive_", "scheduler_interval")
END = ".end"  # of the name of the event file that tells how a run ended


class SettingsLogged(Callback):
    """Tells every logger the `settings` that decide the run, as its fit starts, and TensorBoard
    `texts()` by what they are.
    """

    def __init__(self, settings: dict[str, Any], texts: Callable[[], dict[str, str]]) -> None:
        self.settings, self.texts = settings, texts

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
            told = _telling(cast(dict[str, Any], self.hparams))
            self._write(self.experiment, _start(told, Path(self.save_dir)))

    @rank_zero_only
    def end(self, succeeded: bool) -> None:
        """The run is over, and won't go on. It is said in a file of its own: if the run goes on
        after all, that one has to go.
        """
        status = Status.Value("STATUS_SUCCESS" if succeeded else "STATUS_FAILURE")
        with SummaryWriter(self.log_dir, filename_suffix=END) as writer:
            self._write(writer, _end(status))

    @staticmethod
    def _write(writer: SummaryWriter, summary: Any) -> None:
        writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]

    def go_on_from(self, step: int) -> None:
        """Have TensorBoard hide what was logged at `step` (optimizer steps) and after."""
        self._kwargs["purge_step"] = step
        for path in Path(self.log_dir).glob(f"*{END}"):
            path.unlink()
        earlier = sorted(Path(self.log_dir).glob("events.out.tfevents.*"))
        is_later = False
        for number, path in enumerate(earlier):  # read by name: the clock may have jumped back
            is_later = cut_events(path, step, is_later)
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


def _start(settings: dict[str, Any], folder: Path) -> Any:
    """By a name that differs at its beginning. (torch's other two summaries would list the columns
    beforehand, and tell of success at the start.)
    """
    _, start, _ = hparams(settings, {})  # type: ignore[no-untyped-call]
    plugin = start.value[0].metadata.plugin_data
    told = HParamsPluginData.FromString(plugin.content)
    told.session_start_info.group_name = f"{folder.name} {folder.parent.name}"
    plugin.content = told.SerializeToString()
    return start


def _end(status: int) -> Any:
    told = HParamsPluginData(
        version=metadata.PLUGIN_DATA_VERSION, session_end_info=SessionEndInfo(status=status)
    )
    about = metadata.create_summary_metadata(told)
    return Summary(value=[Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=about)])


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


def cut_events(path: Path, step: int, is_later: bool) -> bool:
    """Take out of a file the scores of a test, which will be another one's, and the points by epoch
    (whose steps are epochs: TensorBoard would not hide them) that were written after what has
    `step`, or after all of the file if it `is_later`. Returns whether there was any of those.
    """
    kept, cut = BytesIO(), False
    writer = RecordWriter(kept)
    for raw in RawEventFileLoader(str(path)).Load():
        event = Event.FromString(raw)
        is_by_epoch, is_test = (
            any(value.tag.startswith(kind) for value in event.summary.value)
            for kind in (BY_EPOCH, "test/")
        )
        is_later = is_later or (not is_by_epoch and event.step >= step)
        if is_test or (is_by_epoch and is_later):
            cut = True
        else:
            writer.write(raw)
    if cut:
        write_atomically(path, kept.getbuffer())
    return is_later


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
