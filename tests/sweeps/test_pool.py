"""Jobs in a pool, whatever becomes of each; how a machine is divided among them."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from digits.errors import InputError
from digits.runs.folder import RunFolder
from digits.runs.status import Status
from digits.sweeps import pool
from digits.sweeps.job import Job
from digits.sweeps.pool import Launch, Slots
from hydra_plugins.digits_plugins import LocalLauncher
from support.sweeps import job as folder_of_job


class Fake:
    """Jobs end in the order they began, with `codes`; a signal comes at a `wait`."""

    speaks = False

    def __init__(self, slots: int, codes: list[int], interrupts_at: tuple[int, ...] = ()) -> None:
        self.slots, self.codes, self.interrupts_at = slots, codes, interrupts_at
        self.running: list[Job] = []
        self.most = self.stops = self.waits = 0

    def start(self, job: Job) -> None:
        self.running.append(job)
        self.most = max(self.most, len(self.running))

    def wait(self) -> tuple[Job, int]:
        self.waits += 1
        if self.waits in self.interrupts_at:
            raise KeyboardInterrupt
        job = self.running.pop(0)
        code = self.codes[job.number]
        status = {0: "finished", 143: "stopped"}.get(code)
        if status:
            folder_of_job(job.folder.parent, job.folder.name, [], status)
        else:
            job.folder.mkdir()
            (job.folder / "output.log").write_text("error: its line\n")
        return job, code

    def stop(self) -> None:
        self.stops += 1
        self.codes = [143] * len(self.codes)


def jobs(folder: Path, count: int) -> Iterator[Job]:
    return (Job(i, (f"seed={i}",), folder / str(i), f"seed={i}") for i in range(count))


Ended = list[tuple[Job, Status]]


def ran(fake: Fake, folder: Path, count: int, fail_fast: bool = False) -> tuple[Ended, int]:
    """What became of each, and the exit code."""
    each, found = jobs(folder, count), []
    launch = Launch(fake, fail_fast)
    code = launch.run(lambda: next(each, None), lambda *end: found.append(end), count)
    return found, code


def test_all_slots_are_used_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = Fake(2, [0, 2, 0, -9, 0])
    found, code = ran(fake, tmp_path, 5)
    assert fake.most == 2
    assert [(job.number, status.status) for job, status in found] == [
        (0, "finished"), (1, "failed"), (2, "finished"), (3, "killed"), (4, "finished"),
    ]  # fmt: skip
    assert code == 1
    assert [line for line in capsys.readouterr().err.splitlines() if "error" in line] == [
        "error: job 1 (seed=1): its line",
        "error: job 3 (seed=3): killed, exit code -9: its line",
    ]
    assert RunFolder(tmp_path / "1").status().error == "its line"  # type: ignore[union-attr]


def test_our_fault_outweighs_wrong_input(tmp_path: Path) -> None:
    for codes, worst in (([0, 0], 0), ([2, 0], 2), ([2, 1], 1), ([1, 2], 1)):
        (folder := tmp_path / f"{codes}").mkdir()
        assert ran(Fake(2, codes), folder, 2)[1] == worst


def test_a_signal_lets_those_under_way_save_and_starts_no_other(tmp_path: Path) -> None:
    """Each further signal asks again."""
    fake = Fake(2, [0] * 5, interrupts_at=(2, 3))
    found: Ended = []
    each = jobs(tmp_path, 5)
    with pytest.raises(KeyboardInterrupt):
        Launch(fake, False).run(lambda: next(each, None), lambda *end: found.append(end), 5)
    assert fake.stops == 2
    assert [(job.number, status.status) for job, status in found] == [
        (0, "finished"), (1, "stopped"), (2, "stopped")
    ]  # fmt: skip


CPU: list[Any] = [
    # cores, trainer.devices, asked, jobs: at once, threads of each process
    (2, 1, None, 12, (2, 1)),
    (2, 1, 2, 12, (2, 1)),
    (8, 1, None, 3, (3, 2)),
    (8, 1, 2, 12, (2, 4)),
    (8, 3, None, None, (2, 1)),
    (1, 1, None, 12, (1, 1)),
    (8, "auto", None, 12, (1, 8)),
]


def test_cores_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, devices, asked, jobs, expected in CPU:
        monkeypatch.setattr(pool, "cores", lambda cores=cores: cores)
        trainer = OmegaConf.create({"accelerator": "cpu", "devices": devices})
        assert pool.divide(trainer, asked, jobs) == Slots(*expected)


def test_gpus_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "cores", lambda: 16)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,5,7")
    trainer = OmegaConf.create({"accelerator": "auto", "devices": 1})
    four = pool.divide(trainer, None, 12)
    assert (four.count, four.threads) == (4, 4)
    eight = pool.divide(trainer, 8, 12)  # two jobs a GPU
    assert [eight.devices[i] for i in range(8)] == 2 * [("0",), ("1",), ("5",), ("7",)]
    trainer.devices = 2
    monkeypatch.setattr(pool, "Forks", lambda count, work: (count, work))
    launcher = LocalLauncher()
    launcher.config = OmegaConf.create({"trainer": trainer})
    count, work = launcher.pool(lambda job, threads, environment: (threads, environment), 12)
    assert [work("a job", slot) for slot in range(count)] == [
        (8, {"CUDA_VISIBLE_DEVICES": "0,1"}), (8, {"CUDA_VISIBLE_DEVICES": "5,7"})
    ]  # fmt: skip
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert pool.divide(trainer, None, 99) == Slots(8, 1)


def test_a_second_stop_kills(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pool.forkserver, "ensure_running", lambda: None)
    monkeypatch.setattr(os, "kill", lambda *sent: kills.append(sent))
    kills: list[tuple[int, int]] = []
    forks = pool.Forks(1, lambda job, slot: job)
    (job,) = jobs(tmp_path, 1)
    process: Any = SimpleNamespace(pid=7, is_alive=lambda: True)
    forks.running[0] = job, 0, process
    forks.stop()
    forks.stop()
    assert kills == [(7, signal.SIGTERM), (7, signal.SIGKILL)]


def test_gpus_are_counted_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 0; echo 1\n")
    program.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert pool.gpus() == ["0", "1"]
    program.write_text("#!/bin/sh\nexit 9\n")
    assert pool.gpus() == []


@pytest.mark.parametrize("asked", [0, 3, 1.5, True])
def test_no_slip_starts_a_hundred_processes(asked: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "cores", lambda: 2)
    trainer = OmegaConf.create({"accelerator": "cpu", "devices": 1})
    with pytest.raises(InputError) as refused:
        pool.divide(trainer, asked, 12)  # type: ignore[arg-type]
    expected = f"hydra.launcher.jobs={asked}: expected a whole number from 1 to 2"
    assert str(refused.value) == expected
