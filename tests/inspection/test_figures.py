from pathlib import Path

import torch
from matplotlib.image import imread

from digits.inspection import figures


def test_ink_is_black_on_white_paper_under_its_label(tmp_path: Path) -> None:
    images = torch.zeros(3, 28, 28, dtype=torch.uint8)
    images[2, 10:18, 10:18] = 255
    figure = figures.samples(images, torch.tensor([5, 0, 4]), columns=2)
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.texts] == ["5", "0", "4"]
    for text in axis.texts:
        text.remove()
    figure.savefig(
        tmp_path / "x.png", dpi=36
    )  # a dot for each pixel: 2 rows of 40, 2 columns of 36
    grey = imread(tmp_path / "x.png")[..., :3].mean(-1)
    assert grey.shape == (80, 72)
    rows, columns = (grey < 0.5).nonzero()
    assert {int(r) for r in rows} == set(range(40 + 12 + 10, 40 + 12 + 18))
    assert {int(c) for c in columns} == set(range(4 + 10, 4 + 18))
    assert grey[0, 0] == 1.0
    assert grey[65, 16] == 0.0
