"""A data set of one's own: a class, and a file in configs/data."""

import sys
from pathlib import Path

import pytest

from digits.inspection import evidence
from support.commands import UNSEEN, Outcome, command, tool

QUIET = ("logger=none", *UNSEEN)

SHAPES = '''
import torch
from digits.data.datamodule import ImageDataModule


class Shapes(ImageDataModule):
    """Three classes: a bar that is thin, wide or wider, on 10 x 10 pixels."""

    class_names = ["thin", "wide", "wider"]

    def read(self, stage):
        labels_N = torch.arange(90 if stage == "fit" else 30) % 3
        images_NHW = torch.zeros(len(labels_N), 10, 10, dtype=torch.uint8)
        for image_HW, label in zip(images_NHW, labels_N.tolist()):
            image_HW[:, : 2 + 3 * label] = 255
        return images_NHW, labels_N
'''
CONFIG = """
# @package _global_
data:
  _target_: shapes.Shapes
  batch_size: 30
  val_size: 0
model:
  side: 10
  classes: 3
  hidden_size: 16
"""


@pytest.fixture(autouse=True)
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shapes.py").write_text(SHAPES)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shapes.yaml").write_text(CONFIG)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shapes", raising=False)


def train(tmp_path: Path, *words: str) -> Outcome:
    own = (f"--config-dir={tmp_path}", "data=shapes")
    return command("train", *own, *words, outputs=tmp_path / "outputs")


def test_it_is_learned_with_every_default_on(tmp_path: Path) -> None:
    outcome = train(tmp_path, "trainer.max_epochs=9", "data.val_size=30", "logger=csv")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.metrics["test/acc"] == 1
    assert outcome.metrics["test/images"] == 30
    figures = {path.stem for path in (outcome.folder / "figures").iterdir()}
    assert figures == {"curves", "calibration", "samples", "confusion", "weights"}, (
        "no mistakes to show"
    )
    found = evidence.read(outcome.folder / "evidence.npz")
    assert found is not None
    assert (found.correct, found.names_K.tolist()) == (30, ["thin", "wide", "wider"])
    assert (found.weights_UHW.shape, int(found.units)) == ((64, 10, 10), 512)
    code, out, _ = tool("report", str(outcome.folder))
    assert code == 0
    assert "None of 30 test images is confused" in out
    again = train(tmp_path, "resume=latest", "trainer.max_epochs=10")
    assert (again.code, again.err, again.metrics["epochs"]) == (0, "", 10)
    last = outcome.folder / "checkpoints" / "last.ckpt"
    code, _, err = tool("predict", "x.png", "--ckpt", str(last))
    assert code == 2
    assert err == (
        f"error: --ckpt {last}: its network tells 3 classes of images of 10 pixels a side; "
        "expected 10 digits of 28\n"
    )


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("model.side=28", "model.side=28: the data set has 10; expected that"),
        ("model.classes=2", "model.classes=2: the data set has 3; expected that"),
    ],
)
def test_a_model_that_does_not_fit_is_told_of(word: str, line: str, tmp_path: Path) -> None:
    outcome = train(tmp_path, word)
    assert (outcome.code, outcome.err) == (2, f"error: {line}\n")


def test_the_model_takes_over_what_the_data_declares(tmp_path: Path) -> None:
    (tmp_path / "shapes.py").write_text(
        SHAPES.replace("    def read", "    side, classes = 10, 3\n\n    def read")
    )
    config = CONFIG.partition("model:")[0]
    (tmp_path / "data" / "shapes.yaml").write_text(config)
    outcome = train(tmp_path, "trainer.max_epochs=1", "model.hidden_size=8", *QUIET)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.metrics["parameters"] == 8 * 101 + 3 * 9
    again = command(
        "eval", f"--config-dir={tmp_path}", "ckpt_path=latest", outputs=tmp_path / "outputs"
    )
    assert (again.code, again.err) == (0, "")
