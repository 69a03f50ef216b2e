"""Finding, reading and checking a checkpoint as data: nothing in the file is ever run."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from digits.errors import InputError
from digits.files import write_atomically
from digits.model import DigitClassifier

Checkpoint = dict[str, Any]
PARTS = ("state_dict", "hyper_parameters", "best_scores")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's own writes into /tmp and, from there to another disk, over the old file."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        content = BytesIO()
        torch.save(checkpoint, content)
        write_atomically(Path(path), content.getvalue())


class BestCheckpoint(ModelCheckpoint):
    """best.ckpt. A resumed run, whose folder is new, takes the best so far with it."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.ckpt_path is None or self.dirpath is None:
            return
        before = Path(trainer.ckpt_path).with_name(f"{self.filename}.ckpt")
        here = Path(self.dirpath) / before.name
        if before.is_file() and before != here:
            assert isinstance(pl_module, DigitClassifier)
            score = torch.tensor(pl_module.best[f"{self.monitor}_best"])
            write_atomically(here, before.read_bytes())
            self.best_k_models = {str(here): score}
            self.best_model_path = self.kth_best_model_path = str(here)
            self.best_model_score = self.kth_value = score


def find(ckpt_path: str, outputs_dir: str) -> Path:
    """The file `ckpt_path` names; `latest` is last.ckpt of the newest run under `outputs_dir`.

    Raises InputError where there is no such file.
    """
    if ckpt_path == "latest":
        return _latest(Path(outputs_dir))
    path = Path(ckpt_path)
    if path.is_dir():
        raise InputError(f"ckpt_path={path}: a folder; expected a .ckpt file in it, or latest")
    if not path.is_file():
        raise InputError(f"ckpt_path={path}: no such file; expected a .ckpt file, or latest")
    return path


def _latest(outputs_dir: Path) -> Path:
    checkpoints = outputs_dir.glob("**/checkpoints/last.ckpt")
    newest = max(checkpoints, key=lambda path: path.stat().st_mtime_ns, default=None)
    if newest is None:
        raise InputError(f"ckpt_path=latest: no run under {outputs_dir} has a checkpoint yet")
    return newest


def judged(last: Path) -> Path:
    """The checkpoint a run was tested with: best.ckpt if it had validation, else last.ckpt."""
    best = last.with_name("best.ckpt")
    return best if best.is_file() else last


def read(path: Path) -> Checkpoint:
    """A checkpoint's content on the CPU. Raises InputError for any other file."""
    try:
        with path.open("rb") as file:
            content = _load(file)
    except OSError as error:
        raise InputError(f"ckpt_path={path}: {error.strerror}; expected a readable file") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(p), dict) for p in PARTS):
        raise InputError(f"ckpt_path={path}: not a checkpoint of train.py's, or damaged")
    return content


def _load(file: BinaryIO) -> Any:
    """What torch makes of a file, or None; it raises half a dozen kinds of errors."""
    with warnings.catch_warnings(action="ignore"):  # its remarks on old pickle protocols
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception:
            return None


def check_fits(path: Path, model: DigitClassifier) -> None:
    """Raises InputError unless `path` is a checkpoint whose weights fit `model`, naming the first
    that does not.
    """
    theirs, ours = read(path)["state_dict"], model.state_dict()
    for name in sorted(ours.keys() | theirs.keys()):
        there, here = _shape(theirs.get(name)), _shape(ours.get(name))
        if there != here:
            raise InputError(
                f"ckpt_path={path}: another architecture: {name} is {there}, expected {here}"
            )


def model_from(path: Path) -> DigitClassifier:
    """A model with the checkpoint's settings, which its weights fit. Raises InputError where there
    is none.
    """
    settings = read(path)["hyper_parameters"]
    hidden_size = settings.get("hidden_size")
    if (
        settings.keys() != {"hidden_size"}
        or type(hidden_size) is not int
        or not 0 < hidden_size <= 1 << 16
    ):
        raise InputError(f"ckpt_path={path}: unknown settings {settings}; expected a hidden_size")
    model = DigitClassifier(hidden_size)
    check_fits(path, model)
    return model


def written_by(trainer: L.Trainer) -> Path | None:
    """The checkpoint to judge a fit by: its best.ckpt, else its last.ckpt, else None."""
    callbacks = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
    paths = [Path(c.best_model_path) for c in callbacks if c.best_model_path]
    written = {path.name: path for path in paths}
    return written.get("best.ckpt", written.get("last.ckpt"))


def _shape(weight: object) -> str:
    return "x".join(map(str, weight.shape)) if isinstance(weight, Tensor) else "absent"
