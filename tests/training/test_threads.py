import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from digits.training import threads
from digits.training.threads import Threads


@pytest.fixture
def four() -> Iterator[Threads]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield Threads(may_change=True)
    torch.set_num_threads(before)


def test_one_fewer_while_threads_queue_and_more_again_later(four: Threads) -> None:
    used = []
    for share, unchanged_for in (
        (0.1, 1),
        (0.9, 1),
        (0.4, 0.2),
        (0.0, 0.2),
        (0.0, 2.1),
        (0.0, 2.1),
    ):
        four.adapt(share, unchanged_for)
        used.append(torch.get_num_threads())
    assert used == [4, 3, 2, 2, 3, 4]  # after two failures it waits for 2 s


def test_never_fewer_than_one_and_tries_grow_rarer(four: Threads) -> None:
    for _ in range(9):
        four.adapt(1.0, 0.2)
    assert torch.get_num_threads() == 1
    four.adapt(0.0, 3.9)
    assert torch.get_num_threads() == 1
    four.adapt(0.0, 4.1)
    assert torch.get_num_threads() == 2


def test_release_gives_all_back(four: Threads) -> None:
    four.adapt(1.0, 1.0)
    four.may_change = True  # where there is no /proc
    four.release()
    assert torch.get_num_threads() == 4


def test_stays_where_it_may_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "WINDOW", 0.0)
    monkeypatch.setattr(threads, "seconds_queued", lambda: {"a": time.monotonic() * 10})
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        Threads(may_change=False).look()
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_a_busy_machine_is_told_of_once_where_threads_may_not_change(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(threads, "TASKS", Path("/"))
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        watching = Threads(may_change=False)
    finally:
        torch.set_num_threads(before)
    for share in (0.9, 0.9, 0.9, 0.9, 0.1, 0.9, 0.9, 0.9, 0.9):  # never five in a row
        watching.say(share)
    assert caplog.messages == []
    for _ in range(12):
        if watching.watches:
            watching.say(0.9)
    assert caplog.messages == [
        "other programs use this machine's cores, and 4 threads wait for them at each step: "
        "OMP_NUM_THREADS=1 is quicker now (the last digits may differ)"
    ]


def test_queued_seconds_are_read_from_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "TASKS", tmp_path)
    for task, content in (("1", "7 1500000000 3"), ("2", "7 500000000 3"), ("3", "")):
        (tmp_path / task).mkdir()
        (tmp_path / task / "schedstat").write_text(content)
    assert threads.seconds_queued() == {"1": 1.5, "2": 0.5}


def test_look_goes_by_the_thread_that_queued_longest(
    four: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "WINDOW", 0.0)
    monkeypatch.setattr(four, "may_change", True)  # where there is no /proc
    shares = []
    monkeypatch.setattr(four, "adapt", lambda share, unchanged_for: shares.append(share))
    four.since, four.queued = time.monotonic() - 1, {"a": 3.0, "b": 3.0, "gone": 9.0}
    monkeypatch.setattr(threads, "seconds_queued", lambda: {"a": 3.1, "b": 3.5, "new": 7.0})
    four.look()
    assert shares == [pytest.approx(0.5, rel=0.05)]


def test_a_kernel_that_tells_no_queues_changes_nothing(
    four: Threads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1").mkdir()  # without schedstat, as gVisor's
    monkeypatch.setattr(threads, "TASKS", tmp_path)
    monkeypatch.setattr(threads, "WINDOW", 0.0)
    four.look()
    assert torch.get_num_threads() == 4
