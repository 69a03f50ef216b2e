"""Wrong input: one line on stderr, exit code 2, nothing written over."""

import json
import resource
from pathlib import Path

import pytest
import torch

from support import own
from support.commands import ROOT, UNSEEN, Outcome, command
from support.hostile import Runs

# One or two for each way in which an error arises; test_settings and others have the rest
LINES = {
    "trainer.max_epochs": "trainer.max_epochs: expected SETTING=VALUE (",
    "experiment=[reference,foo]": "In 'train': Could not load 'experiment/foo'.",
    "task_name=a#b": """task_name=a#b: expected quotes around such characters: 'task_name="a#b"'""",
    "ckpt_path=LICENSE": "ckpt_path=LICENSE: not a checkpoint written by train.py, or damaged",
    "trainer.accelerator=tpu": "trainer.accelerator=tpu: torch finds none here; expected one of a",
    "model.optimizer.weight_decay=-1": "model.optimizer: Invalid weight_decay value: -1",
    "+trainer.foo=1": "trainer: Trainer.__init__() got an unexpected keyword argument 'foo'",
    "paths.data_dir=/proc/x": "paths.data_dir: cannot write /proc/x/MNIST/raw/train-images-idx3-",
    "hydra.run.dir=LICENSE": "cannot write LICENSE: File exists; paths.outputs_dir=FOLDER writes",
    "hydra.mode=x": "hydra.mode=x: Invalid value 'x', expected one of [RUN, MULTIRUN]",
    "--config-dir=/nowhere": "Additional config directory '/nowhere' not found",
}


def says(outcome: Outcome, line: str) -> None:
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {line}")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("override", LINES, ids=ascii)
def test_one_line(override: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    says(command("train", override, outputs=tmp_path), LINES[override])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


SCORED = (
    "model._target_=support.own.Scored", "data.val_size=1000", "trainer.max_epochs=3",
    "trainer.limit_train_batches=3", "trainer.limit_val_batches=1", "test=false", *UNSEEN,
    "logger=csv", "model.hidden_size=8",
)  # fmt: skip


def test_an_own_score_can_be_searched_for_and_one_that_nobody_logs_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first step."""
    monkeypatch.setattr(own.Scored, "epochs", 0)
    outcome = command("train", *SCORED, "optimized_metric=val/f1", outputs=tmp_path / "a")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.metrics["val/f1_best"] == 0.75
    monkeypatch.setattr(own.Scored, "epochs", 0)
    words = [*SCORED, "trainer.check_val_every_n_epoch=2", "optimized_metric=val/f2"]
    outcome = command("train", *words, outputs=tmp_path / "b")
    says(outcome, "optimized_metric=val/f2: not measured in this run; there are: ")
    assert "val/f1" in outcome.err
    assert own.Scored.epochs == 0


def test_a_run_that_diverges_keeps_its_folder(tmp_path: Path) -> None:
    words = ["model.optimizer.lr=1e30", "trainer.max_epochs=1", "trainer.limit_train_batches=20",
             "model.hidden_size=8", *UNSEEN, "logger=csv"]  # fmt: skip
    outcome = command("train", *words, outputs=tmp_path)
    says(outcome, "training diverged: train/loss is nan in epoch 1; a lower model.optimizer.lr may")
    status = json.loads((outcome.folder / "status.json").read_text())
    assert (status["status"], f"error: {status['error']}\n") == ("diverged", outcome.err)


def test_eval_is_as_strict(tmp_path: Path) -> None:
    line = "ckpt_path: not given; expected ckpt_path=latest or ckpt_path=FILE"
    says(command("eval", outputs=tmp_path), line)


def test_data_that_cannot_be_downloaded(tmp_path: Path) -> None:
    data_dir, dead = tmp_path / "data", "data.mirrors=[http://127.0.0.1:9/]"
    outcome = command("train", f"paths.data_dir={data_dir}", dead, outputs=tmp_path)
    says(outcome, "cannot download train-images-idx3-ubyte.gz (http://127.0.0.1:9/train-images")
    assert outcome.err.rstrip().endswith(f"into {data_dir / 'MNIST' / 'raw'}")


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    """A limit on the size of files stands in for it: writing last.ckpt (3.2 MB) fails."""
    short = ["trainer.max_epochs=1", "trainer.limit_train_batches=5", f"hydra.run.dir={tmp_path}"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        outcome = command("train", *short, *UNSEEN, outputs=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    last = tmp_path / "checkpoints" / "last.ckpt"
    says(outcome, f"cannot write {last}: File too large; paths.outputs_dir=")
    assert list(last.parent.iterdir()) == []


def test_what_a_fit_shows_is_said_before_its_first_step(tmp_path: Path) -> None:
    more = ["data.val_size=5000", *UNSEEN]
    outcome = command("train", "trainer.val_check_interval=10000", *more, outputs=tmp_path)
    says(outcome, "trainer: `val_check_interval` (10000) must be less than or equal to the number")
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_sweep_says_a_line_for_each_job_that_fails(tmp_path: Path) -> None:
    outcome = command("train", "-m", "hydra/launcher=basic", "seed=x,y", outputs=tmp_path)
    expected = "expected a whole number from 0 to 4294967295, or null for a new one"
    assert outcome.err.splitlines() == [
        f"error: job 0 (seed=x): seed=x: {expected}",
        f"error: job 1 (seed=y): seed=y: {expected}",
    ]
    assert outcome.code == 2


def test_a_sweep_without_a_job_is_refused(tmp_path: Path) -> None:
    outcome = command("train", "-m", "seed=range(5,1)", outputs=tmp_path)
    says(outcome, "seed=range(5,1): no job to run; expected at least one value")


def test_a_checkpoint_that_would_run_code(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "x.ckpt"
    torch.save({"state_dict": Runs(victim)}, path)
    for script in ("train", "eval"):
        outcome = command(script, f"ckpt_path={path}", outputs=tmp_path / "out")
        says(outcome, f"ckpt_path={path}: not a checkpoint written by train.py, or damaged")
    assert not victim.exists()


def test_our_own_fault_exits_with_1_and_a_traceback_as_full_error_brings_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("digits.training.trainer.make_trainer", int)
    outcome = command("train", outputs=tmp_path)
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert (
        outcome.err.splitlines()[-1] == "error: 'Start' object cannot be interpreted as an integer"
    )
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    outcome = command("train", "seed=-1", outputs=tmp_path)
    assert outcome.code == 2
    assert "Traceback" in outcome.err
    assert "seed=-1: expected" in outcome.err.splitlines()[-1]
