"""What a run says and records, and what it takes, for whoever brings something of their own."""

import json
import os
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from lightning.pytorch.loggers.logger import DummyLogger
from safetensors import safe_open

import digits
from digits.inspection import evidence
from support import hparams_tab
from support.commands import ROOT, UNSEEN, Outcome, command, finish, tool

SMALL = ("trainer.limit_train_batches=10", "trainer.limit_test_batches=1", "model.hidden_size=8")
FAST = (*SMALL, *UNSEEN)
QUIET = (*FAST, "logger=none")


def table(outcome: Outcome) -> dict[str, str]:
    lines = outcome.out.rpartition("\n\n")[2].splitlines()
    return {line[:14].strip(): line[15:] for line in lines}


def status(outcome: Outcome) -> dict[str, Any]:
    return json.loads((outcome.folder / "status.json").read_text())


# what a run says


def test_a_run_that_lost_its_way_is_told_of(tmp_path: Path) -> None:
    words = (*QUIET, "trainer.max_steps=13", "model.optimizer.lr=1e9")
    outcome = command("train", *words, outputs=tmp_path)
    assert outcome.code == 0
    said = table(outcome)["warning"]
    assert re.fullmatch(
        r"train/loss is \d\.\d+e\+\d+, and 2\.3 would be guessing; "
        r"a lower model\.optimizer\.lr may help",
        said,
    )
    assert status(outcome)["warning"] == said
    assert status(outcome)["status"] == "finished"
    assert table(outcome)["ended"] == "epoch 2: trainer.max_steps"


def test_why_it_ended(tmp_path: Path) -> None:
    outcome = command("train", *QUIET, "trainer.max_time={seconds: 0.001}", outputs=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert table(outcome)["ended"].startswith("epoch 1: trainer.max_time")


# who is told of the settings, and of the end


SECRET = "+logger.told.api_key=hunter2"


class Told(DummyLogger):
    """Somebody's own logger."""

    calls: ClassVar[list[tuple[str, Any]]] = []

    def __init__(self, api_key: str = "") -> None:
        super().__init__()

    @property
    def version(self) -> str:
        return "x"

    def log_hyperparams(self, *given: Any, **more: Any) -> None:
        self.calls.append(("settings", given[0]))

    def finalize(self, status: str) -> None:
        self.calls.append(("end", status))


def test_every_logger_gets_the_settings_and_the_end(tmp_path: Path) -> None:
    Told.calls.clear()
    own = f"+logger.told._target_={__name__}.Told"
    outcome = command("train", *QUIET, own, SECRET, "trainer.max_epochs=2", outputs=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    given = [settings for kind, settings in Told.calls if kind == "settings"]
    assert given[-1]["model.hidden_size"] == 8
    assert given[-1]["trainer.max_epochs"] == 2
    assert given[-1]["model.optimizer.lr"] == 0.001
    assert {end for kind, end in Told.calls if kind == "end"} == {"success"}
    assert outcome.metrics["ended"] == "trainer.max_epochs"
    assert "+logger.told.api_key=***" in outcome.metrics["overrides"]
    assert "hunter2" not in (outcome.folder / "metrics.json").read_text() + str(Told.calls)
    assert not {"ended", "warning"} & table(outcome).keys()
    assert status(outcome)["warning"] is None
    threads = torch.get_num_threads()
    assert table(outcome)["device"] == f"cpu, {threads} thread{'s' * (threads > 1)}"


def test_tensorboard_learns_that_a_run_failed(tmp_path: Path) -> None:
    words = (*FAST, "trainer.max_epochs=1", "logger=tensorboard", "model.optimizer.lr=1e30")
    bad = command("train", *words, outputs=tmp_path)
    assert bad.code == 2
    assert [run["status"] for run in hparams_tab.runs(bad.folder)] == ["STATUS_FAILURE"]


@pytest.mark.slow
def test_wandb_and_mlflow_take_a_run(tmp_path: Path) -> None:
    env = os.environ | {"MLFLOW_ALLOW_FILE_STORE": "true", "WANDB_MODE": "offline"}
    words = [*FAST, "logger=many_loggers", "trainer.max_epochs=1"]
    words += [f"logger.mlflow.tracking_uri=file:{tmp_path}/ml", f"paths.outputs_dir={tmp_path}"]
    code, out, err = finish("src/train.py", *words, env=env)
    assert code == 0, err
    assert "Epoch 1/1" in out
    (size,) = tmp_path.glob("ml/*/*/params/model.hidden_size")
    assert size.read_text() == "8"
    (accuracy,) = tmp_path.glob("ml/*/*/metrics/test/acc")
    assert accuracy.read_text().split()[1].startswith("0.")
    assert list(tmp_path.glob("train/*/wandb/offline-run-*/run-*.wandb"))


# what a run takes


def test_one_cycle_and_rich_take_a_run(tmp_path: Path) -> None:
    words = ["model/optimizer=adam", "model/scheduler=one_cycle", "callbacks=rich_progress_bar"]
    once = command("train", *QUIET, *words, "trainer.max_epochs=1", outputs=tmp_path)
    assert (once.code, once.err) == (0, "")


def test_another_precision_goes_on(tmp_path: Path) -> None:
    words = [*QUIET, "trainer.precision=bf16-true", "model/optimizer=sgd"]
    once = command("train", *words, "trainer.max_epochs=2", outputs=tmp_path / "once")
    assert (once.code, once.err) == (0, "")
    command("train", *words, "trainer.max_epochs=1", outputs=tmp_path / "two")
    again = command("train", "resume=latest", "trainer.max_epochs=2", outputs=tmp_path / "two")
    assert (again.code, again.err) == (0, "")
    assert again.metrics["train/loss"] == once.metrics["train/loss"]


def test_a_plateau_needs_to_know_which(tmp_path: Path) -> None:
    words = ("model/scheduler=plateau", "model.scheduler_monitor=null")
    outcome = command("train", *QUIET, *words, outputs=tmp_path)
    assert (outcome.code, outcome.err) == (
        2,
        "error: model.scheduler_monitor=null: a schedule that waits for a plateau has to look at a "
        "score; expected train/loss or, with data.val_size, val/loss\n",
    )


# a model of the project's with something of somebody's


def test_a_subclass_is_tested_read_and_exported(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    config = "defaults:\n  - mlp\n  - _self_\n\n_target_: support.own.Noted\nnote: mine\n"
    (tmp_path / "model" / "noted.yaml").write_text(config)
    own = f"--config-dir={tmp_path}"
    words = (*QUIET, "model=noted", "trainer.max_epochs=1")
    trained = command("train", own, *words, outputs=tmp_path / "out")
    assert (trained.code, trained.err) == (0, "")
    last = trained.folder / "checkpoints" / "last.ckpt"
    tested = command("eval", own, f"ckpt_path={last}", FAST[1], outputs=tmp_path / "out")
    assert (tested.code, tested.err) == (0, "")
    assert table(tested)["test accuracy"] == table(trained)["test accuracy"]
    picture = str(ROOT / "docs" / "drawings" / "photo.jpg")
    code, out, err = tool("predict", picture, "--ckpt", str(last), own)
    assert (code, err) == (0, "")
    assert "photo.jpg" in out
    code, _, err = tool("export", "--format", "safetensors", "--ckpt", str(last), own)
    assert (code, err) == (0, "")
    with safe_open(trained.folder / "export" / "digits.safetensors", "np") as file:
        assert file.metadata()["test_accuracy"] == f"{trained.metrics['test/acc']:.6g}"


def test_a_model_that_wants_a_channel_is_told_how_and_read_with_it(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "conv.yaml").write_text("_target_: support.own.Conv\n")
    own = f"--config-dir={tmp_path}"
    words = (own, "model=conv", "trainer.limit_train_batches=1", "trainer.limit_test_batches=1")
    words += ("trainer.max_epochs=1", "logger=none", *UNSEEN[:2])
    refused = command("train", *words, outputs=tmp_path / "without")
    assert refused.code == 2
    assert refused.err == (
        "error: model: Given groups=1, weight of size [10, 1, 28, 28], expected input"
        "[1, 128, 28, 28] to have 1 channels, but got 128 channels instead; images are (B, H, W): "
        "data.channels=1 makes them (B, 1, H, W)\n"
    )
    trained = command("train", *words, "data.channels=1", outputs=tmp_path / "with")
    assert (trained.code, trained.err) == (0, "")
    found = evidence.read(trained.folder / "evidence.npz")
    assert found is not None
    assert (found.count, found.weights_UHW.shape) == (1000, (10, 28, 28))
    assert found.samples_SHW.shape == (32, 28, 28)
    opened = digits.open(trained.folder, [str(tmp_path)])
    assert type(opened.model).__name__ == "Conv"
    assert opened.data.train[0].shape == (60_000, 1, 28, 28)
    last = str(trained.folder / "checkpoints" / "last.ckpt")
    picture = str(ROOT / "docs" / "drawings" / "photo.jpg")
    code, out, err = tool("predict", picture, "--ckpt", last, own)
    assert (code, err) == (0, "")
    assert "photo.jpg" in out
    code, _, err = tool("export", "--format", "safetensors", "--ckpt", last, own)
    with safe_open(trained.folder / "export" / "digits.safetensors", "np") as file:
        assert file.metadata()["input"].startswith("float32 (N, 1, 28, 28): pixels / 255")
        assert [*file.keys()] == ["line.bias", "line.weight"]


def test_state_that_is_no_plain_data_is_named(tmp_path: Path) -> None:
    own = "+callbacks.mine._target_=support.own.KeepsObject"
    outcome = command("train", *QUIET, own, outputs=tmp_path)
    assert (outcome.code, outcome.err) == (
        2,
        "error: checkpoint: callbacks.KeepsObject.when is a datetime.date; expected plain data in "
        "the state of modules and callbacks: numbers, strings, lists, dicts, tensors\n",
    )


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    outcome = command("train", *QUIET, "model._target_=builtins.dict", outputs=tmp_path)
    line = "error: model: its _target_ gives a dict; expected a LightningModule of Lightning's\n"
    assert (outcome.code, outcome.err) == (2, line)


def test_importing_the_package_takes_no_time() -> None:
    code = "import sys, digits; print(*sys.modules)"
    _, out, _ = finish("-c", code)
    assert not set(out.split()) & {"torch", "lightning", "numpy", "hydra", "yaml"}
