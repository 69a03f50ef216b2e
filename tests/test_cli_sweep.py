"""Sweeps as one types them: in a pool of processes, unless said otherwise."""

import csv
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support.commands import ROOT, UNSEEN, Outcome, command, finish, process, python, tool
from support.sweeps import assert_same_weights

QUICK = (
    "trainer.max_epochs=2", "trainer.limit_train_batches=3", "trainer.limit_test_batches=1",
    "model.hidden_size=8", "data.val_size=1000", *UNSEEN, "logger=csv",
)  # fmt: skip
LR = "model.optimizer.lr"
POOLED = ("00_lr-0.001_seed-0", "01_lr-0.001_seed-1", "02_lr-0.003_seed-0", "03_lr-0.003_seed-1")
OF_TIME = (
    "fit_seconds",
    "epoch_seconds",
    "images_per_second",
    "date",
    "command",
    "ckpt_path",
    "device",
)
if sys.platform != "linux":
    pytest.skip("a forkserver needs Linux", allow_module_level=True)


def sweep(*words: str, outputs: Path) -> Outcome:
    return command("train", "-m", *QUICK, *words, outputs=outputs)


def folder(outputs: Path) -> Path:
    (there,) = outputs.glob("multirun/*")
    return there


def rows(outputs: Path) -> list[dict[str, str]]:
    text = (folder(outputs) / "leaderboard.csv").read_text()
    return [
        {name: value for name, value in row.items() if name not in OF_TIME}
        for row in csv.DictReader(text.splitlines())
    ]


def status(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((path / "status.json").read_text())
    return told


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Two learning rates, two seeds; the larger rate is better after six steps."""
    return sweep(f"{LR}=0.001,0.003", "seed=0,1", outputs=tmp_path_factory.mktemp("pooled"))


def test_a_pool_and_one_after_the_other_end_in_the_same_bits(
    pooled: Outcome, tmp_path: Path
) -> None:
    words = ("hydra/launcher=basic", f"{LR}=0.001,0.003", "seed=0,1")
    basic = sweep(*words, outputs=tmp_path)
    assert (pooled.code, pooled.err, basic.code) == (0, "", 0)
    assert [row["job"] for row in rows(pooled.outputs)] == [POOLED[i] for i in (2, 3, 0, 1)]
    mine, theirs = rows(pooled.outputs), rows(tmp_path)
    for row in (*mine, *theirs):
        row.pop("overrides")
        row.pop("paths.outputs_dir", None)
    assert mine == theirs
    assert_same_weights(pooled.outputs, tmp_path, 4)
    assert pooled.out.splitlines()[-2] == "best  model.optimizer.lr=0.003"


def test_a_sweep_that_chooses_does_not_look_at_the_test_set(pooled: Outcome) -> None:
    assert not any("test/acc" in row for row in rows(pooled.outputs))
    assert {path.name for path in folder(pooled.outputs).iterdir()} == {
        *POOLED, "leaderboard.csv", "multirun.yaml", "sweep.html", "sweep.json"
    }  # fmt: skip
    assert (folder(pooled.outputs) / POOLED[0] / "output.log").read_text().count("Epoch 2/2 ") == 1


def test_the_leaderboard_can_be_made_again(pooled: Outcome) -> None:
    path = folder(pooled.outputs)
    before = (path / "leaderboard.csv").read_bytes()
    (path / "leaderboard.csv").unlink()
    (path / "sweep.html").unlink()
    (path / "sweep.json").rename(path / "elsewhere")
    code, out, err = tool("leaderboard", str(path))
    (path / "elsewhere").rename(path / "sweep.json")
    assert (code, err) == (0, "")
    assert out.strip() == pooled.out.strip()
    assert (path / "leaderboard.csv").read_bytes() == before
    assert (path / "sweep.html").is_file()
    code, out, _ = tool("leaderboard", str(path), "--metric", "train/loss")
    assert out.splitlines()[2].split()[:2] == ["lr", "train/loss"]
    assert tool("leaderboard", "/none")[2] == (
        "error: /none: no sweep's folder; expected one with jobs in it\n"
    )


def test_added_values_add_jobs_and_what_is_finished_stays(pooled: Outcome) -> None:
    path = folder(pooled.outputs)
    before = {job: (path / job / "status.json").read_bytes() for job in POOLED}
    outcome = command("train", "-m", f"sweep={path}", "seed=0,2", outputs=pooled.outputs)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("2 of 4 jobs are finished already\n")
    assert {job: (path / job / "status.json").read_bytes() for job in POOLED} == before
    assert {row["job"]: (row[LR], row["seed"]) for row in rows(pooled.outputs)} == {
        POOLED[0]: ("0.001", "0"), POOLED[1]: ("0.001", "1"), POOLED[2]: ("0.003", "0"),
        POOLED[3]: ("0.003", "1"), "04_lr-0.001_seed-2": ("0.001", "2"),
        "05_lr-0.003_seed-2": ("0.003", "2"),
    }  # fmt: skip
    again = command("train", "-m", "sweep=latest", "seed=0,2", outputs=pooled.outputs)
    assert again.out.startswith("4 of 4 jobs are finished already\n")


def test_one_that_raises_one_nan_one_killed_are_three_records(tmp_path: Path) -> None:
    bad = ("+callbacks.bad._target_=support.sweeps.Bad", "+callbacks.bad.how=a,raise,not,kill,b")
    outcome = sweep(*bad, outputs=tmp_path)
    assert outcome.code == 1
    lines = sorted(line for line in outcome.err.splitlines() if line.startswith("error: "))
    nan = "training diverged: train/loss is nan in epoch 2; a lower model.optimizer.lr may help"
    assert lines == [
        "error: job 1 (+callbacks.bad.how=raise): it broke",
        f"error: job 2 (+callbacks.bad.how=not): {nan}",
        "error: job 3 (+callbacks.bad.how=kill): killed, exit code -9: its last words",
    ]
    assert [(r["job"], r["status"], r["error"]) for r in rows(tmp_path)] == [
        ("00_how-a", "finished", ""), ("04_how-b", "finished", ""),
        ("01_how-raise", "failed", "it broke"), ("02_how-not", "diverged", nan),
        ("03_how-kill", "killed", "its last words"),
    ]  # fmt: skip
    assert "job 03_how-kill killed (callbacks.bad.how=kill): its last words" in outcome.out
    path = folder(tmp_path)
    assert "RuntimeError: it broke" in (path / "01_how-raise" / "output.log").read_text()
    again = command("train", "-m", f"sweep={path}", *bad, outputs=tmp_path)
    assert again.code == 1  # what was killed is killed again; what diverged is not run again
    assert "job 2 " not in again.err


@pytest.mark.slow
def test_fail_fast_stops(tmp_path: Path) -> None:
    outcome = sweep("fail_fast=true", "hydra.launcher.jobs=1", "seed=-1,0,1", outputs=tmp_path)
    assert outcome.code == 2
    assert [path.name for path in folder(tmp_path).glob("[0-9]*")] == ["00_seed--1"]
    assert ": 3 jobs, 1 failed, 2 waiting" in outcome.out


def test_the_winner_alone_is_tested_when_asked(tmp_path: Path) -> None:
    outcome = sweep(f"{LR}=0.003,0.00001", "test=true", outputs=tmp_path)
    assert outcome.code == 0
    assert [path.name for path in (folder(tmp_path) / "test").iterdir()] == ["00_lr-0.003"]
    tested = json.loads((folder(tmp_path) / "test" / "00_lr-0.003" / "metrics.json").read_text())
    assert tested["test/images"] == 10_000
    told = outcome.out.splitlines()[-2]
    assert told.startswith(f"best  {LR}=0.003, test/acc {tested['test/acc']:.4f} (n=1), test/loss ")


def test_a_job_says_how_it_can_be_run_alone(pooled: Outcome) -> None:
    metrics = json.loads((folder(pooled.outputs) / POOLED[2] / "metrics.json").read_text())
    assert "src/train.py " in metrics["command"]
    assert f"{LR}=0.003" in metrics["command"]


@pytest.mark.slow
def test_a_search_prunes_in_other_processes_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    """The first trial's learning rate is right; one that learns nothing is behind it."""
    words = (
        "hparams_search=mnist_optuna", "hydra.sweeper.n_trials=4", "trainer.max_epochs=3",
        "hydra/sweeper/sampler=random", "hydra.sweeper.pruner.n_startup_trials=1",
        "hydra.sweeper.params={model.optimizer.lr: 'choice(0.003, 1e-9)'}",
        "hydra.launcher.jobs=1",
    )  # fmt: skip
    outcome = sweep(*words, outputs=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    told = {row["job"]: row for row in rows(tmp_path)}
    assert {row["status"] for row in told.values()} <= {"finished", "pruned"}
    for job, row in told.items():
        epochs = csv.DictReader((folder(tmp_path) / job / "metrics.csv").read_text().splitlines())
        scores = [float(line["val/acc"]) for line in epochs if line["val/acc"]]
        assert float(row["val/acc_best"]) == pytest.approx(max(scores))
        assert (row["status"] == "pruned") == row["ended"].startswith("pruned: val/acc is behind")
        assert int(row["epochs"]) == len(scores) if row["status"] == "finished" else True
    assert (folder(tmp_path) / "study.db").is_file()


@pytest.mark.slow
def test_jobs_run_the_code_of_the_clone_they_were_started_from(tmp_path: Path) -> None:
    """Not that of another, which pip has installed."""
    clone = tmp_path / "clone"
    for name in ("src", "configs"):
        shutil.copytree(ROOT / name, clone / name)
    (clone / "data").symlink_to(ROOT / "data")
    summary = clone / "src" / "digits" / "training" / "summary.py"
    text = summary.read_text()
    assert text.count("platform.python_version()") == 1
    summary.write_text(text.replace("platform.python_version()", '"the clone\'s"'))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    given = ["-m", *QUICK, "seed=0,1", f"paths.outputs_dir={tmp_path}"]
    code, _, err = finish(str(clone / "src" / "train.py"), *given, env=env, cwd=tmp_path)
    assert (code, err) == (0, "")
    assert [row["python"] for row in rows(tmp_path)] == ["the clone's"] * 2


ENDLESS = ["trainer.max_epochs=2000", "data.val_size=1000", "logger=csv", "model.hidden_size=8"]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["local", "basic"])
def test_ctrl_c_saves_tells_and_goes_on(launcher: str, tmp_path: Path) -> None:
    words = [
        "-m",
        f"hydra/launcher={launcher}",
        "seed=0,1",
        *ENDLESS,
        f"paths.outputs_dir={tmp_path}",
    ]
    with process("src/train.py", *words, start_new_session=True) as run:
        wait_for(lambda: any(tmp_path.rglob("last.ckpt")), run)
        os.killpg(run.pid, signal.SIGINT)
        out, err = run.communicate(timeout=60)
    path = folder(tmp_path)
    assert run.returncode == 130
    assert err.splitlines()[-1] == f"stopped; go on with python src/train.py -m sweep={path}"
    assert " stopped" in out
    assert status(path / "00_seed-0")["status"] == "stopped"
    assert still_running(tmp_path) == []
    with process("src/train.py", "-m", f"sweep={path}", start_new_session=True) as run:
        wait_for(lambda: "going on at epoch" in log_of(path / "00_seed-0"), run)
        os.killpg(run.pid, signal.SIGKILL)
    wait_for(lambda: still_running(tmp_path) == [])


@pytest.mark.slow
def test_jobs_end_with_the_sweeps_process_alone(tmp_path: Path) -> None:
    """Not with its group: the server that forks them would live on with them."""
    words = ["-m", "seed=0,1", *ENDLESS, f"paths.outputs_dir={tmp_path}"]
    with process("src/train.py", *words, start_new_session=True) as run:
        wait_for(lambda: len(list(tmp_path.rglob("last.ckpt"))) == 2, run)
        run.kill()
    wait_for(lambda: still_running(tmp_path) == [])


@pytest.mark.slow
def test_a_killed_sweep_goes_on_to_the_same_end(tmp_path: Path) -> None:
    """Killed with all its processes, at three moments."""
    words = [*QUICK, "trainer.max_epochs=40", "trainer.limit_train_batches=60", "seed=0,1,2"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    python("src/train.py", "-m", *words, f"paths.outputs_dir={whole}")
    given = ["-m", *words, f"paths.outputs_dir={killed}"]
    finished: dict[str, bytes] = {}
    for moment in (2.5, 5.0, 7.0):
        with process("src/train.py", *given, start_new_session=True) as run:
            time.sleep(moment)
            os.killpg(run.pid, signal.SIGKILL)
        wait_for(lambda: still_running(killed) == [])
        for path in killed.glob("multirun/*/*/status.json"):
            if path.parent.name in finished:
                assert path.read_bytes() == finished[path.parent.name]
            elif status(path.parent)["status"] == "finished":
                finished[path.parent.name] = path.read_bytes()
        if any(killed.glob("multirun/*/sweep.json")):
            given = ["-m", f"sweep={folder(killed)}"]
    python("src/train.py", *given)
    assert [r["val/acc_best"] for r in rows(killed)] == [r["val/acc_best"] for r in rows(whole)]
    assert [row["status"] for row in rows(killed)] == ["finished"] * 3
    assert_same_weights(killed, whole, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["hparams_search=mnist_optuna", "hydra.sweeper.n_trials=10",
         "hydra.sweeper.sampler.n_startup_trials=5", "++trainer.fast_dev_run=true"],
        ["trainer=ddp_sim", "trainer.max_epochs=3", "trainer.limit_train_batches=0.01",
         "model.optimizer.lr=0.005,0.01,0.02"],
    ],
    ids=["optuna", "ddp_sim"],
)  # fmt: skip
def test_the_peers_own_commands_run(words: list[str], tmp_path: Path) -> None:
    code, _, err = finish("src/train.py", "-m", *words, f"paths.outputs_dir={tmp_path}")
    assert (code, err) == (0, "")
    done = {row["status"] for row in rows(tmp_path)}
    assert done == {"finished"}
    assert len(rows(tmp_path)) == (10 if "ddp_sim" not in words[0] else 3)


def wait_for(is_so: Any, run: Any = None) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert run is None or run.poll() is None, run.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)


def log_of(path: Path) -> str:
    log = path / "train.log"
    return log.read_text() if log.is_file() else ""


def still_running(outputs: Path) -> list[str]:
    """Processes whose command or open files are of a sweep under `outputs`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            opened = [os.readlink(link) for link in (entry / "fd").iterdir()]
        except OSError:
            continue
        if any(str(outputs) in name for name in opened) and int(entry.name) != os.getpid():
            found.append(entry.name)
    return found
