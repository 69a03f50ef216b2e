"""Why a fit ended."""

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, Timer

from digits.runs.status import PRUNED

WHOLE = "trainer.max_epochs"


def reason(trainer: Trainer) -> str:
    """The setting, or the callback and its reason, that ended a fit which was not interrupted."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EarlyStopping) and callback.stopping_reason.value:
            said, _, _ = str(callback.stopping_reason_message).partition(" Signaling")
            return f"{type(callback).__name__}: {said}"
        if told := getattr(callback, PRUNED, None):
            return str(told)
        if isinstance(callback, Timer) and _is_up(callback):
            return "trainer.max_time"
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return "trainer.fast_dev_run"
    if trainer.max_steps == trainer.global_step:
        return "trainer.max_steps"
    if trainer.max_epochs == trainer.current_epoch:
        return WHOLE
    return "the model or a callback asked to stop"


def _is_up(timer: Timer) -> bool:
    left = timer.time_remaining()
    return left is not None and left <= 0
