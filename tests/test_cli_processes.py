"""What only a real process shows: start-up, signals, terminals, several processes, TensorBoard."""

import json
import os
import pty
import re
import signal
import subprocess
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits.inspection import evidence
from support.commands import SHORT, UNSEEN, Outcome, finish, process


def start(
    tmp_path: Path, *overrides: str, **options: Any
) -> AbstractContextManager[subprocess.Popen[str]]:
    return process("src/train.py", f"paths.outputs_dir={tmp_path}", *overrides, **options)


HELP = (
    "trainer: cpu, ddp, ddp_sim, default, gpu", "logger: csv, default, many_loggers",
    "trainer.max_epochs=5", "data.batch_size=128", "model.optimizer.lr=0.001",
    "python src/train.py -m sweep=latest",
)  # fmt: skip


@pytest.mark.parametrize(
    "question",
    [["--help"], ["--cfg", "job"], ["-sc", "query=bash"], ["trainer.max_epochs=0"]],
    ids=" ".join,
)
def test_a_question_is_answered_at_once(question: list[str], tmp_path: Path) -> None:
    """To import torch takes 1.4 s, Lightning 3.3 s; Hydra and what it needs are 344 modules."""
    spy = "import sys, runpy, atexit; atexit.register(lambda: print(*sys.modules)); "
    code = spy + "sys.argv = sys.argv[1:]; sys.path.insert(0, 'src'); runpy.run_path(sys.argv[0], "
    argv = ["src/train.py", *question, f"hydra.run.dir={tmp_path}"]
    env = os.environ | {"COMP_LINE": "x"}
    _, out, _ = finish("-c", code + "run_name='__main__')", *argv, env=env)
    imported = set(out.splitlines()[-1].split())
    assert "hydra" in imported
    assert not imported & {"torch", "lightning", "numpy", "tensorboard", "matplotlib", "fastapi"}
    assert len(imported) < 402
    if question == ["--help"]:
        assert all(line in out for line in HELP)


ENDLESS = ("trainer.max_epochs=1000", "trainer.limit_train_batches=100", "model.hidden_size=8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "code", "trainer"),
    [("SIGINT", 130, "cpu"), ("SIGTERM", 143, "ddp_sim")],
)
def test_a_stopped_run_keeps_its_last_checkpoint(
    name: str, code: int, trainer: str, tmp_path: Path
) -> None:
    with start(tmp_path, *ENDLESS, f"trainer={trainer}") as run:
        assert run.stdout is not None
        assert any(line.startswith("Epoch 2/") for line in run.stdout)  # 1 is in a checkpoint
        run.send_signal(getattr(signal, name))
        _, err = run.communicate(timeout=60)
    assert run.returncode == code
    (last,) = tmp_path.glob("train/*/checkpoints/last.ckpt")
    assert err == f"stopped; go on with resume={last.parents[1]}\n"
    assert json.loads((last.parents[1] / "metrics.json").read_text())["epochs"] >= 1


@pytest.mark.slow
def test_two_processes_train_as_one_and_test_each_image_once(
    tmp_path: Path, finished: Outcome
) -> None:
    sweep = ["-m", "seed=0,1", "trainer=ddp_sim", *SHORT, f"paths.outputs_dir={tmp_path}"]
    code, _, err = finish("src/train.py", *sweep)
    assert (code, err) == (0, "")
    said = [path.read_text() for path in tmp_path.rglob("output.log")]
    assert [text.count("Epoch 2/2 ") for text in said] == [1, 1]  # of the first process alone
    first, second = (
        json.loads(path.read_text()) for path in sorted(tmp_path.glob("multirun/*/*/metrics.json"))
    )
    assert [path.name for path in tmp_path.iterdir()] == ["multirun"]  # no process made another
    assert first["test/images"] == second["test/images"] == 10_000
    folders = sorted(tmp_path.glob("multirun/*/0*"))
    for folder, measured in zip(folders, (first, second), strict=True):
        found = evidence.read(folder / "evidence.npz")  # of both processes, in the test set's order
        assert found is not None
        assert found.count == 10_000
        assert found.labels_N[:5].tolist() == [7, 2, 1, 0, 4]
        assert found.correct / 10_000 == pytest.approx(measured["test/acc"], abs=1e-6)
        wrong = found.shown_M
        assert (found.labels_N[wrong] != found.predicted_N[wrong]).all()
        assert (np.diff(found.confidence_N[wrong]) <= 0).all()
    # the two processes' batches are those of one process: only float32 sums differ
    assert first["train/loss"] == pytest.approx(finished.metrics["train/loss"], abs=2e-3)
    assert first["test/acc"] == pytest.approx(finished.metrics["test/acc"], abs=5e-3)


def test_a_terminal_shows_a_bar_an_epoch(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    env = os.environ | {"COLUMNS": "80"}
    short = ["trainer.max_epochs=2", "data.val_size=5000", "trainer.limit_train_batches=150"]
    short += ["logger=csv", "test=false", *UNSEEN]
    shown = b""
    with start(tmp_path, *short, stdout=theirs, stderr=theirs, env=env) as run:
        os.close(theirs)
        with suppress(OSError):  # what Linux says when the other end is closed
            while chunk := os.read(ours, 1 << 16):
                shown += chunk
        assert run.wait(timeout=60) == 0
    os.close(ours)
    screen = [line.rpartition("\r")[2] for line in shown.decode().replace("\r\n", "\n").split("\n")]
    bars = [line for line in screen if line.startswith("Epoch ")]
    number = r"\d\.\d{4}"
    scores = f"loss {number} acc {number} val/loss {number} val/acc {number}"
    pattern = rf"Epoch \d/2 █+ \d\d:\d\d, {scores}"
    assert len(bars) == 2
    assert all(re.fullmatch(pattern, bar) and len(bar) <= 80 for bar in bars), bars
    assert re.search(r"\d+/150 .*<\d\d:\d\d, loss ", shown.decode())  # ETA while it runs
    (log,) = tmp_path.glob("train/*/train.log")
    assert log.read_text().count("Epoch ") == 2
    assert "\r" not in log.read_text()
