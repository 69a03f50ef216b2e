"""Train, and read images, from Python by the commands' own code; errors are exceptions."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.commands import app, newest
from digits.console import program
from digits.files import home
from digits.images import drawing
from digits.images.drawing import Drawing
from digits.imports import importing, look_here_too
from digits.prediction import inputs, loading
from digits.prediction.predictor import Prediction, Predictor
from digits.runs import run
from digits.runs.folder import RunFolder
from digits.runs.run import Run

Picture = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]


def train(*settings: str, config_dir: str | None = None) -> Run:
    """Train as digits-train does with these words: train("trainer.max_epochs=1", "seed=3").
    `config_dir` is a folder of your own configs. Raises InputError for wrong settings.
    """
    flags = [f"--config-dir={config_dir}"] if config_dir else []
    return run.read(app.run_in_python(program("train").main, [*flags, *settings]))


def load(model: str | Path = "latest", config_dirs: Sequence[str] = ()) -> "Reader":
    """Return a Reader by the model of a checkpoint, a run's folder, or the latest run.
    `config_dirs` are folders of your own configs. Raises InputError for any other `model`.
    """
    look_here_too(*map(os.path.dirname, map(os.path.abspath, config_dirs)))
    path = RunFolder(model).judged
    if not path.is_file():
        path = newest.checkpoint(str(model), str(home() / "outputs"))
    with importing():
        return Reader(loading.from_checkpoint(str(path), config_dirs), path)


class Reader:
    """Reads digits by the model at `path`."""

    def __init__(self, predictor: Predictor, path: Path) -> None:
        self.predictor, self.path = predictor, path

    def read(self, *pictures: Picture) -> list[Prediction]:
        """Return a prediction for each picture. A picture is a file, a folder or pattern of files,
        a Pillow image, or an array (H, W) or (H, W, 3), uint8. Raises InputError for others.
        """
        return self.predictor.predict([d for picture in pictures for d in _drawings(picture)])


def _drawings(picture: Picture) -> Iterator[Drawing]:
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    if isinstance(picture, Image.Image):
        yield drawing.normalise(picture)
    else:
        with inputs.reading(inputs.named([os.fspath(picture)]), few=150) as reads:
            for _, read in reads:
                if isinstance(read, Exception):
                    raise read
                yield read
