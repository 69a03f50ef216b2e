"""Train, and read images, from Python by the commands' own code; errors are exceptions."""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.commands import app, newest
from digits.console import program
from digits.files import home
from digits.images import drawing
from digits.images.drawn import Drawing
from digits.imports import import_lightning, importing, look_here_too
from digits.inspection import evidence
from digits.inspection.evidence import Evidence
from digits.prediction import inputs, loading, reading
from digits.prediction.predictor import Prediction, Predictor
from digits.runs import configs, run
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
    path = _checkpoint(model, config_dirs)
    with importing():
        return Reader(loading.from_file(str(path), config_dirs), path)


def open(model: str | Path = "latest", config_dirs: Sequence[str] = ()) -> "Opened":  # noqa: A001
    """Return the run whose model `load` would read digits by. Raises InputError for no run's."""
    path = _checkpoint(model, config_dirs)
    folder = RunFolder(path.absolute().parents[1])
    found = run.read(folder.path)
    with importing():
        import_lightning()
        from digits.runs import checkpoint
        from digits.training import parts

    content = checkpoint.read(str(path))
    cfg = configs.of_run(folder, config_dirs)
    cfg.seed = found.config.get("seed", cfg.seed)
    module, data = parts.of_checkpoint(cfg, path, content)
    checkpoint.check_fits(str(path), module, content)
    module.load_state_dict(content["state_dict"])
    return Opened(found, evidence.read(folder.evidence), module.eval(), data)


def _checkpoint(model: str | Path, config_dirs: Sequence[str]) -> Path:
    look_here_too(*map(os.path.dirname, map(os.path.abspath, config_dirs)))
    path = RunFolder(model).judged
    return path if path.is_file() else newest.checkpoint(str(model), str(home() / "outputs"))


class Opened:
    """A run: `model` with the weights that were tested, in eval mode; its `settings`, `metrics` and
    `epochs`; of the images that it was tested with `labels` (N,) and `probabilities` (N, K), None
    if it kept none.
    """

    def __init__(self, found: Run, kept: Evidence | None, model: Any, data: Any) -> None:
        self.model, self._data = model, data
        self.settings, self.metrics, self.epochs = found.config, found.metrics, found.epochs
        self.labels = kept.labels_N if kept else None
        self.probabilities = kept.probabilities_NP if kept and kept.probabilities_NP.size else None

    @cached_property
    def data(self) -> Any:
        """The run's data module, which reads its images at the first look."""
        self._data.prepare_data()
        for stage in ("fit", "test"):
            self._data.setup(stage)
        return self._data


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
        yield reading.best(drawing.of_image(picture))
    else:
        with inputs.reading(inputs.named([os.fspath(picture)]), few=150) as reads:
            for _, read in reads:
                if isinstance(read, Exception):
                    raise read
                yield read
