import os
from pathlib import Path
from typing import Any

import pytest
import torch

from digits.training import step
from digits.training.saving import AtomicCheckpointIO
from support.fits import fit, reference, rows, state


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
        seen.append((checkpoint["global_step"], int(rows(Path(path).parent)[-1]["step"])))

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", recorded)
    monkeypatch.setattr(step, "LOOK_EVERY", 0.0)
    return seen


def test_the_state_is_saved_each_epoch_and_at_the_end(
    saves: list[tuple[int, int]], tmp_path: Path
) -> None:
    settings = {"data.val_size": 8}
    trainer = fit(tmp_path, reference(), settings=settings, log_every_n_steps=1)
    assert saves == [(11, 10), (20, 19)]  # steps are logged from 0 on
    content = state(tmp_path)
    assert content["settings"] == settings
    assert content["metrics"]["val/acc"] == trainer.callback_metrics["val/acc"].item()
    before = torch.load(tmp_path / "previous.ckpt", weights_only=True)
    assert before["global_step"] == 11  # after the first step of the second epoch


def test_the_state_is_saved_by_the_clock(saves: list[tuple[int, int]], tmp_path: Path) -> None:
    fit(tmp_path, reference(), every=0, log_every_n_steps=1)
    between = [step for step in range(1, 21) if step != 10]  # there an epoch ends first
    assert saves == [(step, step - 1) for step in between]


def test_gradients_that_add_up_are_not_cut_in_two(
    saves: list[tuple[int, int]], tmp_path: Path
) -> None:
    every_four = {"accumulate_grad_batches": 4, "log_every_n_steps": 1}
    fit(tmp_path, reference(), every=0, **every_four)
    # three an epoch, the last of two batches: there the epoch ends first
    assert [step for step, _ in saves] == [1, 2, 4, 5, 6]
