"""Somebody's own images, sorted into folders by class. Shapes: H W pixels."""

import logging
import os
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from digits.data.augment import Augment
from digits.data.batches import Batch
from digits.data.datamodule import ImageDataModule
from digits.data.mnist import SIDE
from digits.errors import InputError
from digits.images import decode, drawing
from digits.text import shown

log = logging.getLogger(__name__)

EXPECTED = "expected a folder with one of images for each class: PATH/3/a.png, PATH/4/b.jpg"
Files = list[tuple[str, Path]]  # each with its class


class FolderDataModule(ImageDataModule):
    """The images in `path`, in a folder for each class: in `path`/train and `path`/test if it has
    both. If not, about `test_share` of them (a fraction) are the test set. Their names decide which
    ones, so that an image that is added moves no other.

    With `reading` digit an image becomes what predict sees in it, (28, 28); with resize it is
    brought to `side` x `side` pixels as it is, in colour if `channels` is 3.
    """

    def __init__(
        self,
        path: str | None = None,
        reading: Literal["digit", "resize"] = "digit",
        side: int = SIDE,
        channels: Literal[1, 3] | None = None,
        test_share: float = 0.2,
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        val_size: int = 0,
        seed: int = 0,
        train_size: int | None = None,
        folds: int | None = None,
        fold: int | None = None,
        augment: Augment | None = None,
    ) -> None:
        super().__init__(
            batch_size, eval_batch_size, val_size, seed, None, train_size, folds, fold, augment
        )
        if reading == "digit" and (side != SIDE or channels == 3):
            raise InputError(
                f"data.side={side} data.channels={shown(channels)}: data.reading=digit gives grey "
                f"images of {SIDE} pixels a side; expected data.reading=resize too"
            )
        self.path, self.reading, self.side, self.channels = path, reading, side, channels
        self.files = dict(zip(("fit", "test"), _parts(path, test_share), strict=True))
        self.class_names = names = list(dict(self.files["fit"]))
        self.classes, self.label_of = len(names), {name: k for k, name in enumerate(names)}
        self.batches: dict[str, Batch] = {}  # by stage: they are read once

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        if state_dict["class_names"] != self.class_names:
            told = (self.label_of, state_dict["class_names"])
            are, were = (shown(", ".join(map(str, names)))[:80] for names in told)
            raise InputError(f"data.path={self.path}: its classes are {are}; expected {were}")

    def read(self, stage: str) -> Batch:
        if stage not in self.batches:
            with ThreadPoolExecutor() as pool:
                files = self.files[stage]
                read = pool.map(self._image, (file for _, file in files))
                found = list(tqdm(read, stage, len(files), unit=" files", disable=None))
            self._say(stage, found)
            labels = [self.label_of[name] for name, _ in files]
            are_there = [isinstance(image, np.ndarray) for image in found]
            images = np.stack([image for image in found if not isinstance(image, str)])
            self.batches[stage] = torch.from_numpy(images), torch.tensor(labels)[are_there]
        return self.batches[stage]

    def _image(self, file: Path) -> NDArray[np.uint8] | str:
        """Its pixels, or why there are none."""
        try:
            if self.reading == "digit":
                whole = drawing.read(file.read_bytes()).whole
                return "is blank" if whole is None else whole.pixels_HW
            return _resized(file.read_bytes(), self.side or SIDE, self.channels == 3)
        except (OSError, InputError):
            return "can't be read"

    def _say(self, stage: str, found: list[NDArray[np.uint8] | str]) -> None:
        """Log which files are left out. Raises InputError if all are."""
        files = zip(self.files[stage], found, strict=True)
        lost = [f"{'/'.join(f.parts[-2:])} {why}" for (_, f), why in files if isinstance(why, str)]
        some = ", ".join(lost[:3]) + ", ..." * (len(lost) > 3)
        images = "test images" if stage == "test" else "training images"
        line = f"{len(lost)} of {len(found)} {images} are left out: {some}"
        if len(lost) == len(found):
            raise InputError(shown(f"data.path={self.path}: {line}; {EXPECTED}"))
        if lost:
            log.warning("%s", shown(f"data.path={self.path}: {line}"))


def _parts(path: str | None, test_share: float) -> tuple[Files, Files]:
    """The files to train on, and those to test with. Raises InputError for a wrong folder."""
    folder, given = Path(path or ""), f"data.path={shown(path)}"
    if path is None or not folder.is_dir():
        raise InputError(f"{given}: no such folder; {EXPECTED}")
    train, test = parts = _apart(folder, test_share)
    names, tested = ({name for name, _ in part} for part in parts)
    others = shown(", ".join(sorted(tested - names)))[:80]
    if len(names) < 2 or not test or others:
        there_are = [f"{len(train)} images to train on, of {len(names)} classes"]
        there_are += [f"{len(test)} to test with" + f", of other classes: {others}" * bool(others)]
        raise InputError(f"{given}: it has {', and '.join(there_are)}; {EXPECTED}")
    return parts


def _apart(folder: Path, test_share: float) -> tuple[Files, Files]:
    train, test = folder / "train", folder / "test"
    if train.is_dir() or test.is_dir():
        return _by_class(train), _by_class(test)
    parts: tuple[Files, Files] = [], []
    for name, file in _by_class(folder):
        place = zlib.crc32(os.fsencode(file.relative_to(folder).as_posix())) / (1 << 32)
        parts[place < test_share].append((name, file))
    return parts


def _by_class(folder: Path) -> Files:
    files = sorted(file.relative_to(folder) for file in folder.glob("*/**/*") if file.is_file())
    shown_ones = (file for file in files if not any(part[0] == "." for part in file.parts))
    return [(file.parts[0], folder / file) for file in shown_ones]


def _resized(data: bytes, side: int, in_colour: bool) -> NDArray[np.uint8]:
    """(side, side) or, in colour, (3, side, side), where what is transparent is white."""
    image, _ = decode.upright(data, decode.MAX_PIXELS, None, 2 * side)
    if not in_colour or image.mode[0] in "IF":
        image = decode.grey(image)
    if not in_colour:
        return np.asarray(image.resize((side, side)))
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image.convert("RGBA"))
    return np.asarray(paper.convert("RGB").resize((side, side))).transpose(2, 0, 1)
