"""Writing checkpoints whole; reading them as data: nothing in the file is ever run."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from digits.datamodule import MNISTDataModule
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
        assert isinstance(pl_module, DigitClassifier)
        best = pl_module.best.get(f"{self.monitor}_best")
        if trainer.ckpt_path is None or self.dirpath is None or best is None:
            return
        before = Path(trainer.ckpt_path).with_name(f"{self.filename}.ckpt")
        here = Path(self.dirpath) / before.name
        if before.is_file() and before != here:
            write_atomically(here, before.read_bytes())
            self.best_k_models = {str(here): torch.tensor(best)}
            self.best_model_path = self.kth_best_model_path = str(here)
            self.best_model_score = self.kth_value = torch.tensor(best)


def read(path: str) -> Checkpoint:
    """A checkpoint's content on the CPU. Raises InputError for any other file."""
    try:
        with Path(path).open("rb") as file:
            content = _load(file)
    except OSError as error:
        raise InputError(f"ckpt_path={path}: {error.strerror}; expected a readable file") from error
    if not _is_ours(content):
        raise InputError(f"ckpt_path={path}: not a checkpoint of train.py's, or damaged")
    return cast(Checkpoint, content)


def _is_ours(content: object) -> bool:
    if not isinstance(content, dict) or "pytorch-lightning_version" not in content:
        return False
    weights, settings, scores = (content.get(part) for part in PARTS)
    return (
        isinstance(weights, dict)
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in weights.items())
        and isinstance(settings, dict)
        and isinstance(scores, dict)
        and all(isinstance(score, float) for score in scores.values())
    )


def _load(file: BinaryIO) -> Any:
    """What torch makes of a file, or None; it raises half a dozen kinds of errors."""
    with warnings.catch_warnings(action="ignore"):  # its remarks on old pickle protocols
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception:
            return None


def check_fits(path: str, model: DigitClassifier) -> Checkpoint:
    """The checkpoint at `path`. Raises InputError unless its weights fit `model`, naming the first
    that does not.
    """
    content = read(path)
    theirs, ours = content["state_dict"], model.state_dict()
    for name in sorted(ours.keys() | theirs.keys()):
        there, here = _shape(theirs.get(name)), _shape(ours.get(name))
        if there != here:
            raise InputError(
                f"ckpt_path={path}: another architecture: {name} is {there}, expected {here}"
            )
    return content


def model_from(path: str) -> DigitClassifier:
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


def check_resumes(
    path: str, model: DigitClassifier, datamodule: MNISTDataModule, max_epochs: int
) -> None:
    """Raises InputError unless a run of these can go on from `path` and has epochs to go."""
    content = check_fits(path, model)
    if not {"loops", "optimizer_states", "optimizer", "MNISTDataModule"} <= content.keys():
        raise InputError(f"ckpt_path={path}: has weights only; expected one to go on training from")
    pairs = {
        "model.optimizer": (content["optimizer"], model.optimizer_settings()),
        "data": (content["MNISTDataModule"], datamodule.state_dict()),
    }
    differ = [
        f"{group}.{key} was {old[key]}, is {new[key]}"
        for group, (old, new) in pairs.items()
        for key in old.keys() & new.keys()
        if old[key] != new[key]
    ]
    if differ:
        raise InputError(
            f"ckpt_path={path}: {'; '.join(sorted(differ))}; expected the same to go on"
        )
    epochs = content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if epochs >= max_epochs > -1:
        raise InputError(
            f"trainer.max_epochs={max_epochs}: {path} has trained {epochs} epochs already; "
            "expected more, to go on"
        )


def judged_by(trainer: L.Trainer) -> Path | None:
    """The checkpoint a test was of, or the one to judge a fit by: its best.ckpt, else last.ckpt."""
    if trainer.state.fn == TrainerFn.TESTING:
        return Path(trainer.ckpt_path) if trainer.ckpt_path else None
    callbacks = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
    written = {
        Path(c.best_model_path).name: Path(c.best_model_path)
        for c in callbacks
        if c.dirpath and Path(c.best_model_path).parent == Path(c.dirpath)  # not a resumed one's
    }
    return written.get("best.ckpt", written.get("last.ckpt"))


def _shape(weight: object) -> str:
    return "x".join(map(str, weight.shape)) if isinstance(weight, Tensor) else "absent"
