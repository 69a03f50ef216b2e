"""A run's TensorBoard files, read back."""

import warnings
from functools import cache
from pathlib import Path

with warnings.catch_warnings(action="ignore"):  # html5lib's, which comes along
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ALL = dict.fromkeys(("scalars", "images", "histograms", "tensors"), 0)


@cache
def events(run: Path) -> EventAccumulator:
    """Of a run that has ended."""
    return EventAccumulator(str(run / "tensorboard"), size_guidance=ALL).Reload()


def points(run: Path, tag: str) -> list[tuple[int, float]]:
    """Of a scalar, (step, value)."""
    return [(event.step, event.value) for event in events(run).Scalars(tag)]
