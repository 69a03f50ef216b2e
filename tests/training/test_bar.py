import logging
import os
import pty
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import lightning as L
import pytest
from lightning.pytorch.demos.boring_classes import BoringModel

from digits.training.bar import EpochBar
from digits.training.scores import Scored
from digits.training.trainer import quieten_lightning


class Talkative(BoringModel):
    """Says something in the middle of an epoch."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if batch_idx == 4:
            logging.getLogger("somebody").warning("the learning rate is high")
        return super().training_step(batch, batch_idx)


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """sys.stdout and sys.stderr write to one. The lines on its screen, afterwards."""
    ours, theirs = pty.openpty()
    lines: list[str] = []
    with monkeypatch.context() as patch, os.fdopen(theirs, "w") as stream:
        patch.setattr(sys, "stdout", stream)
        patch.setattr(sys, "stderr", stream)
        yield lines
    written = b""
    with suppress(OSError):  # what Linux says when the other end is closed
        while chunk := os.read(ours, 1 << 16):
            written += chunk
    os.close(ours)
    lines += [_seen(line) for line in written.decode().split("\r\n")]


def _seen(line: str) -> str:
    cells = ""
    for part in line.split("\r"):
        cells = part + cells[len(part) :]
    return cells.rstrip()


@pytest.mark.parametrize("stream", ["stdout", "stderr", "logging's last resort"])
def test_a_message_in_the_middle_of_a_bar_has_a_line_of_its_own(
    stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logging.getLogger("somebody")
    monkeypatch.setattr(log, "propagate", False)
    with terminal(monkeypatch) as lines:
        handlers = [logging.StreamHandler(getattr(sys, stream))] if hasattr(sys, stream) else []
        monkeypatch.setattr(log, "handlers", handlers)
        fit_for_two_epochs()
    assert [line.partition("█")[0] for line in lines] == [
        "the learning rate is high",
        "Epoch 1/2 ",
        "the learning rate is high",
        "Epoch 2/2 ",
        "",
    ]
    assert all(handler.filters == [] for handler in handlers)


def fit_for_two_epochs() -> None:
    quieten_lightning()
    trainer = L.Trainer(
        max_epochs=2,
        limit_train_batches=8,
        limit_val_batches=0,
        callbacks=[EpochBar(), Scored()],
        logger=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(Talkative())
