"""docs/your-own.md as it stands: a model, a data set, a callback, an experiment of one's own."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from digits.data import idx
from support import commands, your_own
from support.commands import ROOT, Outcome, command, tool

pytestmark = pytest.mark.slow
OWN = "--config-dir=configs"
SHORT = ("model=cnn", "data.val_size=5000", "trainer.limit_train_batches=12", "model.width=4")


def a_fifth(read: Callable[..., Any], *given: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Of MNIST's images: convolutions take their time. (test_cli_installed.py has all of them.)"""
    images_NHW, labels_N = read(*given)
    return images_NHW[: len(labels_N) // 5], labels_N[: len(labels_N) // 5]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the user is, with his files; none of the project's is touched."""
    folder = tmp_path_factory.mktemp("own")
    your_own.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(idx, "read", partial(a_fifth, idx.read))
        patch.setattr(commands, "_mnist", {})
        patch.chdir(folder)
        patch.setattr(sys, "path", [*sys.path])
        yield folder
    for name in ("cnn", "shapes", "norms"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def said(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """What each command of the page says, one after the other."""
    outputs, said = folder / "outputs", {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("digits.commands.argparse_app.home", lambda: folder)
        for line in your_own.COMMANDS:
            name, *words = line.removeprefix("digits-").split()
            if words == ["."]:  # `folder` has the files already
                patch.chdir(tmp_path_factory.mktemp("new"))
            if name in ("predict", "export", "new"):
                said[line] = tool(name, *words)
            else:
                outcome = command(name, *words, outputs=outputs)
                said[line] = outcome.code, outcome.out, outcome.err
            patch.chdir(folder)
    return said


def test_the_page_has_its_files_and_commands() -> None:
    files = dict(your_own.FILE.findall(your_own.TEXT))
    templates = [p for p in (ROOT / "templates").rglob("*") if p.suffix in (".py", ".yaml")]
    assert len(templates) == 6
    for path in templates:
        name = path.relative_to(ROOT / "templates").as_posix()
        assert files.pop(name) == path.read_text(), name
    assert sorted(files) == ["configs/callbacks/norms.yaml", "configs/model/deep.yaml", "norms.py"]
    assert len(your_own.COMMANDS) == 15
    assert len(your_own.TEXT.splitlines()) < 330


def test_the_commands_of_the_page(said: dict[str, tuple[int, str, str]]) -> None:
    for line, (code, out, err) in said.items():
        assert (code, err) == (0, ""), line
        for name, pattern in {
            "-m experiment": r"2 jobs, 2 finished(.|\n)*  width  (.|\n)* finished",
            "model=cnn data.val_size": r"Epoch 2/2 loss \d\.\d{4} acc 0\..* val/loss .*val/acc 0",
            "resume=latest": r"going on at epoch 3, batch 0(.|\n)*Epoch 3/3 ",
            "data=shapes": r"test accuracy +1\.0000",
            "digits-eval": r"test accuracy +[01]\.\d{4}",
            "digits-predict": r"photo\.jpg +\d +0\.\d{4}",
            "digits-export": r"export/digits\.onnx",
            "-dir=configs experiment=shapes": r"Epoch 3/3 loss(.|\n)*test accuracy +1\.0000",
            "digits-new .": r"^cnn.py(.|\n)*\n\npython .* experiment=shapes\n.*\npytest",
            "digits-new --schemas": r"configs/schemas",
        }.items():
            assert name not in line or re.search(pattern, out), out


@pytest.fixture(scope="module")
def outputs(folder: Path) -> Path:
    return folder / "runs"


@pytest.fixture(scope="module")
def whole(folder: Path, outputs: Path) -> Outcome:
    return command("train", OWN, *SHORT, "trainer.max_epochs=2", outputs=outputs)


def test_its_checkpoint_is_plain_data(whole: Outcome) -> None:
    content = torch.load(whole.folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["hyper_parameters"] == {
        "side": 28,
        "classes": 10,
        "width": 4,
        "dropout": 0.25,
    }
    assert content["settings"]["model._target_"] == "cnn.CNN"


def test_it_goes_on_bit_for_bit(
    folder: Path, whole: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the second epoch: weights, averages, dropout. Means that self.log gathers are over the
    rest of the epoch.
    """
    from cnn import CNN  # type: ignore[import-not-found]

    step = CNN.training_step

    def stopping(self: Any, batch: Any, batch_idx: int) -> Any:
        if self.global_step == 16:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(CNN, "training_step", stopping)
        killed = command("train", OWN, *SHORT, "trainer.max_epochs=2", outputs=tmp_path)
    assert killed.code == 143
    assert f"go on with resume={killed.folder} --config-dir={folder}/configs" in killed.err
    again = command("train", OWN, f"resume={killed.folder}", outputs=tmp_path)
    assert (again.code, again.err) == (0, "")
    assert "epoch 2, batch 5," in again.out
    old, new = (
        torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)
        for run in (whole, again)
    )
    assert new["global_step"] == 24
    for name, weight in old["state_dict"].items():
        assert torch.equal(weight, new["state_dict"][name]), name
    for name in ("val/loss", "val/acc", "val/acc_best"):
        assert new["metrics"][name] == old["metrics"][name]


@pytest.mark.parametrize("words", ["predict x.png", "export --format onnx"])
def test_without_its_configs_it_says_so(words: str, whole: Outcome) -> None:
    best = whole.folder / "checkpoints" / "best.ckpt"
    name, *rest = words.split()
    line = (
        f"--ckpt {best}: its model is cnn.CNN, which no config of its run names; expected it in "
        "configs/model, or in --config-dir's"
    )
    assert tool(name, *rest, f"--ckpt={best}") == (2, "", f"error: {line}\n")


def test_a_copy_without_its_run_says_what_it_needs(whole: Outcome, tmp_path: Path) -> None:
    copy = tmp_path / "copy.ckpt"
    copy.write_bytes((whole.folder / "checkpoints" / "best.ckpt").read_bytes())
    outcome = command("eval", OWN, f"ckpt_path={copy}", outputs=tmp_path)
    assert outcome.code == 2
    assert outcome.err == (
        f"error: ckpt_path={copy}: its model is cnn.CNN; expected model=NAME of a config with "
        "that _target_ (--config-dir says where yours are), not "
        "digits.model.classifier.DigitClassifier\n"
    )
    words = ["model=cnn", "model.width=4"]
    assert command("eval", OWN, f"ckpt_path={copy}", *words, outputs=tmp_path).code == 0
    outcome = command("eval", OWN, f"ckpt_path={copy}", "model=cnn", outputs=tmp_path)
    assert outcome.err == (f"error: ckpt_path={copy}: model.width was 4, is 8; expected the same\n")


def test_a_stranger_s_run_names_no_class(whole: Outcome, tmp_path: Path) -> None:
    """Its folder may name another one: the groups' own files say which it is."""
    run = tmp_path / "train" / "x"
    (run / "checkpoints").mkdir(parents=True)
    (run / ".hydra").mkdir()
    best = run / "checkpoints" / "best.ckpt"
    best.write_bytes((whole.folder / "checkpoints" / "best.ckpt").read_bytes())
    for name in ("config.yaml", "hydra.yaml", "overrides.yaml"):
        text = (whole.folder / ".hydra" / name).read_text()
        text = text.replace("_target_: cnn.CNN", "_target_: os.mkdir\n  path: victim")
        (run / ".hydra" / name).write_text(text)
    outcome = command("eval", OWN, f"ckpt_path={best}", outputs=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert not Path("victim").exists()
    assert f"test accuracy  {whole.metrics['test/acc']:.4f}" in outcome.out


def test_from_python(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    assert len(your_own.NOTEBOOK.strip().splitlines()) == 5  # one is empty
    exec(your_own.NOTEBOOK, names)
    assert names["run"].metrics["epochs"] == 5
    assert re.search(r"\[\d\]\n$", capsys.readouterr().out)


def test_a_config_of_ones_own_takes_the_place_of_the_projects(tmp_path: Path) -> None:
    (tmp_path / "configs" / "data").mkdir(parents=True)
    ours = (ROOT / "configs" / "data" / "mnist.yaml").read_text()
    mine = tmp_path / "configs" / "data" / "mnist.yaml"
    mine.write_text(ours.replace("batch_size: 128", "batch_size: 64"))
    words = (f"--config-dir={tmp_path}/configs", "--cfg", "job")
    outcome = command("train", *words, outputs=tmp_path)
    assert "\n  batch_size: 64" in outcome.out
    assert "batch_size: 128" not in outcome.out


def test_what_lies_beside_ones_configs_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "project" / "configs").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "project" / "beside.py").write_text(
        "import lightning as L\n\n\nclass Noisy(L.Callback):\n"
        "    def on_train_start(self, trainer, pl_module):\n        print('it is found')\n"
    )
    monkeypatch.chdir(tmp_path / "elsewhere")
    words = (f"--config-dir={tmp_path}/project/configs", "+callbacks.noisy._target_=beside.Noisy")
    outcome = command("train", *words, "trainer.fast_dev_run=true", outputs=tmp_path / "outputs")
    assert (outcome.code, outcome.err) == (0, "")
    assert "it is found" in outcome.out
