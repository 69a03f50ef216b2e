"""How a sweep ends: its leaderboard, and the winner's test."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from digits.machine import cores
from digits.runs.folder import RunFolder
from digits.runs.words import quoted
from digits.sweeps import leaderboard, page, table
from digits.sweeps.job import Job
from digits.sweeps.launch import Launch
from digits.sweeps.leaderboard import Leaderboard
from digits.sweeps.pool import Forks
from digits.sweeps.sweep_folder import TESTS, SweepFolder

log = logging.getLogger(__name__)

TestWork = Callable[[Job, int | None, Mapping[str, str]], Job]


def show(sweep: SweepFolder, work: TestWork | None = None) -> None:
    """The leaderboard of what there is, if anything. With `work` the winner is tested."""
    if not any(sweep.runs()):
        return
    if work:
        _test(leaderboard.read(sweep), work)
    log.info("\n%s", write(sweep))


def write(
    sweep: SweepFolder,
    metrics: Sequence[str] | None = None,
    replicates: Sequence[str] | None = None,
) -> str:
    """The leaderboard as CSV and page, in its folder, and as text. Raises InputError if there is no
    sweep, or no such metric or replicate.
    """
    board = leaderboard.read(sweep, metrics, replicates)
    table.write_csv(board)
    page.write(board)
    return table.text(board)


def _test(board: Leaderboard, work: TestWork) -> None:
    """Each seed of the best setting, on the test images."""
    winner = board.winner
    if winner is None:
        return
    jobs: list[Job] = []
    for job in winner.counted:
        ckpt = job.run.judged
        folder = board.sweep.path / TESTS / job.name
        if ckpt.is_file() and "test/acc" not in RunFolder(folder).measured():
            jobs.append(Job(len(jobs), (f"ckpt_path={quoted(ckpt)}",), folder))
    if not jobs:
        return
    left = iter(jobs)
    Launch(Forks(1, lambda job, _: _of_test(work, job)), False).run(
        lambda: next(left, None), lambda *_: None, len(jobs)
    )


def _of_test(work: TestWork, job: Job) -> Job:
    return replace(work(job, cores(), {}), program="eval", words=job.words)
