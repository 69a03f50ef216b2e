"""Denormals, floats below 1e-38, count as zero in a process that trains.

A CPU takes up to 100 times as long over them, and the mean squared gradients of pixels that are
dark in nearly all images fade into them: an epoch would take half as long again by the tenth.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

SMALLEST = 1  # the bits of float32's smallest denormal, 1.4e-45
EACH = 1 << 16  # of a tensor that torch divides among its threads, twice what one takes at least


def flush() -> None:
    """In this thread, and in those that it starts: call it before torch has computed anything, or
    the threads that torch has started by then keep their denormals.
    """
    import numpy as np
    import torch

    for kind in (np.float32, np.float64):  # before 2.3 numpy warns, once, that it sees none
        np.finfo(kind)
    torch.set_flush_denormal(True)


def are_flushed() -> bool:
    """Whether they are in all of torch's threads, which are started for the question. True for a
    CPU that can't.
    """
    import torch

    if not torch.set_flush_denormal(True):
        return True
    count = EACH * torch.get_num_threads()
    denormals = torch.full((count,), SMALLEST, dtype=torch.int32).view(torch.float32)
    return not (denormals * 1).view(torch.int32).any()


@contextmanager
def as_before() -> Iterator[None]:
    """Afterwards this thread keeps denormals if it did: a caller may need them."""
    kept = sys.float_info.min / 2 > 0
    try:
        yield
    finally:
        if kept and (torch := sys.modules.get("torch")):
            torch.set_flush_denormal(False)
