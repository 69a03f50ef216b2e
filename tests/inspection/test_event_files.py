"""What is written for TensorBoard, number by number."""

from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from digits.inspection import tensorboard
from support.tensorboard import events


def test_a_histogram_has_each_finite_number_in_its_bucket(tmp_path: Path) -> None:
    values = torch.tensor([0.0, 1.0, 2.0, 2.0, 32.0, torch.nan, torch.inf])
    with SummaryWriter(str(tmp_path / "tensorboard")) as writer:
        tensorboard.histogram(writer, "weights", values, 3)
        tensorboard.histogram(writer, "none", torch.tensor([torch.nan]), 3)
        tensorboard.histogram(writer, "one", torch.tensor([2.0]), 3)
    read = events(tmp_path)
    assert sorted(read.Tags()["histograms"]) == ["one", "weights"]
    (event,) = read.Histograms("weights")
    found = event.histogram_value
    assert event.step == 3
    assert (found.min, found.max, found.num, found.sum, found.sum_squares) == (0, 32, 5, 37, 1033)
    filled = {limit: count for limit, count in zip(found.bucket_limit, found.bucket, strict=True)
              if count}  # fmt: skip
    assert filled == {0.5: 1, 1.5: 1, 2.5: 2, 32: 1}, "64 buckets of half a unit"
    assert sum(read.Histograms("one")[0].histogram_value.bucket) == 1
