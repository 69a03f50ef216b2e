"""callbacks=lr_finder suggests a learning rate, and changes nothing."""

import re
from pathlib import Path

import torch
from PIL import Image

from support.commands import UNSEEN, Outcome, command

WORDS = (
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=5",
    "model.hidden_size=8",
    "test=false",
)


def weights(outcome: Outcome) -> dict[str, torch.Tensor]:
    path = outcome.folder / "checkpoints" / "last.ckpt"
    return torch.load(path, weights_only=True)["state_dict"]


def test_it_suggests_a_rate_and_leaves_the_run_as_it_is(tmp_path: Path) -> None:
    """Dropout draws from the run's random numbers; so would a test that is not kept apart."""
    configs = tmp_path / "configs" / "model"
    configs.mkdir(parents=True)
    (configs / "dropout.yaml").write_text(
        "defaults:\n  - mlp\n  - _self_\nnet:\n  _target_: torch.nn.Sequential\n  _args_:\n"
        "    - {_target_: torch.nn.Flatten}\n    - {_target_: torch.nn.Dropout, p: 0.5}\n"
        "    - {_target_: torch.nn.Linear, in_features: 784, out_features: 10}\n"
    )
    words = (f"--config-dir={configs.parent}", "model=dropout", *WORDS, *UNSEEN)
    plain = command("train", *words, outputs=tmp_path / "plain")
    found = command("train", *words, "callbacks=lr_finder", outputs=tmp_path / "found")
    assert (found.code, found.err) == (0, "")
    (rate,) = re.findall(r"model\.optimizer\.lr=(\S+), see .*lr_finder\.png;", found.out)
    assert 1e-6 < float(rate) < 1
    with Image.open(found.folder / "figures" / "lr_finder.png") as picture:
        assert picture.width == 560
    ours, theirs = weights(found), weights(plain)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert found.metrics["train/loss"] == plain.metrics["train/loss"]
    assert [path.name for path in found.folder.glob("*tmp*")] == []
