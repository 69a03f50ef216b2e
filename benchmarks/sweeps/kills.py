"""A sweep that is killed again and again, and gone on with each time, against one that never was.

    python benchmarks/sweeps/kills.py --kills 20            # SIGKILL to the sweep's process group
    python benchmarks/sweeps/kills.py --kills 20 --jobs     # to one of its jobs

At random moments. It ends with an AssertionError if a finished job runs again, one is lost, a
process is left, or the leaderboard or a weight differs from the uninterrupted sweep's.
"""

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
WORDS = ("model.optimizer.lr=3e-4,1e-3,3e-3", "seed=0,1", "data.val_size=1000",
         "trainer.max_epochs=12", "trainer.limit_train_batches=150", "callbacks.samples=null",
         "callbacks.watch=null", "callbacks.report=null",
         "logger=csv")  # fmt: skip
LONGEST_S = 9.0  # from a start to a kill
OF_TIME = ("fit_seconds", "epoch_seconds", "images_per_second", "date", "command", "ckpt_path",
           "device")  # fmt: skip  # the last job has all threads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder, "whole"), Path(folder, "killed")
        assert start(whole, *WORDS).wait() == 0
        count = starts = 0
        finished: dict[str, bytes] = {}
        while count < arguments.kills:
            starts += 1
            process = start(killed, *(words_of(killed) or WORDS))
            hurt = kill_jobs if arguments.jobs else kill_group
            count += hurt(process, killed, arguments.kills - count)
            check_finished(killed, finished)
            if len(finished) == len(weights(whole)):
                print(f"all finished after {count} kills: once more from the start", flush=True)
                check_same(whole, killed)
                for path in killed.glob("multirun"):
                    path.rename(Path(folder, f"done-{count}"))
                finished = {}
        while start(killed, *(words_of(killed) or WORDS)).wait():
            assert arguments.jobs
        check_finished(killed, finished)
        check_same(whole, killed)
        print(
            f"{count} kills, {starts} starts: the same leaderboard and weights, nothing left over"
        )


def start(outputs: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "src/train.py", "-m", *words, f"paths.outputs_dir={outputs}"]
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, **quiet)


def words_of(outputs: Path) -> list[str]:
    return [f"sweep={path.parent}" for path in outputs.glob("multirun/*/sweep.json")]


def kill_group(process: subprocess.Popen[bytes], outputs: Path, left: int) -> int:
    moment = random.uniform(0.5, LONGEST_S)
    try:
        assert process.wait(moment) == 0
        return 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    end = time.monotonic() + 5
    while remaining := processes(outputs):
        assert time.monotonic() < end, remaining
        time.sleep(0.05)
    print(f"killed after {moment:.1f} s", flush=True)
    return 1


def kill_jobs(process: subprocess.Popen[bytes], outputs: Path, left: int) -> int:
    """One job after another, for as long as the sweep lasts."""
    count = 0
    while process.poll() is None:
        time.sleep(random.uniform(1, 5))
        jobs = [pid for pid in processes(outputs) if os.getpgid(pid) == pid != process.pid]
        if jobs and count < left and process.poll() is None:
            os.kill(random.choice(jobs), signal.SIGKILL)
            count += 1
    print(f"{count} jobs killed", flush=True)
    return count


def processes(outputs: Path) -> list[int]:
    """Those that have a file of a job open."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            opened = [os.readlink(link) for link in (entry / "fd").iterdir()]
        except OSError:
            continue
        if any(str(outputs) in name for name in opened):
            found.append(int(entry.name))
    return found


def check_finished(outputs: Path, before: dict[str, bytes]) -> None:
    """What was finished is as it was; what is finished now is noted."""
    for path in outputs.glob("multirun/*/*/status.json"):
        told = path.read_bytes()
        if path.parent.name in before:
            assert told == before[path.parent.name], f"{path} was run again"
        elif b'"finished"' in told:
            before[path.parent.name] = told
    assert len(list(outputs.glob("multirun/*"))) <= 1, "a second folder"


def check_same(one: Path, other: Path) -> None:
    assert rows(one) == rows(other)
    mine, theirs = weights(one), weights(other)
    assert mine.keys() == theirs.keys()
    for name in mine:
        assert all(torch.equal(mine[name][key], theirs[name][key]) for key in mine[name]), name


def rows(outputs: Path) -> list[dict[str, str]]:
    (path,) = outputs.glob("multirun/*/leaderboard.csv")
    with path.open() as file:
        return [
            {k: v for k, v in row.items() if k not in OF_TIME and "outputs_dir" not in k}
            for row in csv.DictReader(file)
        ]


def weights(outputs: Path) -> dict[str, dict[str, torch.Tensor]]:
    paths = outputs.glob("multirun/*/*/checkpoints/last.ckpt")
    return {p.parents[1].name: torch.load(p, weights_only=True)["state_dict"] for p in paths}


if __name__ == "__main__":
    main()
