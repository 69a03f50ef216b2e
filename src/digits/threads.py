"""How many threads compute when other programs want the cores too.

A parallel section ends when its slowest thread does. Where another program has taken a core, the
rest spin at the end of each section until the scheduler gives that thread a turn, and a step takes
ten times as long. Here they spin half a millisecond at most (`SPIN` in cli.py), and once they are
turned out of the cores often, one fewer computes for a while.
"""

import sys
import time

import torch

TURNED_OUT = 300.0  # involuntary context switches a second; alone 20-160 were seen, beside one
WINDOW = 0.2  # seconds to count them over               # busy neighbour 600-1000
WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds to the next try with one thread more


class Threads:
    """Between one thread and as many as torch had when this was made; always those unless they
    `may_change`.
    """

    def __init__(self, may_change: bool) -> None:
        self.most, self.may_change = torch.get_num_threads(), may_change
        self.since, self.switches = time.monotonic(), involuntary_switches()
        self.changed, self.failures = self.since, 0

    def look(self) -> None:
        """Takes a thread away or gives one back, as the machine allows. Call it at any rate."""
        now = time.monotonic()
        if not self.may_change or now - self.since < WINDOW:
            return
        switches = involuntary_switches()
        rate = (switches - self.switches) / (now - self.since)
        self.since, self.switches = now, switches
        threads, waited = torch.get_num_threads(), now - self.changed
        if rate > TURNED_OUT and threads > 1:
            self._use(threads - 1)
            self.failures += 1
        elif waited > WAITS[min(self.failures, len(WAITS)) - 1] and threads < self.most:
            self._use(threads + 1)
        elif waited > WAITS[-1]:
            self.failures = 0

    def release(self) -> None:
        torch.set_num_threads(self.most)

    def _use(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.changed = self.since


def involuntary_switches() -> int:
    """How often the scheduler has taken a core from this process; 0 where that can't be known."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
