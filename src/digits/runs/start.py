"""Where a run starts: anew, or from a checkpoint that fits it."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from digits.errors import InputError, flat
from digits.exporting import provenance
from digits.files import read_at_most, relative
from digits.model.classifier import DigitClassifier
from digits.runs import integrity, recipe
from digits.runs.checkpoint import Checkpoint, check_fits
from digits.runs.resume import LAST, PREVIOUS

log = logging.getLogger(__name__)

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


def find(cfg: DictConfig, model: DigitClassifier) -> Start | None:
    """Where training begins, if not anew; a test's checkpoint is checked, too. Raises InputError
    for a checkpoint that does not fit.
    """
    if cfg.resume and cfg.trainer.fast_dev_run:
        raise InputError("resume: trainer.fast_dev_run saves nothing; expected it to be false")
    if cfg.ckpt_path is None:
        _check_is_new(cfg.resume)
        return None
    if not cfg.train:
        check_fits(cfg.ckpt_path, model)
        return None
    in_its_folder = bool(cfg.resume) and Path(cfg.ckpt_path) == Path(cfg.resume, LAST)
    begin = _newest_good(cfg, model, in_its_folder)
    last = cfg.trainer.max_epochs
    if last > -1 and (begin.epochs, begin.batch) > (last, 0 if in_its_folder else -1):
        raise InputError(
            f"trainer.max_epochs={last}: {begin.path} has trained {begin.epochs} epochs already; "
            "expected more, to go on"
        )
    if not _is_complete(cfg, begin):
        where = f"epoch {begin.epochs + 1}, batch {begin.batch}"
        log.info("going on at %s, from %s", where, relative(begin.path))
    return begin


def _check_is_new(folder: str | None) -> None:
    """Raises InputError where a run has come to its end, and its checkpoints are gone."""
    if folder is None:
        return
    if "test/acc" in _measured(folder):
        raise InputError(f"resume={folder}: finished, but it has no {LAST}; expected one")
    log.info("nothing was saved yet: %s begins anew", relative(folder))


def _measured(folder: str) -> dict[str, Any]:
    """What metrics.json has, if anything."""
    try:
        path = Path(folder) / "metrics.json"
        measured = json.loads(read_at_most(path, provenance.MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return measured if isinstance(measured, dict) else {}


def says_finished(cfg: DictConfig, begin: Start) -> bool:
    """Whether nothing is left to do in a run's folder, which it says."""
    if not cfg.resume or not _is_complete(cfg, begin):
        return False
    measured = _measured(cfg.resume)
    accuracy = measured.get("test/acc") if measured.get("epochs") == begin.epochs else None
    if cfg.test and accuracy is None:
        return False
    score = f", test accuracy {accuracy:.4f}" if isinstance(accuracy, float) else ""
    is_early = begin.content["should_stop"] and begin.epochs != cfg.trainer.max_epochs
    log.info(
        "%s is finished: %d epochs%s; %s goes on",
        relative(cfg.resume),
        begin.epochs,
        score,
        "callbacks.early_stopping=null" if is_early else "a higher trainer.max_epochs",
    )
    return True


def _is_complete(cfg: DictConfig, begin: Start) -> bool:
    early_stopping = OmegaConf.select(cfg, "callbacks.early_stopping")
    stopped = begin.content["should_stop"] and early_stopping is not None
    return (
        stopped
        or begin.epochs >= cfg.trainer.max_epochs > -1
        or begin.step >= cfg.trainer.max_steps > -1
    )


def _newest_good(cfg: DictConfig, model: DigitClassifier, in_its_folder: bool) -> Start:
    """Where a run goes on: at its ckpt_path or, `in_its_folder` and where that one is damaged or
    another run's, at the one before it, which a line in the log says.

    Raises InputError, for ckpt_path, where it can go on from neither.
    """
    try:
        return _read(cfg.ckpt_path, model, cfg)
    except InputError as error:
        before = Path(cfg.ckpt_path).with_name(PREVIOUS.name)
        if not in_its_folder or not before.is_file():
            raise
        try:
            begin = _read(str(before), model, cfg)
        except InputError:
            raise error from None
        log.warning("%s; going on from %s", error, before.name)
        return begin


def _read(path: str, model: DigitClassifier, cfg: DictConfig) -> Start:
    content = check_fits(path, model)
    if not all(isinstance(content.get(name), kind) for name, kind in TO_GO_ON.items()):
        raise InputError(f"ckpt_path={path}: has weights only; expected one to go on training from")
    before: dict[str, Any] = content["settings"]
    plain_values = str | int | float | None
    if not all(isinstance(k, str) and isinstance(v, plain_values) for k, v in before.items()):
        raise InputError(f"ckpt_path={path}: damaged: its settings are no plain values")
    differ = recipe.differences(before, recipe.decisive(cfg), cfg)
    if differ:
        raise InputError(f"ckpt_path={path}: {'; '.join(differ[:8])}; expected the same to go on")
    try:
        integrity.check(content, model)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise InputError(f"ckpt_path={path}: damaged: {flat(str(error))[:80]}") from error
    return Start(Path(path), content)
