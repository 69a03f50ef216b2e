"""Models that log other names than the project's, or have no test; scores that never come."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from support import tutorials
from support.commands import UNSEEN, Outcome, command, tool

QUIET = ("logger=none", *UNSEEN)


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("own") / "configs"
    for group in ("model", "data"):
        (folder / group).mkdir(parents=True)
    for name in ("NoTest", "Tested", "Regression", "Silent", "Plateau"):
        text = f"_target_: support.tutorials.{name}\nlr: 0.01\n"
        (folder / "model" / f"{name.lower()}.yaml").write_text(text)
    (folder / "data" / "d.yaml").write_text("_target_: support.tutorials.Data\nloaders: 1\n")
    (folder / "data" / "untested.yaml").write_text("_target_: support.tutorials.NotForTests\n")
    return f"--config-dir={folder}"


def train(configs: str, *words: str, outputs: Path) -> Outcome:
    """Two epochs of four batches."""
    return command("train", configs, "data=d", "trainer.max_epochs=2", *words, outputs=outputs)


def checkpoints(outcome: Outcome) -> list[str]:
    return sorted(path.stem for path in outcome.folder.glob("checkpoints/*"))


def saved(outcome: Outcome, name: str) -> dict[str, Any]:
    path = outcome.folder / "checkpoints" / f"{name}.ckpt"
    return torch.load(path, weights_only=True)  # type: ignore[no-any-return]


def test_its_scores_have_the_projects_names_too(
    configs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search by val/acc, a rate found for model.lr, and the command that does it again."""
    monkeypatch.setattr(sys, "orig_argv", ["python", "src/train.py", configs, "model=tested"])
    words = ("model=tested", "callbacks=lr_finder", "optimized_metric=val/acc")
    outcome = train(configs, *words, outputs=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert "the loss falls fastest at model.lr=" in outcome.out
    assert f"train.py {configs} data=d " in (outcome.folder / "report.html").read_text()


@pytest.fixture(scope="module")
def tested(configs: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """With all defaults, and two validation loaders."""
    outputs = tmp_path_factory.mktemp("outputs")
    return train(configs, "model=tested", "data.loaders=2", outputs=outputs)


def test_of_two_validation_loaders_the_first_decides(tested: Outcome) -> None:
    assert (tested.code, tested.err) == (0, "")
    assert "best.ckpt is the one with the best val_acc/dataloader_idx_0 (max)\n" in tested.out
    assert checkpoints(tested) == ["best", "last", "previous"]
    best = tested.metrics["val_acc/dataloader_idx_0_best"]
    assert best == tested.metrics["val_acc/dataloader_idx_1_best"] == tested.metrics["val_acc_best"]
    rows = csv.DictReader((tested.folder / "metrics.csv").read_text().splitlines())
    assert float([row["val_acc_best"] for row in rows if row["val_acc_best"]][-1]) == best


def test_its_report_knows_its_accuracy(tested: Outcome, tmp_path: Path) -> None:
    accuracy = f"{tested.metrics['test_acc']:.4f}"
    assert f"test accuracy  {accuracy}" in tested.out
    page = (tested.folder / "report.html").read_text()
    assert f"{accuracy} of 64 test images right" in page
    (tested.folder / "evidence.npz").rename(tmp_path / "evidence.npz")
    code, out, _ = tool("report", str(tested.folder))
    (tmp_path / "evidence.npz").rename(tested.folder / "evidence.npz")
    assert (code, f"test accuracy {accuracy}" in out) == (0, True)


def test_a_model_without_a_test_is_trained_and_reported(configs: str, tmp_path: Path) -> None:
    outcome = train(configs, "model=notest", "logger=csv", outputs=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert "best.ckpt is the one with the best val_loss (min)\n" in outcome.out
    assert "not tested: NoTest has no test_step\n" in outcome.out
    assert json.loads((outcome.folder / "status.json").read_text())["status"] == "finished"
    assert "of 64 validation images right" in (outcome.folder / "report.html").read_text()
    again = command("eval", configs, "ckpt_path=latest", outputs=tmp_path)
    best = outcome.folder / "checkpoints" / "best.ckpt"
    line = f"error: ckpt_path={best}: can't be tested: NoTest has no test_step\n"
    assert (again.code, again.err) == (2, line)


def test_data_without_a_test_are_trained_on(configs: str, tmp_path: Path) -> None:
    words = ("data=untested", "model=silent", "trainer.max_epochs=1", *QUIET)
    outcome = command("train", configs, *words, outputs=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert checkpoints(outcome) == ["last"]  # nothing says which one is best
    outcome = command("train", configs, *words, "model=tested", outputs=tmp_path / "tested")
    assert (outcome.code, outcome.err) == (0, "")
    assert "not tested: NotForTests has no test_dataloader\n" in outcome.out


def test_a_regression_is_searched_by_its_error(configs: str, tmp_path: Path) -> None:
    words = ("model=regression", "optimized_metric=val/mse", "trainer.max_epochs=1", *QUIET)
    outcome = train(configs, *words, outputs=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert "best.ckpt is the one with the best val/mse (min)\n" in outcome.out
    status = json.loads((outcome.folder / "status.json").read_text())
    assert status["objective"] == pytest.approx(outcome.metrics["val/mse_best"])


EARLY = ("callbacks=early_stopping", "callbacks.early_stopping.monitor=val_loss")
REFUSED = {
    "model=notest callbacks=early_stopping":
        "callbacks.early_stopping.monitor=val/acc: not measured in this run; there are: val_loss",
    "model=plateau trainer.limit_val_batches=0":
        "lr_scheduler.monitor=val_loss: expected a val_dataloader, and validation",
    "model=tested trainer.limit_test_batches=0.01":
        "trainer.limit_test_batches=0.01: of 2 batches that is none; expected at least 0.5, or a "
        "number of batches",
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_a_score_that_never_comes_is_asked_for_before_the_first_step(
    words: str, configs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    monkeypatch.setattr(tutorials.NoTest, "on_train_batch_start", lambda *_: steps.append(1))
    outcome = train(configs, *words.split(), *QUIET, outputs=tmp_path)
    assert (outcome.code, outcome.err) == (2, f"error: {REFUSED[words]}\n")
    assert steps == []
    assert list(tmp_path.glob("*/*")) == []


def test_a_validation_that_logs_nothing_ends_after_the_first_epoch(
    configs: str, tmp_path: Path
) -> None:
    outcome = train(configs, "model=silent", "callbacks=early_stopping", *QUIET, outputs=tmp_path)
    line = "callbacks.early_stopping.monitor=val/acc: not measured in this run; there are: "
    assert (outcome.code, outcome.err) == (2, f"error: {line}train_loss\n")


def test_the_check_before_the_first_step_changes_no_bit(configs: str, tmp_path: Path) -> None:
    """Dropout and the shuffle draw the same numbers."""
    for name, words in (("without", ()), ("with", EARLY)):
        train(configs, "model=notest", *words, *QUIET, outputs=tmp_path / name)
    without, checked = tutorials.WEIGHTS[-2:]
    assert torch.equal(without, checked)
