"""What the pool's server imports, once, for all jobs of a sweep. It computes nothing."""

import os

from digits import deferred
from digits.console import program
from digits.imports import importing
from digits.sweeps.folder import STORAGE

program("train")
with importing():
    deferred.import_lightning()
    import digits.training.parts
    import digits.training.results
    import digits.training.resumption
    import digits.training.saving
    import digits.training.trainer

    if STORAGE in os.environ:  # a search: its trials may be pruned
        import digits.sweeps.pruning
        import digits.sweeps.study  # noqa: F401
