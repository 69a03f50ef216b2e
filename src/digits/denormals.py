"""Denormals, floats below 1e-38, count as zero in a process that trains.

A CPU takes up to 100 times as long over them, and the mean squared gradients of pixels that are
dark in nearly all images fade into them: an epoch would take half as long again by the tenth.
"""


def flush() -> None:
    """In this thread, and in those that it starts: call it before torch has computed anything, or
    the threads that torch has started by then keep their denormals.
    """
    import numpy as np
    import torch

    for kind in (np.float32, np.float64):  # before 2.3 numpy warns, once, that it sees none
        np.finfo(kind)
    torch.set_flush_denormal(True)
