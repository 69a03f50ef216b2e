"""Finding out whether a checkpoint is one of ours, and fits: nothing in the file is ever run."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning as L
from lightning.pytorch.callbacks import Checkpoint as CheckpointCallback
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from digits import plain
from digits.errors import InputError
from digits.model import DigitClassifier

log = logging.getLogger(__name__)

Checkpoint = dict[str, Any]
PARTS = {"state_dict": Tensor, "hyper_parameters": str | int | float, "best_scores": float}
TO_GO_ON = {
    "loops": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
    "callbacks": dict,
    "global_step": int,
    "processes": list,
    "metrics": dict,
    "should_stop": bool,
    "settings": dict,
}
ABSENT = "absent"


@dataclass
class Start:
    """Where a run goes on from: a file, and what is in it."""

    path: Path
    content: Checkpoint

    @property
    def step(self) -> int:
        return int(self.content["global_step"])

    @property
    def epochs(self) -> int:
        """Those that are complete."""
        return int(self.content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])

    @property
    def batch(self) -> int:
        """How many batches of the next epoch are done."""
        progress = self.content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
        begun = self.content["loops"]["fit_loop"]["epoch_progress"]["current"]["ready"]
        return int(progress["ready"]) if begun > self.epochs else 0


def read(path: str) -> Checkpoint:
    """A checkpoint's content on the CPU. Raises InputError for any other file."""
    try:
        content = plain.load(Path(path))
    except OSError as error:
        raise InputError(f"ckpt_path={path}: {error.strerror}; expected a readable file") from error
    except InputError as error:
        raise InputError(f"ckpt_path={path}: {error}") from error
    if not _is_ours(content):
        raise InputError(f"ckpt_path={path}: not a checkpoint of train.py's, or damaged")
    return cast(Checkpoint, content)


def _is_ours(content: object) -> bool:
    if not isinstance(content, dict) or "pytorch-lightning_version" not in content:
        return False
    return all(
        isinstance(part := content.get(name), dict)
        and all(isinstance(key, str) and isinstance(value, kind) for key, value in part.items())
        for name, kind in PARTS.items()
    )


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
                f"ckpt_path={path}: another architecture: {name[:80]} is {there}, expected {here}"
            )
        if not theirs[name].isfinite().all():
            raise InputError(f"ckpt_path={path}: {name} has values that are not finite")
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
        shown = str(settings)[:80]
        raise InputError(f"ckpt_path={path}: unknown settings {shown}; expected a hidden_size")
    model = DigitClassifier(hidden_size)
    check_fits(path, model)
    return model


def start(
    path: str, model: DigitClassifier, settings: dict[str, Any], in_its_folder: bool
) -> Start:
    """Where a run with `settings` goes on: at `path` or, `in_its_folder` and where that one is
    damaged or another run's, at the one before it, which a line in the log says.

    Raises InputError, for `path`, where it can go on from neither.
    """
    try:
        return _start(path, model, settings)
    except InputError as error:
        before = Path(path).with_name("previous.ckpt")
        if not in_its_folder or not before.is_file():
            raise
        try:
            begin = _start(str(before), model, settings)
        except InputError:
            raise error from None
        log.warning("%s; going on from %s", error, before.name)
        return begin


def _start(path: str, model: DigitClassifier, settings: dict[str, Any]) -> Start:
    content = check_fits(path, model)
    if not all(isinstance(content.get(name), kind) for name, kind in TO_GO_ON.items()):
        raise InputError(f"ckpt_path={path}: has weights only; expected one to go on training from")
    before: dict[str, Any] = content["settings"]
    differ = [
        f"{key[:80]} was {_shown(before.get(key, ABSENT))}, is {_shown(settings.get(key, ABSENT))}"
        for key in sorted(before.keys() | settings.keys())
        if before.get(key, ABSENT) != settings.get(key, ABSENT)
    ]
    if differ:
        raise InputError(f"ckpt_path={path}: {'; '.join(differ[:8])}; expected the same to go on")
    begin = Start(Path(path), content)
    try:
        _ = begin.step, begin.epochs, begin.batch
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"ckpt_path={path}: damaged: no {error}") from error
    return begin


def judged_by(trainer: L.Trainer) -> Path | None:
    """The checkpoint a test was of, or the one to judge a fit by: its best.ckpt, else last.ckpt."""
    if trainer.state.fn == TrainerFn.TESTING:
        return Path(trainer.ckpt_path) if trainer.ckpt_path else None
    written = {
        path.name: path
        for callback in trainer.callbacks  # type: ignore[attr-defined]
        if isinstance(callback, CheckpointCallback)
        and (path := Path(getattr(callback, "best_model_path", ""))).is_file()
    }
    return written.get("best.ckpt", written.get("last.ckpt"))


def _shape(weight: object) -> str:
    return "x".join(map(str, weight.shape)) if isinstance(weight, Tensor) else "absent"


def _shown(value: object) -> str:
    return str(value)[:80] if isinstance(value, str | int | float | None) else "of another kind"
