"""Somebody's own images: tiny folders of them."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from digits.data.image_folder import FolderDataModule
from digits.errors import InputError
from support.commands import UNSEEN, command, tool

QUIET = ("logger=none", *UNSEEN)


def stroke(angle: int) -> Image.Image:
    """Dark ink on light paper: a bar, turned by some degrees."""
    pixels = np.full((60, 80), 230, np.uint8)
    pixels[10:50, 38:43] = 20
    return Image.fromarray(pixels).rotate(angle, fillcolor=230)


def write(folder: Path, **files: Image.Image) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in files.items():
        image.save(folder / f"{name}.png")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Of bars that stand (1) and lie (7), ten of each; what is hidden above them is no matter."""
    for k in range(10):
        write(tmp_path / ".mine" / "photos" / "1", **{f"n{k}": stroke(k)})
        write(tmp_path / ".mine" / "photos" / "7", **{f"n{k}": stroke(90 + k)})
    return tmp_path / ".mine" / "photos"


def both(path: Path, **options: Any) -> FolderDataModule:
    data = FolderDataModule(str(path), batch_size=1, **options)
    for stage in ("fit", "test"):
        data.setup(stage)
    return data


def test_an_image_is_read_as_predict_reads_it(photos: Path) -> None:
    data = both(photos)
    assert (data.side, data.classes, data.channels) == (28, 2, None)
    assert data.class_names == ["1", "7"]
    train, test = data.train, data.test
    assert train is not None
    assert test is not None
    assert (len(train[1]), len(test[1])) == (18, 2)
    assert train[0].dtype == torch.uint8
    for image_HW, label in zip(*train, strict=True):
        assert image_HW[:2].max() == 0  # dark ink on paper is light on black, in the middle
        rows, columns = (int((image_HW > 99).any(axis).sum()) for axis in (1, 0))
        assert (rows > columns) == (label == 0), (rows, columns)
    assert len(both(photos, channels=1).train_dataloader().images_NHW[0]) == 1


def test_the_test_set_is_always_the_same_and_an_image_more_moves_no_other(photos: Path) -> None:
    def names(stage: str, **options: Any) -> set[str]:
        data = FolderDataModule(str(photos), batch_size=1, **options)
        return {f"{file.parent.name}/{file.stem}" for _, file in data.files[stage]}

    before = names("test", seed=0)
    assert before == names("test", seed=5) == {"1/n7", "7/n2"}
    assert not before & names("fit")
    assert len(before | names("fit")) == 20
    for k in range(10, 30):
        write(photos / "1", **{f"n{k}": stroke(k)})
    assert before == {name for name in names("test") if int(name[3:]) < 10}
    assert before < names("test", test_share=0.5)


def test_folders_train_and_test_are_taken_as_they_are(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    photos.rename(tmp_path / "whole" / "train")
    write(tmp_path / "whole" / "test" / "7", one=stroke(90))
    data = both(tmp_path / "whole")
    assert data.train is not None
    assert data.test is not None
    assert (len(data.train[1]), data.test[1].tolist()) == (20, [1])


@pytest.mark.parametrize(
    ("channels", "shape", "first"),
    [(None, (6, 6), 76), (1, (1, 6, 6), 76), (3, (3, 6, 6), [255, 0, 0])],
)
def test_what_is_resized_keeps_its_ground_and_if_asked_its_colour(
    channels: Any, shape: tuple[int, ...], first: Any, tmp_path: Path
) -> None:
    for name, colour in (("blue", (0, 0, 255)), ("red", (255, 0, 0))):
        write(tmp_path / name, a=Image.new("RGB", (40, 30), colour))
        Image.new("RGB", (9, 90), colour).save(tmp_path / name / "b.bmp")
    clear = Image.new("RGBA", (50, 50))
    clear.paste((255, 0, 0, 255), (0, 0, 50, 25))
    write(tmp_path / "red", c=clear)
    write(tmp_path / "blue", c=Image.fromarray(np.full((9, 9), 40_000, np.uint16)))
    data = both(tmp_path, reading="resize", side=6, channels=channels, test_share=0.4)
    assert data.train is not None
    images, labels = data.train
    assert images.shape[1:] == shape
    reds = images[labels == 1]
    assert reds[0].flatten(-2)[..., 0].tolist() in (first, [first])
    if channels == 3:
        assert reds[-1][:, 5, 0].tolist() == [255, 255, 255]


def test_what_is_no_image_is_left_out_and_told_of(
    photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for k in range(4):
        (photos / "7" / f"note{k}.txt").write_text("no image")
    write(photos / "1", blank=Image.new("L", (40, 40), 250))
    (photos / "1" / ".DS_Store").write_text("hidden")
    write(photos / ".cache", a=stroke(0))
    write(photos / "7" / "more", a=stroke(90))
    data = both(photos)
    assert data.train is not None
    assert (len(data.train[1]), data.test_dataloader().labels_N.tolist()) == (19, [0, 1])
    assert [record.message for record in caplog.records] == [
        f"data.path={photos}: 3 of 22 training images are left out: 7/note1.txt can't be read, "
        "7/note2.txt can't be read, 7/note3.txt can't be read",
        f"data.path={photos}: 2 of 4 test images are left out: 1/blank.png is blank, "
        "7/note0.txt can't be read",
    ]
    data.read("fit")
    assert len(caplog.records) == 2, "they are read once"


def emptied(photos: Path) -> None:
    for file in photos.rglob("*.png"):
        file.write_bytes(b"")


def with_another_class(photos: Path) -> None:
    (photos / "train").mkdir()
    for name in ("1", "7"):
        (photos / name).rename(photos / "train" / name)
    write(photos / "test" / "3", a=stroke(45))


WRONG: dict[str, tuple[Callable[[Path], Any], dict[str, Any], str]] = {
    "missing": (lambda path: path.rename(path.parent / "x"), {}, "no such folder; expected a "),
    "one class": (
        lambda path: (path / "1").rename(path.parent / "x"), {},
        "it has 9 images to train on, of 1 classes, and 1 to test with; expected a folder with",
    ),
    "all for the test": (
        lambda path: None, {"test_share": 0.99999},
        "it has 0 images to train on, of 0 classes, and 20 to test with, of other classes: 1, 7; e",
    ),
    "a new class in the test": (
        with_another_class, {},
        "it has 20 images to train on, of 2 classes, and 1 to test with, of other classes: 3; exp",
    ),
    "empty files": (
        emptied, {}, "18 of 18 training images are left out: 1/n0.png can't be read, 1/n1.png can",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_folder_is_told_of(photos: Path, wrong: str) -> None:
    spoil, options, line = WRONG[wrong]
    spoil(photos)
    with pytest.raises(InputError) as caught:
        both(photos, **options)
    assert str(caught.value).startswith(f"data.path={photos}: {line}")


def test_a_folder_is_learned_tested_and_read(photos: Path, tmp_path: Path) -> None:
    (photos / "7").rename(photos / "bar")
    words = ("data=folder", f"data.path={photos}", "data.batch_size=8", "model.hidden_size=16")
    outputs = tmp_path / "outputs"
    outcome = command("train", *words, "trainer.max_epochs=8", *QUIET[:3], outputs=outputs)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.metrics["test/acc"] == 1
    assert "<td>bar</td>" in (outcome.folder / "report.html").read_text()
    again = command("eval", "ckpt_path=latest", "callbacks.report=null", outputs=outputs)
    assert (again.code, again.err) == (0, ""), "the folder is as the run recorded it"
    file = io.BytesIO()
    stroke(0).save(file, "PNG")
    ckpt = str(outcome.folder / "checkpoints" / "last.ckpt")
    code, _, err = tool("predict", "-", "--ckpt", ckpt, stdin=file.getvalue())
    assert (code, err.count("\n")) == (2, 1)
    assert "its network tells 2 classes of images of 28 pixels a side; expected 10 digits" in err
    (photos / "1").rename(photos / "ace")
    last = command("eval", f"ckpt_path={ckpt}", "callbacks.report=null", outputs=outputs)
    line = f"error: data.path={photos}: its classes are ace, bar; expected 1, bar\n"
    assert (last.code, last.err) == (2, line)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "data.path=null: no such folder; expected a folder with one of images for each class"),
        (
            ("data.channels=3",),
            "data.side=28 data.channels=3: data.reading=digit gives grey images",
        ),
    ],
)
def test_wrong_settings_are_one_line(words: tuple[str, ...], line: str, tmp_path: Path) -> None:
    outcome = command("train", "data=folder", *words, *QUIET, outputs=tmp_path)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {line}")
    assert outcome.err.count("\n") == 1
