"""A LightningDataModule of one's own, with PyTorch's loaders."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from digits.model.classifier import DigitClassifier
from support.commands import UNSEEN, Outcome, command

CONFIG = "_target_: support.own.Loaders\ncount: 640\n"


@pytest.fixture
def configs(tmp_path: Path) -> str:
    (tmp_path / "configs" / "data").mkdir(parents=True)
    (tmp_path / "configs" / "data" / "loaders.yaml").write_text(CONFIG)
    return f"--config-dir={tmp_path / 'configs'}"


def weights(outcome: Outcome) -> dict[str, torch.Tensor]:
    path = outcome.folder / "checkpoints" / "last.ckpt"
    return torch.load(path, weights_only=True)["state_dict"]


def test_it_trains_with_every_default_and_is_tested_again(configs: str, tmp_path: Path) -> None:
    outcome = command("train", configs, "data=loaders", "trainer.max_epochs=1", outputs=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.metrics["images_per_second"] > 0
    again = command("eval", configs, "ckpt_path=latest", outputs=tmp_path)
    assert (again.code, again.err) == (0, "")
    assert f"test accuracy  {outcome.metrics['test/acc']:.4f}" in again.out


@pytest.mark.slow
def test_it_goes_on_bit_for_bit_within_an_epoch(
    configs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shuffle and augmentation are drawn as if it had never stopped: 20 batches an epoch."""
    words = (configs, "data=loaders", "trainer.max_epochs=2", "model.hidden_size=8")
    words += ("logger=none", *UNSEEN)
    whole = command("train", *words, outputs=tmp_path / "whole")
    step = DigitClassifier.configure_gradient_clipping

    def stopping(self: DigitClassifier, *given: Any, **more: Any) -> None:
        if self.trainer.fit_loop.epoch_loop.batch_progress.total.ready == 33:
            os.kill(os.getpid(), signal.SIGTERM)
        step(self, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(DigitClassifier, "configure_gradient_clipping", stopping)
        killed = command("train", *words, outputs=tmp_path / "killed")
    assert killed.code == 143
    again = command("train", configs, f"resume={killed.folder}", outputs=tmp_path / "killed")
    assert (again.code, again.err) == (0, "")
    assert "batch 13," in again.out
    for name, weight in weights(whole).items():
        assert torch.equal(weights(again)[name], weight), name
    assert again.metrics["train/loss"] == whole.metrics["train/loss"]


def test_what_waits_for_validation_is_not_refused_for_data_of_others(
    configs: str, tmp_path: Path
) -> None:
    words = ["data=loaders", "data.batch_size=3"]
    outcome = command("train", configs, *words, outputs=tmp_path)
    assert outcome.code == 2
    assert outcome.err == ("error: data.batch_size: comes with data=mnist; expected that, too\n")
