"""Modules of others that are no classifiers, or wrong: what the run and its folder say."""

import json
from pathlib import Path

import pytest

from digits.errors import InputError
from digits.training import parts
from support.commands import Outcome, command

SHORT = ("trainer.max_epochs=1", "trainer.limit_train_batches=3", "trainer.limit_test_batches=1")


def run(name: str, *words: str, outputs: Path) -> Outcome:
    model = outputs / "configs" / "model" / "own.yaml"
    model.parent.mkdir(parents=True)
    model.write_text(f"_target_: support.own.{name}")
    words = (f"--config-dir={outputs / 'configs'}", "model=own", *SHORT, *words)
    return command("train", *words, outputs=outputs)


def test_an_autoencoder_is_trained_with_every_default(tmp_path: Path) -> None:
    done = run("Autoencoder", outputs=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert json.loads((done.folder / "status.json").read_text())["status"] == "finished"
    (line,) = [line for line in done.out.splitlines() if line.startswith("Watch shows less")]
    assert "support/own.py:" in line
    assert "shapes cannot be multiplied" in line
    files = {str(path.relative_to(done.folder)) for path in done.folder.rglob("*.*")}
    assert {"report.html", "checkpoints/last.ckpt", "checkpoints/own_last.ckpt",
            "checkpoints/epoch=0-step=3.ckpt"} <= files  # fmt: skip
    assert not files & {"evidence.npz", "figures/confusion.png", "tensorboard/checkpoints"}


def test_an_error_in_ones_own_code_is_a_line_of_it(tmp_path: Path) -> None:
    done = run("Autoencoder", "+model.fails_at=1", outputs=tmp_path)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert ": ValueError: not enough values to unpack (expected 3, got 2); HYDRA" in done.err
    assert "support/own.py:" in done.err
    assert done.err.count("\n") == 1
    status = json.loads((done.folder / "status.json").read_text())
    assert (status["status"], f"error: {status['error']}\n") == ("failed", done.err)
    assert "Traceback" in (done.folder / "train.log").read_text()


def test_a_hook_that_lightning_removed_names_the_class(tmp_path: Path) -> None:
    done = run("Old", outputs=tmp_path)
    assert done.code == 2
    assert done.err.startswith("error: model: support.own.Old (")
    assert "own.py): Support for `training_epoch_end` has been removed" in done.err
    assert done.err.count("\n") == 1


def test_a_callback_that_changes_settings_is_refused(tmp_path: Path) -> None:
    finder = "+callbacks.finder._target_=lightning.pytorch.callbacks.BatchSizeFinder"
    done = command("train", finder, outputs=tmp_path)
    assert (done.code, done.err) == (2, (
        "error: callbacks.finder: changes a setting during the fit, which the run's record would "
        "not have; expected callbacks=lr_finder, or data.batch_size=32,64 with -m\n"
    ))  # fmt: skip


def test_another_package_of_the_same_name_is_named() -> None:
    old = type("Callback", (), {"__module__": "pytorch_lightning.callbacks.callback"})
    stops = type("Stops", (old,), {"__module__": "net"})
    with pytest.raises(InputError) as refused:
        parts.check_kind("callbacks.stops", stops(), int)
    assert str(refused.value) == (
        "callbacks.stops: net.Stops is a Callback of pytorch_lightning; expected one of lightning: "
        "import lightning.pytorch as pl"
    )
