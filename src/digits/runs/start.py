"""Where a run begins: with new weights, or at a checkpoint that fits it."""

import logging
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from omegaconf import DictConfig, OmegaConf

from digits.errors import InputError
from digits.files import relative
from digits.runs import weights
from digits.runs.checkpoint import check_fits, check_state
from digits.runs.contents import Checkpoint
from digits.runs.folder import RunFolder
from digits.runs.monitors import by_common_names
from digits.runs.recipe import Recipe
from digits.text import flat

log = logging.getLogger(__name__)

TO_GO_ON = (
    dict.fromkeys(("loops", "callbacks", "metrics", "settings"), dict)
    | dict.fromkeys(("optimizer_states", "lr_schedulers", "processes"), list)
    | {"global_step": int, "should_stop": bool}
)
FREE = "(weights=FILE takes the weights alone, with any settings)"


@dataclass
class Start:
    """A run with `settings` begins at the checkpoint `path`, or anew without one. `content` is what
    was read there: use it, since the file may change. If `is_over`, nothing is left to do.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None
    content: Checkpoint = field(default_factory=dict)
    is_over: bool = False

    @property
    def step(self) -> int:
        return int(self.content["global_step"]) if self.content else 0

    @property
    def logged(self) -> int:
        """Return the first step that no logger has seen. Loggers count batches if the model steps
        its optimizers by hand.
        """
        loop = self.content["loops"]["fit_loop"] if self.content else {}
        batches = loop.get("epoch_loop.state_dict", {}).get("_batches_that_stepped", 0)
        automatic = loop.get("epoch_loop.automatic_optimization.optim_progress")
        is_automatic = not automatic or automatic["optimizer"]["step"]["total"]["completed"]
        return self.step if is_automatic else int(batches)

    @property
    def epochs(self) -> int:
        """Return how many epochs are complete."""
        return int(self.content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])

    @property
    def batch(self) -> int:
        """Return how many batches of the next epoch are done."""
        progress = self.content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
        begun = self.content["loops"]["fit_loop"]["epoch_progress"]["current"]["ready"]
        return int(progress["ready"]) if begun > self.epochs else 0


def find(cfg: DictConfig, model: LightningModule) -> Start:
    """Return where the run `cfg` begins: at the newest checkpoint in resume's folder, else at
    ckpt_path, else anew; or the checkpoint to test. Raises InputError if it does not fit.
    """
    if not cfg.train:
        return Start(path=Path(cfg.ckpt_path), content=check_fits(cfg.ckpt_path, model))
    run, recipe = RunFolder(cfg.resume) if cfg.resume else None, Recipe(cfg)
    if run and cfg.trainer.fast_dev_run:
        raise InputError("resume: trainer.fast_dev_run saves nothing; expected it to be false")
    if run and run.has_checkpoint():
        begin = _newest_good(run, model, recipe)
    else:
        if run and any(name.startswith("test") for name in run.measured()):
            raise InputError(f"resume={run.path}: finished, but it has no checkpoint; expected one")
        if run:
            log.info("nothing was saved yet: %s begins anew", relative(run.path))
        if cfg.get("weights"):
            weights.take(cfg.weights, cfg.weights_only_of, model)
        if cfg.ckpt_path is None:
            return Start(recipe.settings)
        begin = _read(Path(cfg.ckpt_path), model, recipe)
    _wait_as(cfg, begin.content)
    may_have_begun = 0 if run else -1  # batches that the epoch after the last may have
    last = cfg.trainer.max_epochs
    if last > -1 and (begin.epochs, begin.batch) > (last, may_have_begun):
        raise InputError(
            f"trainer.max_epochs={last}: {begin.path} has trained {begin.epochs} epochs already; "
            "expected more, to go on"
        )
    stops_early = OmegaConf.select(cfg, "callbacks.early_stopping") is not None
    is_complete = (
        (stops_early and begin.content["should_stop"])
        or begin.epochs >= last > -1
        or begin.step >= cfg.trainer.max_steps > -1
    )
    if not is_complete:
        where = f"epoch {begin.epochs + 1}, batch {begin.batch}"
        log.info("going on at %s, from %s", where, relative(begin.path or ""))
    elif run:
        begin.is_over = _is_over(run, begin, last, cfg.test)
    return begin


def _wait_as(cfg: DictConfig, content: Checkpoint) -> None:
    """Give early stopping's state the patience of `cfg`, and let it wait on if that is longer."""
    tired = EarlyStoppingReason.PATIENCE_EXHAUSTED.value
    for callback in (cfg.get("callbacks") or {}).values():
        if not OmegaConf.is_dict(callback) or "patience" not in callback:
            continue
        for name, state in content["callbacks"].items():
            if f"'monitor': {callback.get('monitor')!r}" in name and "wait_count" in state:
                state["patience"] = callback.patience
                is_longer = state["wait_count"] < callback.patience
                if is_longer and state.get("stopping_reason") == tired:
                    state |= {"stopped_epoch": 0, "stopping_reason_message": None}
                    state["stopping_reason"] = EarlyStoppingReason.NOT_STOPPED.value
                    states = content["callbacks"].values()
                    content["should_stop"] = any(each.get("stopping_reason") for each in states)


def _is_over(run: RunFolder, begin: Start, last: int, to_be_tested: bool) -> bool:
    """Whether a run whose training is complete has nothing left to do; logs it if so."""
    measured = run.measured()
    if measured.get("epochs") != begin.epochs + (begin.batch > 0):  # an epoch that was cut counts
        return False
    if to_be_tested and not any(name.startswith("test") for name in measured):
        return False
    accuracy = by_common_names(measured).get("test/acc")
    score = f", test accuracy {accuracy:.4f}" if isinstance(accuracy, float) else ""
    is_early = begin.content["should_stop"] and begin.epochs != last
    of_stopping = "a higher callbacks.early_stopping.patience, or callbacks.early_stopping=null"
    how = of_stopping if is_early else "a higher trainer.max_epochs"
    where = relative(run.path)
    log.info("%s is finished: %d epochs%s; %s goes on", where, measured["epochs"], score, how)
    return True


def _newest_good(run: RunFolder, model: LightningModule, recipe: Recipe) -> Start:
    """Return the start at last.ckpt or, if that is damaged or does not fit, at previous.ckpt, with
    a line in the log. Raises InputError, for last.ckpt, if neither can be used.
    """
    try:
        return _read(run.last, model, recipe)
    except InputError as error:
        with suppress(InputError):
            begin = _read(run.previous, model, recipe)
            log.warning("%s; going on from %s", error, run.previous.name)
            return begin
        raise


def _read(path: Path, model: LightningModule, recipe: Recipe) -> Start:
    content = check_fits(str(path), model)
    if not all(isinstance(content.get(name), kind) for name, kind in TO_GO_ON.items()):
        raise InputError(
            f"ckpt_path={path}: has weights only; expected a checkpoint that training can go on "
            "from (weights=FILE takes them)"
        )
    before: dict[str, Any] = content["settings"]
    plain_values = str | int | float | None
    if not all(isinstance(k, str) and isinstance(v, plain_values) for k, v in before.items()):
        raise InputError(f"ckpt_path={path}: damaged: its settings are not plain values")
    is_first = os.environ.get("LOCAL_RANK", "0") == "0"  # others have values where it has ${...}
    if is_first and (differ := recipe.differences(before)):
        raise InputError(
            f"ckpt_path={path}: {'; '.join(differ[:8])}; expected the same to go on {FREE}"
        )
    try:
        check_state(content, model)
    except Exception as error:  # half a dozen kinds, for a file that no run wrote
        raise InputError(f"ckpt_path={path}: damaged: {flat(str(error))[:80]}") from error
    return Start(recipe.settings, path, content)
