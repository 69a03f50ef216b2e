"""How many threads compute when other programs want the cores too.

A parallel section ends when its slowest thread does. Where another program has taken a core, the
rest spin at the end of each section until the scheduler gives that thread a turn, and a step takes
ten times as long. Here, while threads have to queue for the cores, one fewer computes.
"""

import logging
import time
from contextlib import suppress
from pathlib import Path

import torch

log = logging.getLogger(__name__)

QUEUED = 0.3  # seconds a second, the worst thread: alone 0-0.2 was seen, beside a busy program 0.5
WINDOW = 0.2  # seconds to look over
WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds to the next try with one thread more
PATIENCE = 5  # looks in a row that find queues before a line says so
TASKS = Path("/proc/self/task")  # Linux; elsewhere there is nothing to see


class Threads:
    """Between one thread and as many as torch had when this was made. Always those unless they
    `may_change`; then a line says that the machine is busy.
    """

    def __init__(self, may_change: bool) -> None:
        self.most = torch.get_num_threads()
        self.watches = self.most > 1 and TASKS.is_dir()
        self.may_change = may_change
        self.since, self.queued = time.monotonic(), seconds_queued()
        self.changed, self.failures = self.since, 0
        self.busy_looks = 0

    def look(self) -> None:
        """Takes a thread away or gives one back, as the machine allows. Call it at any rate."""
        now = time.monotonic()
        if not self.watches or now - self.since < WINDOW:
            return
        queued = seconds_queued()
        waits = (queued[task] - self.queued.get(task, queued[task]) for task in queued)
        share = max(waits, default=0.0) / (now - self.since)
        self.since, self.queued = now, queued
        if self.may_change:
            self.adapt(share, now - self.changed)
        else:
            self.say(share)

    def say(self, share: float) -> None:
        """Once, if the machine is busy for long."""
        self.busy_looks = self.busy_looks + 1 if share > QUEUED else 0
        if self.busy_looks >= PATIENCE:
            self.watches = False
            log.warning(
                "other programs use this machine's cores, and %d threads wait for them at each "
                "step: OMP_NUM_THREADS=1 is quicker now (the last digits may differ)",
                self.most,
            )

    def adapt(self, share: float, unchanged_for: float) -> None:
        """Given the seconds queued a second, and for how many seconds these threads were used."""
        threads = torch.get_num_threads()
        if share > QUEUED and threads > 1:
            self._use(threads - 1)
            self.failures = min(self.failures + 1, len(WAITS))
        elif threads < self.most and unchanged_for > WAITS[self.failures - 1]:
            self._use(threads + 1)
        elif threads == self.most and unchanged_for > WAITS[-1]:
            self.failures = 0

    def release(self) -> None:
        if self.may_change:
            torch.set_num_threads(self.most)

    def _use(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.changed = self.since


def seconds_queued() -> dict[str, float]:
    """How long each of this process's threads has waited for a core, being ready (0.1 ms)."""
    seconds = {}
    for task in TASKS.glob("*/schedstat"):
        with suppress(OSError, IndexError):  # a thread that has just ended
            seconds[task.parent.name] = int(task.read_text().split()[1]) / 1e9
    return seconds
