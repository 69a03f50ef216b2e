"""What is written for TensorBoard, number by number."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
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


@pytest.mark.parametrize("fill", [0.0, 2.5])
def test_the_projectors_numbers_are_not_taken_for_text(tmp_path: Path, fill: float) -> None:
    """Zeros are text, too: of a network whose units are all dead."""
    hidden, pictures = torch.full((3, 2), fill), np.zeros((3, 2, 2), np.uint8)
    pictures[2] = 255
    columns = {"label": ["a", "b\tc", "d"], "right": ["yes", "no", "yes"]}
    tensorboard.projector(tmp_path, hidden, columns, pictures)
    content = (tmp_path / "projector" / "hidden.bytes").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        content.decode()
    assert np.frombuffer(content, "<f4") == pytest.approx([fill] * 6, rel=1e-4)
    config = (tmp_path / "projector_config.pbtxt").read_text()
    told = re.findall(r'(\w+_path): "(.*)"', config)
    assert dict(told) == {
        "tensor_path": "projector/hidden.bytes", "metadata_path": "projector/labels.tsv",
        "image_path": "projector/sprite.png",
    }  # fmt: skip
    assert re.findall(r"tensor_shape: (\d+)", config) == ["3", "2"]
    assert re.findall(r"single_image_dim: (\d+)", config) == ["2", "2"]
    table = (tmp_path / "projector" / "labels.tsv").read_text()
    assert table == "label\tright\na\tyes\nb c\tno\nd\tyes\n"
    sprite = np.asarray(Image.open(tmp_path / "projector" / "sprite.png"))
    assert (sprite[:2] == 255).all(), "two by two pictures, of which the first two are paper"
    assert (sprite[2:, :2] == 0).all(), "ink"
