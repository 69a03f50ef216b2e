"""What SLURM and Ray are given, without either: test_slurm and test_ray have the real ones."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from digits.sweeps import clusters
from digits.sweeps.job import Job
from support.commands import command

SECRET = "swordfish"
PROGRAMS = {
    "sbatch": "echo Submitted batch job 7",
    "squeue": 'test "$QUEUED" && echo $QUEUED; true',
    "scontrol": "echo ' JobState=FAILED ExitCode=3:0 '",
    "scancel": "true",
}


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What SLURM's programs were called with, a line each."""
    (tmp_path / "bin").mkdir()
    for name, does in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >>{tmp_path}/calls\n{does}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("A_TOKEN", SECRET)
    return tmp_path / "calls"


def test_sbatch_is_told_in_its_units_and_learns_no_secret(calls: Path, tmp_path: Path) -> None:
    words = [
        "mem_gb=4",
        "timeout_min=90",
        "cpus_per_task=3",
        "gpus_per_node=2",
        "poll_seconds=0.01",
    ]
    given = ["hydra/launcher=slurm", *(f"hydra.launcher.{word}" for word in words)]
    more = "hydra.launcher.more={account: me}"
    outcome = command("train", "-m", *given, more, "seed=5", outputs=tmp_path / "outputs")
    assert outcome.code == 1
    assert outcome.err == "error: job 0 (seed=5): exit code 3\n"  # as scontrol says
    (script,) = tmp_path.rglob("7_submission.sh")
    asked = {line.removeprefix("#SBATCH --") for line in script.read_text().splitlines()}
    assert asked >= {
        "mem=4GB", "time=90", "cpus-per-task=3", "gpus-per-node=2", "nodes=1", "requeue",
        "ntasks-per-node=1", "signal=USR1@120", "account=me", "job-name=digits",
    }  # fmt: skip
    files = [path for path in (tmp_path / "outputs").rglob("*") if path.is_file()]
    assert any(b"seed=5" in path.read_bytes() for path in files if path.suffix == ".pkl")
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_a_second_stop_kills(calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = clusters.Slurm(tmp_path, lambda job: job, 2, 0.01, {})
    slurm.jobs = {"7": Job(0, (), tmp_path / "0"), "8": Job(1, (), tmp_path / "1")}
    monkeypatch.setenv("QUEUED", "7 RUNNING")
    slurm.stop()
    slurm.stop()
    asked = [line for line in calls.read_text().splitlines() if line.startswith("scancel")]
    assert asked == ["scancel --signal=TERM 7", "scancel 7"]


def test_ray_has_its_machines_environment(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work: Any = []

    def tasks(job: Any, slots: int, address: str | None, cpus: float, gpus: float) -> Any:
        work.append((job(Job(0, ("seed=5",), tmp_path / "0")), slots, address, cpus, gpus))
        return SimpleNamespace(slots=0, speaks=False)

    monkeypatch.setattr(clusters, "RayTasks", tasks)
    given = ["hydra/launcher=ray", "hydra.launcher.num_cpus=2", "hydra.launcher.address=auto"]
    command("train", "-m", *given, "seed=5", outputs=tmp_path / "outputs")
    ((job, slots, address, cpus, gpus),) = work
    assert (job.environment, job.threads) == ((), 2)
    assert (slots, address, cpus, gpus) == (1000, "auto", 2, 0)
