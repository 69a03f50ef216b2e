from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from digits.errors import InputError
from digits.model.classifier import DigitClassifier
from digits.model.network import network
from digits.runs import checkpoint
from support.hostile import content


def written(path: Path, **changes: Any) -> str:
    torch.save(content(**changes), path)
    return str(path)


def test_a_model_comes_back(tmp_path: Path) -> None:
    path = written(tmp_path / "x.ckpt")
    model = checkpoint.model_of(path, checkpoint.read(path))
    assert model.hparams == {"hidden_size": 8, "side": 28, "classes": 10, "channels": 1}
    checkpoint.check_fits(path, DigitClassifier(8))


def test_another_architecture_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "x.ckpt")
    with pytest.raises(InputError, match=r"another architecture: net.1.bias is 8, expected 9$"):
        checkpoint.check_fits(path, DigitClassifier(9))
    path = written(tmp_path / "y.ckpt", state_dict={})
    with pytest.raises(InputError, match=r"net.1.bias is absent, expected 8$"):
        checkpoint.check_fits(path, DigitClassifier(8))


def test_other_and_truncated_files_are_refused(tmp_path: Path) -> None:
    whole = Path(written(path := tmp_path / "x.ckpt")).read_bytes()
    for data in (
        b"",
        b"hello\n",
        b"PK\x03\x04",
        b"\x80\x04N.",
        whole[:-1],
        whole[: len(whole) // 2],
    ):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"ckpt_path=.*x\.ckpt: not a checkpoint"):
            checkpoint.read(str(path))


def test_a_checkpoint_older_than_a_setting_of_the_network_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def newer(hidden_size: int = 512, layers: int = 1) -> nn.Sequential:
        return network(hidden_size)

    path = written(tmp_path / "x.ckpt")
    monkeypatch.setattr(checkpoint, "network", newer)
    assert checkpoint.network_of(path, checkpoint.read(path))(torch.zeros(1, 28, 28)).shape == (
        1,
        10,
    )
