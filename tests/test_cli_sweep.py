"""Sweeps as one types them: in a pool of processes, unless said otherwise."""

import csv
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from support.commands import ROOT, Outcome, command, finish, process, python, tool
from support.sweeps import QUICK, assert_same_weights, folder_of_sweep, saved, wait_for

LR = "model.optimizer.lr"
POOLED = ("00_lr-0.001_seed-0", "01_lr-0.001_seed-1", "02_lr-0.003_seed-0", "03_lr-0.003_seed-1")
if sys.platform != "linux":
    pytest.skip("a forkserver needs Linux", allow_module_level=True)


def sweep(*words: str, outputs: Path) -> Outcome:
    return command("train", "-m", *QUICK, *words, outputs=outputs)


def rows(outputs: Path) -> list[dict[str, str]]:
    return list(
        csv.DictReader((folder_of_sweep(outputs) / "leaderboard.csv").read_text().splitlines())
    )


def status(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((path / "status.json").read_text())
    return told


def is_over(path: Path) -> bool:
    return (path / "status.json").is_file() and status(path)["status"] == "finished"


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Two learning rates, two seeds; the larger rate is better after six steps."""
    return sweep(f"{LR}=0.001,0.003", "seed=0,1", outputs=tmp_path_factory.mktemp("pooled"))


def test_a_pool_and_one_after_the_other_end_in_the_same_bits(
    pooled: Outcome, tmp_path: Path
) -> None:
    """Replicates alone choose nothing: each is tested."""
    words = ("hydra/launcher=basic", f"{LR}=0.003", "seed=0,1")
    basic = sweep(*words, outputs=tmp_path)
    assert (basic.code, basic.err) == (0, "")
    assert [path.name for path in sorted(folder_of_sweep(tmp_path).glob("0*"))] == [
        "00_seed-0",
        "01_seed-1",
    ]
    assert basic.out.splitlines()[0] == "#0 : seed=0"
    pool = {row["seed"]: row for row in rows(pooled.outputs) if row[LR] == "0.003"}
    for one in rows(tmp_path):
        assert 0 <= float(one["test/acc"]) <= 1
        for name in ("val/acc_best", "train/loss"):
            assert one[name] == pool[one["seed"]][name]
    assert_same_weights(pooled.outputs, tmp_path, 2, mine="0[23]_*")


def test_a_sweep_that_chooses_ranks_and_does_not_look_at_the_test_set(pooled: Outcome) -> None:
    assert (pooled.code, pooled.err) == (0, "")
    assert [row["job"] for row in rows(pooled.outputs)] == [POOLED[i] for i in (2, 3, 0, 1)]
    *_, best, paired, _ = pooled.out.splitlines()
    assert best == "best  model.optimizer.lr=0.003"
    assert paired.startswith("best against second of 2 (model.optimizer.lr=0.001): val/acc best +")
    assert "2 pairs with the same seed" in paired
    assert not any("test/acc" in row for row in rows(pooled.outputs))
    assert {path.name for path in folder_of_sweep(pooled.outputs).iterdir()} == {
        *POOLED, "leaderboard.csv", "multirun.yaml", "sweep.html", "sweep.json"
    }  # fmt: skip
    best = folder_of_sweep(pooled.outputs) / POOLED[2]
    assert (best / "output.log").read_text().count("Epoch 2/2 ") == 1
    metrics = json.loads((best / "metrics.json").read_text())
    assert f"{LR}=0.003" in metrics["command"]
    assert metrics["device"] == "cpu, 1 thread"


def test_resume_passes_a_sweeps_jobs_over(pooled: Outcome) -> None:
    outcome = command("train", "resume=latest", "trainer.max_epochs=3", outputs=pooled.outputs)
    assert (outcome.code, outcome.err) == (
        2,
        f"error: resume=latest: no run under {pooled.outputs} has a checkpoint yet; "
        "python src/train.py -m sweep=latest goes on with a sweep\n",
    )


def test_the_leaderboard_can_be_made_again(pooled: Outcome) -> None:
    path = folder_of_sweep(pooled.outputs)
    before = (path / "leaderboard.csv").read_bytes()
    for name in ("leaderboard.csv", "sweep.html", "sweep.json"):
        (path / name).rename(path / f"old-{name}")
    code, out, err = tool("leaderboard", str(path))
    (path / "old-sweep.json").rename(path / "sweep.json")
    assert (code, err) == (0, "")
    assert out.strip() == pooled.out.strip()
    assert (path / "leaderboard.csv").read_bytes() == before
    assert (path / "sweep.html").is_file()
    for name in ("leaderboard.csv", "sweep.html"):
        (path / f"old-{name}").unlink()
    code, out, _ = tool("leaderboard", str(path), "--metric", "train/loss")
    assert out.splitlines()[2].split()[:2] == ["lr", "train/loss"]
    assert tool("leaderboard", str(path), "--metric", "val/f1")[2].startswith(
        "error: --metric val/f1_best: not measured; there are: train/acc"
    )
    assert tool("leaderboard", "/none")[2] == (
        "error: /none: no sweep's folder; expected one with jobs in it\n"
    )


@pytest.mark.slow
def test_added_values_add_jobs_and_the_winner_alone_is_tested_when_asked(pooled: Outcome) -> None:
    path = folder_of_sweep(pooled.outputs)
    before = {job: (path / job / "status.json").read_bytes() for job in POOLED}
    words = (f"{LR}=0.003,0.00001", "seed=0", "test=true")
    outcome = command("train", "-m", "sweep=latest", *words, outputs=pooled.outputs)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("1 of 2 jobs are finished already\n")
    assert {job: (path / job / "status.json").read_bytes() for job in POOLED} == before
    assert [row["job"] for row in rows(pooled.outputs)] == [
        *(POOLED[i] for i in (2, 3, 0, 1)), "04_lr-1e-05"
    ]  # fmt: skip
    jobs = path / POOLED[2], path / "04_lr-1e-05"
    first, added = (json.loads((job / "metrics.json").read_text()) for job in jobs)
    assert added["device"] == first["device"]  # alone, it has no more threads
    tests = sorted((path / "test").iterdir())
    assert [test.name for test in tests] == [POOLED[2], POOLED[3]]
    tested = [json.loads((test / "metrics.json").read_text()) for test in tests]
    assert [test["test/images"] for test in tested] == [10_000, 10_000]
    mean = sum(test["test/acc"] for test in tested) / 2
    assert outcome.out.splitlines()[-3].startswith(f"best  {LR}=0.003, test/acc {mean:.4f} +- ")


def test_one_that_raises_one_nan_one_killed_are_three_records(tmp_path: Path) -> None:
    bad = ("+callbacks.bad._target_=support.sweeps.Bad", "+callbacks.bad.how=raise,not,kill")
    outcome = sweep(*bad, outputs=tmp_path)
    assert outcome.code == 1
    lines = sorted(line for line in outcome.err.splitlines() if line.startswith("error: "))
    nan = "training diverged: train/loss is nan in epoch 2; a lower model.optimizer.lr may help"
    broke = "tests/support/sweeps.py:63: RuntimeError: it broke"
    broke += "; HYDRA_FULL_ERROR=1 shows the traceback"
    assert lines == [
        f"error: job 0 (+callbacks.bad.how=raise): {broke}",
        f"error: job 1 (+callbacks.bad.how=not): {nan}",
        "error: job 2 (+callbacks.bad.how=kill): killed, exit code -9: its last words",
    ]
    assert [(r["job"], r["status"], r["error"]) for r in rows(tmp_path)] == [
        ("00_how-raise", "failed", broke), ("01_how-not", "diverged", nan),
        ("02_how-kill", "killed", "its last words"),
    ]  # fmt: skip
    assert "job 02_how-kill killed (callbacks.bad.how=kill): its last words" in outcome.out
    log = folder_of_sweep(tmp_path) / "00_how-raise" / "output.log"
    assert "RuntimeError: it broke" in log.read_text()


@pytest.mark.slow
def test_fail_fast_stops(tmp_path: Path) -> None:
    outcome = sweep("fail_fast=true", "hydra.launcher.jobs=1", "seed=-1,0,1", outputs=tmp_path)
    assert outcome.code == 2
    assert ": 3 jobs, 1 failed, 2 waiting" in outcome.out


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
    for row in rows(tmp_path):
        path = folder_of_sweep(tmp_path) / row["job"] / "metrics.csv"
        epochs = csv.DictReader(path.read_text().splitlines())
        scores = [float(line["val/acc"]) for line in epochs if line["val/acc"]]
        assert float(row["val/acc_best"]) == pytest.approx(max(scores))
        was_pruned = row["ended"].startswith("pruned: val/acc is behind")
        assert row["status"] == ("pruned" if was_pruned else "finished")
    assert (folder_of_sweep(tmp_path) / "study.db").is_file()


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
def test_ctrl_c_saves_and_tells(launcher: str, tmp_path: Path) -> None:
    words = [f"hydra/launcher={launcher}", "seed=0,1", *ENDLESS, f"paths.outputs_dir={tmp_path}"]
    with process("src/train.py", "-m", *words, start_new_session=True) as run:
        wait_for(lambda: saved(tmp_path), run)
        os.killpg(run.pid, signal.SIGINT)
        out, err = run.communicate(timeout=60)
    path = folder_of_sweep(tmp_path)
    assert run.returncode == 130
    assert err.splitlines()[-1] == f"stopped; go on with python src/train.py -m sweep={path}"
    assert " stopped" in out
    assert status(path / "00_seed-0")["status"] == "stopped"
    assert still_running(tmp_path) == []
    assert len(list(path.glob("0*"))) == (2 if launcher == "local" else 1)  # no other has begun


@pytest.mark.slow
def test_a_killed_sweep_goes_on_to_the_same_end(tmp_path: Path) -> None:
    """Killed with all its processes as its first job has saved, and alone when one has ended: the
    others, and the server that forks them, end with it.
    """
    words = [*QUICK, "trainer.max_epochs=30", "trainer.limit_train_batches=60", "seed=0,1,2"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command("train", "-m", *words, outputs=whole)
    given = ["-m", *words, f"paths.outputs_dir={killed}"]
    finished: dict[Path, bytes] = {}  # is not run again
    for kill, is_time in (
        (os.killpg, lambda: saved(killed)),
        (os.kill, lambda: any(is_over(path) for path in killed.glob("multirun/*/0*"))),
    ):
        with process("src/train.py", *given, start_new_session=True) as run:
            wait_for(is_time, run)
            kill(run.pid, signal.SIGKILL)
        wait_for(lambda: still_running(killed) == [])
        given = ["-m", f"sweep={folder_of_sweep(killed)}"]
        for path in killed.glob("multirun/*/0*"):
            if is_over(path):
                finished[path / "status.json"] = (path / "status.json").read_bytes()
    python("src/train.py", *given)
    assert [r["val/acc_best"] for r in rows(killed)] == [r["val/acc_best"] for r in rows(whole)]
    assert [row["status"] for row in rows(killed)] == ["finished"] * 3
    assert any("going on at epoch" in log.read_text() for log in killed.rglob("train.log"))
    assert {path: path.read_bytes() for path in finished} == finished
    assert_same_weights(killed, whole, 3)


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
