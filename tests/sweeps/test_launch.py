"""Jobs in a pool, whatever becomes of each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from digits.runs.folder import RunFolder
from digits.runs.status import Status
from digits.sweeps.job import Job
from digits.sweeps.launch import Launch
from support.sweeps import job as folder_of_job


class Fake:
    """Jobs end in the order they began, with `codes`; a signal comes at a `wait`."""

    speaks = False

    def __init__(self, slots: int, codes: list[int], interrupt_at: int = 99) -> None:
        self.slots, self.codes, self.interrupt_at = slots, codes, interrupt_at
        self.running: list[Job] = []
        self.most = self.stops = self.waits = 0

    def start(self, job: Job) -> None:
        self.running.append(job)
        self.most = max(self.most, len(self.running))

    def wait(self) -> tuple[Job, int]:
        self.waits += 1
        if self.waits == self.interrupt_at:
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


def ran(pool: Fake, folder: Path, count: int, fail_fast: bool = False) -> tuple[Ended, int]:
    """What became of each, and the exit code."""
    each, found = jobs(folder, count), []
    launch = Launch(pool, fail_fast)
    code = launch.run(lambda: next(each, None), lambda *end: found.append(end), count)
    return found, code


def test_all_slots_are_used_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = Fake(2, [0, 2, 0, 1, 0])
    found, code = ran(pool, tmp_path, 5)
    assert pool.most == 2
    assert [(job.number, status.status) for job, status in found] == [
        (0, "finished"), (1, "failed"), (2, "finished"), (3, "failed"), (4, "finished"),
    ]  # fmt: skip
    assert code == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert lines == ["error: job 1 (seed=1): its line", "error: job 3 (seed=3): its line"]
    assert RunFolder(tmp_path / "1").status().error == "its line"  # type: ignore[union-attr]


def test_fail_fast_starts_none_after_one_that_failed(tmp_path: Path) -> None:
    found, code = ran(Fake(2, [0, 2, 0, 0, 0]), tmp_path, 5, fail_fast=True)
    assert [job.number for job, _ in found] == [0, 1, 2]  # 2 was under way
    assert code == 2


@pytest.mark.parametrize(
    ("codes", "worst"), [([0, 0], 0), ([2, 0], 2), ([2, 1], 1), ([1, 2], 1), ([2, -9], 1)]
)
def test_our_fault_outweighs_wrong_input(codes: list[int], worst: int, tmp_path: Path) -> None:
    assert ran(Fake(2, codes), tmp_path, 2)[1] == worst


def test_a_signal_lets_those_under_way_save_and_starts_no_other(tmp_path: Path) -> None:
    pool = Fake(2, [0] * 5, interrupt_at=2)
    found: Ended = []
    each = jobs(tmp_path, 5)
    with pytest.raises(KeyboardInterrupt):
        Launch(pool, False).run(lambda: next(each, None), lambda *end: found.append(end), 5)
    assert pool.stops == 1
    assert [(job.number, status.status) for job, status in found] == [
        (0, "finished"), (1, "stopped"), (2, "stopped")
    ]  # fmt: skip


def test_a_job_that_was_killed_keeps_its_last_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = Fake(1, [-9])
    ((_, status),), code = ran(pool, tmp_path, 1)
    assert (status.status, code) == ("killed", 1)
    assert "job 0 (seed=0): killed, exit code -9: its line" in capsys.readouterr().err
