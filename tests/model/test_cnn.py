"""The convolutional network: model=cnn."""

import math
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch.nn.functional import cross_entropy

from digits.errors import InputError
from digits.model.classifier import DigitClassifier
from digits.testing import ModuleTests
from support.commands import ROOT, UNSEEN, Outcome, command, tool

SMALL = ("model.filters=2", "model.hidden_size=4", "trainer.max_epochs=1",
         "trainer.limit_train_batches=2", "trainer.limit_test_batches=1")  # fmt: skip


def test_its_layers() -> None:
    model = DigitClassifier(128, filters=24)
    weights = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    assert {name: shape for name, shape in weights.items() if len(shape) > 1} == {
        "net.2.weight": (24, 1, 5, 5),
        "net.5.weight": (24, 24, 3, 3),
        "net.9.weight": (48, 24, 3, 3),
        "net.12.weight": (48, 48, 3, 3),
        "net.17.weight": (128, 48 * 4 * 4),
        "net.19.weight": (10, 128),
    }
    assert sum(weight.numel() for weight in model.parameters()) == 136_898


@pytest.mark.parametrize(
    ("side", "channels", "shape"),
    [(28, 1, (28, 28)), (28, 1, (1, 28, 28)), (28, 3, (3, 28, 28)), (9, 3, (3, 9, 9))],
)
def test_grey_and_colour_of_any_side(side: int, channels: int, shape: tuple[int, ...]) -> None:
    model = DigitClassifier(4, side=side, classes=7, channels=channels, filters=2)
    assert model(torch.rand(5, *shape)).shape == (5, 7)


def test_loss_starts_near_ln_10_and_one_batch_is_overfitted() -> None:
    torch.manual_seed(0)
    model = DigitClassifier(32, filters=4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = torch.rand(32, 28, 28), torch.randint(10, (32,))
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(10), abs=0.2)
    assert losses[-1] < 0.01


def test_a_number_below_0_is_refused() -> None:
    with pytest.raises(InputError, match=r"^model.filters=-1: expected a whole number from 0$"):
        DigitClassifier(filters=-1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    outputs = tmp_path_factory.mktemp("cnn")
    return command("train", "model=cnn", *SMALL, *UNSEEN, "logger=csv", outputs=outputs)


@pytest.fixture(scope="module")
def alone(run: Outcome) -> str:
    """Its checkpoint, without the run's folder."""
    copy = run.outputs / "alone.ckpt"
    copy.write_bytes((run.folder / "checkpoints" / "last.ckpt").read_bytes())
    return str(copy)


def test_it_trains_and_its_step_is_not_the_one_written_out(run: Outcome) -> None:
    assert (run.code, run.err) == (0, "")
    # convolutions 50 + 36 + 72 + 144, batch norms 2 * (2 + 2 + 4 + 4), the two layers 260 + 50
    assert run.metrics["parameters"] == 302 + 24 + 310
    log = (run.folder / "train.log").read_text()
    assert "Lightning's own loop runs each step, for the model DigitClassifier" in log


def test_its_checkpoint_alone_predicts(alone: str) -> None:
    code, out, err = tool("predict", str(ROOT / "docs/drawings/photo.jpg"), f"--ckpt={alone}")
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split()[1].isdigit()
    words = "docs/drawings/photo.jpg", f"--ckpt={alone}", f"--explain={alone}.why"
    expected = "error: --explain: expected a network of one hidden layer, as train.py's\n"
    assert tool("predict", *words) == (2, "", expected)


@pytest.mark.slow
def test_its_checkpoint_alone_is_tested_and_begins_a_run(alone: str, tmp_path: Path) -> None:
    tested = command("eval", f"ckpt_path={alone}", SMALL[-1], *UNSEEN[2:], outputs=tmp_path)
    assert (tested.code, tested.err) == (0, "")
    words = (f"weights={alone}", *SMALL[2:], *UNSEEN, "logger=csv", "test=false")
    again = command("train", *words, outputs=tmp_path)
    assert (again.code, again.err) == (0, "")
    assert again.metrics["parameters"] == 636


@pytest.mark.parametrize("kind", [pytest.param("onnx", marks=pytest.mark.slow), "safetensors"])
def test_it_is_exported(kind: str, alone: str) -> None:
    code, out, err = tool("export", f"--format={kind}", f"--ckpt={alone}")
    assert (code, err) == (0, "")
    assert f"digits.{kind}" in out
    if kind == "safetensors":
        with safe_open(Path(alone).with_name("digits.safetensors"), "np") as file:
            said = file.metadata()
        assert (said["filters"], said["hidden_size"]) == ("2", "4")
        assert "net.9 Conv2d(2, 4, kernel_size=(3, 3)" in said["layers"]


@pytest.mark.slow
class TestCNN(ModuleTests):
    settings = ("model=cnn", *SMALL[:2], "data._target_=support.broken.Bars", "data.val_size=16",
                "data.batch_size=8")  # fmt: skip
