"""What a run says of the machine it is on."""

import logging
import os

import lightning as L
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel

from digits.training import summary
from digits.training.summary import RunSummary
from digits.training.trainer import quieten_lightning

LINE = (
    "other programs use this machine's cores, and 3 threads wait for each other at each step: "
    "OMP_NUM_THREADS=1 is quicker then (the last digits may differ)"
)


@pytest.mark.parametrize(
    ("load", "slow", "threads", "lines"),
    [
        (0.9, [0, 0, 0], 3, []),
        (1.1, [0, 0, 0], 3, [LINE]),  # for one CPU
        (0.9, [0, 40, 40], 3, [LINE]),
        (1.1, [0, 40, 40], 1, []),
    ],
    ids=["quiet", "loaded", "slow epochs", "one thread"],
)
def test_a_busy_machine_is_told_of_once(
    load: float,
    slow: list[float],
    threads: int,
    lines: list[str],
    tmp_path: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "digits")
    quieten_lightning()
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    clock = [0.0]
    monkeypatch.setattr(summary.time, "monotonic", lambda: clock[0])

    class Slow(BoringModel):
        def training_step(self, batch, batch_idx):  # type: ignore[no-untyped-def]
            clock[0] += 1 + slow[self.current_epoch]
            return super().training_step(batch, batch_idx)

    trainer = L.Trainer(
        max_epochs=3, limit_train_batches=1, limit_val_batches=0, callbacks=[RunSummary(tmp_path)],
        logger=False, enable_checkpointing=False, enable_model_summary=False, accelerator="cpu",
        enable_progress_bar=False,
    )  # fmt: skip
    trainer.fit(Slow())
    assert caplog.messages == lines
