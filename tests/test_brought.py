"""Models as their authors wrote them train with every default, go on after a stop, are tested and
reported.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from support.commands import Outcome, command

# by its author's name: the data, its best.ckpt's score, and one that its test logs
BROUGHT = {
    "FlatAutoEncoder": ("Digits", "val_loss", "test_loss"),
    "GAN": ("Digits", None, None),
    "VAE": ("Digits", "val_loss", None),
    "RowLSTM": ("Digits", "val_MulticlassAccuracy", "test_MulticlassF1Score"),
    "CNN": ("Digits", "val_acc", "test_acc"),
    "Transfer": ("Digits", "valid_loss", None),
}
CLASSIFIERS = {"Transfer", "RowLSTM", "CNN"}
UNTESTED = {"GAN", "VAE", "Transfer"}


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("brought") / "configs"
    names = {"model": BROUGHT, "data": {data for data, _, _ in BROUGHT.values()}}
    for group, those in names.items():
        (folder / group).mkdir(parents=True)
        for name in those:
            target = f"_target_: support.brought.{name}\n"
            (folder / group / f"{name.lower()}.yaml").write_text(target)
    return f"--config-dir={folder}"


def train(configs: str, name: str, outputs: Path, *words: str) -> Outcome:
    of_them = (f"model={name.lower()}", f"data={BROUGHT[name][0].lower()}")
    return command("train", configs, *of_them, *words, outputs=outputs)


def check_whole(outcome: Outcome, name: str) -> None:
    """What a run with every default leaves."""
    _, best, tested = BROUGHT[name]
    assert (outcome.code, outcome.err) == (0, "")
    metrics, folder = outcome.metrics, outcome.folder
    assert (metrics["epochs"], metrics["ended"]) == (5, "trainer.max_epochs")
    assert json.loads((folder / "status.json").read_text())["status"] == "finished"
    files = {path.name for path in (folder / "checkpoints").iterdir()}
    assert files == {"last.ckpt", "previous.ckpt", *(["best.ckpt"] if best else [])}
    assert tested is None or tested in metrics
    page = (folder / "report.html").read_text()
    assert ("By class" in page) == (name in CLASSIFIERS)
    assert ("Scores by epoch" in page) == (name not in ("GAN", "Transfer"))
    assert (folder / "evidence.npz").is_file() == (name in CLASSIFIERS)
    assert outcome.out.count("no evidence of the ") == (name not in {"GAN", *CLASSIFIERS})
    assert ("not tested" in outcome.out) == (name in UNTESTED)


QUICKLY = ("FlatAutoEncoder", "CNN")  # the others train below


@pytest.mark.parametrize("name", QUICKLY)
def test_it_trains_with_every_default(name: str, configs: str, tmp_path: Path) -> None:
    check_whole(train(configs, name, tmp_path), name)


def weights(outcome: Outcome) -> dict[str, torch.Tensor]:
    path = outcome.folder / "checkpoints" / "last.ckpt"
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BROUGHT.keys() - QUICKLY))
def test_it_goes_on_bit_for_bit_and_is_tested_again(
    name: str, configs: str, tmp_path: Path, stop_at: Callable[[int], None]
) -> None:
    """Each epoch has four batches; the stop comes within the third."""
    whole = train(configs, name, tmp_path / "whole")
    check_whole(whole, name)
    stop_at(10)
    stopped = train(configs, name, tmp_path / "stopped")
    stop_at(0)
    assert stopped.code == 143, stopped.err
    resume = f"resume={stopped.folder}"
    again = command("train", configs, resume, outputs=tmp_path / "stopped")
    assert (again.code, again.err) == (0, "")
    assert "batch 2," in again.out
    ours, theirs = weights(again), weights(whole)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    scores = {k: v for k, v in whole.metrics.items() if re.match("train|val|test|class", k)}
    assert {k: again.metrics.get(k) for k in scores} == scores
    if name not in UNTESTED:
        last = f"ckpt_path={again.folder / 'checkpoints' / 'last.ckpt'}"
        tested = command("eval", configs, last, outputs=tmp_path / "stopped")
        assert (tested.code, tested.err) == (0, "")
        score = BROUGHT[name][2]
        if score and not (again.folder / "checkpoints" / "best.ckpt").exists():
            assert f"{score:<14} {scores[score]:.4f}" in tested.out
