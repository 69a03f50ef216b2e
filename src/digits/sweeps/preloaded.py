"""The pool's server imports this module once for all jobs of a sweep; it computes nothing."""

import os
import signal

if __name__ != "__main__":  # Ctrl+C is for the sweep, even during these imports
    from digits import signals

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals.let_go()

from digits import imports
from digits.console import program
from digits.imports import importing
from digits.sweeps.sweep_folder import STORAGE

program("train")
with importing():
    imports.import_lightning()
    import digits.training.parts
    import digits.training.results
    import digits.training.resumption
    import digits.training.saving
    import digits.training.trainer

    if STORAGE in os.environ:  # the sweep is a search, whose trials may be pruned
        import digits.sweeps.pruning
        import digits.sweeps.study  # noqa: F401
