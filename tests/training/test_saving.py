import csv
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from digits.training import step
from digits.training.saving import AtomicCheckpointIO
from support.commands import SHORT, command


def test_a_failed_save_keeps_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint({"epoch": 1}, path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device.*last\.ckpt"):
        io.save_checkpoint({"epoch": 2}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 1}


@pytest.fixture
def saves(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(step, last step that metrics.csv has) when last.ckpt is written."""
    seen: list[tuple[int, int]] = []
    save = AtomicCheckpointIO.save_checkpoint

    def recorded(self: AtomicCheckpointIO, checkpoint: Any, path: Path, **more: Any) -> None:
        save(self, checkpoint, path, **more)
        if Path(path).name == "last.ckpt":
            text = (Path(path).parents[1] / "metrics.csv").read_text()
            logged = max(int(row["step"]) for row in csv.DictReader(text.splitlines()))
            seen.append((checkpoint["global_step"], logged))

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", recorded)
    monkeypatch.setattr(step, "LOOK_EVERY", 0.0)
    return seen


LOGGED = (*SHORT, "trainer.log_every_n_steps=1", "model.hidden_size=8", "test=false")


def test_the_state_is_saved_each_epoch_and_at_the_end(
    saves: list[tuple[int, int]], tmp_path: Path
) -> None:
    outcome = command("train", *LOGGED, outputs=tmp_path)
    assert outcome.code == 0, outcome.err
    assert saves == [(30, 29), (60, 59)]  # steps are logged from 0 on
    content = torch.load(outcome.folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["settings"]["data.val_size"] == 5000
    assert content["metrics"]["val/acc"] == pytest.approx(outcome.metrics["val/acc"], abs=1e-6)
    before = torch.load(outcome.folder / "checkpoints" / "previous.ckpt", weights_only=True)
    assert before["global_step"] == 30  # as the second epoch begins


def test_the_state_is_saved_by_the_clock(saves: list[tuple[int, int]], tmp_path: Path) -> None:
    always = "callbacks.last.train_time_interval=1e-9"
    outcome = command("train", *LOGGED, always, outputs=tmp_path)
    assert outcome.code == 0, outcome.err
    assert saves == [(step, step - 1) for step in range(1, 61)]


def test_gradients_that_add_up_are_not_cut_in_two(
    saves: list[tuple[int, int]], tmp_path: Path
) -> None:
    often = ["callbacks.last.train_time_interval=1e-9", "trainer.accumulate_grad_batches=7"]
    outcome = command("train", *LOGGED, *often, outputs=tmp_path)
    assert outcome.code == 0, outcome.err
    assert [step for step, _ in saves] == list(range(1, 11))  # 5 an epoch, the last of 2 batches
