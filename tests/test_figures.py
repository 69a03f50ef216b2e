from pathlib import Path

import torch
from matplotlib.image import imread

from digits import figures


def test_ink_is_black_on_white_paper(tmp_path: Path) -> None:
    images = torch.zeros(3, 28, 28, dtype=torch.uint8)
    images[:, 10:18, 10:18] = 255
    figure = figures.samples(images, torch.tensor([5, 0, 4]), columns=2)
    assert [axis.get_title() for axis in figure.axes] == ["5", "0", "4"]
    figure.savefig(tmp_path / "x.png")
    grey = imread(tmp_path / "x.png")[..., :3].mean(-1)
    assert grey[0, 0] == 1.0
    ink = (grey < 0.01).mean()  # three squares of (8/28)² in four cells, cells not all image
    assert 0.01 < ink < 3 / 4 * (8 / 28) ** 2
