"""Networks that read digits, from checkpoints and safetensors; torch is for a user's own.
Shapes: N images (B inside a network), H W pixels, K = 10 classes.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits.data.mnist import CLASSES, SIDE
from digits.errors import InputError
from digits.files import ROBUST, is_plain, relative
from digits.images.drawn import Pixels
from digits.prediction.network import Weights, from_safetensors, metadata
from digits.prediction.predictor import Predictor
from digits.runs import archive, contents
from digits.runs.folder import RunFolder
from digits.text import flat, shown

if TYPE_CHECKING:
    from torch import Tensor, nn

NAMES: tuple[list[str], ...] = ([], list("0123456789"))  # of classes; old checkpoints have none
OF_DIGITS = {"side": SIDE, "classes": CLASSES, "channels": 1, "filters": 0}


@dataclass(frozen=True)
class Model:
    """Which network reads, and what is known of it."""

    name: str
    test_accuracy: float | None = None
    report: Path | None = None
    test_images: int | None = None

    def for_others(self) -> "Model":
        """Without the folders of this machine."""
        return replace(self, name=Path(self.name).name) if os.path.isabs(self.name) else self

    def __str__(self) -> str:
        if self.test_accuracy is None:
            return self.name
        share = f"{100 * self.test_accuracy:.2f} % of {self.test_images:,}"
        return f"{self.name}, which reads {share} test images"


def described(path: str) -> Model:
    """The model in a file that `from_file` reads."""
    file = Path(path).absolute()
    name = "robust" if file == ROBUST else relative(file)
    run = RunFolder.of(file)
    about = metadata(file) if file.suffix == ".safetensors" else {}
    about = run.tested(file) if run else about
    report = run.report if run and is_plain(run.path, run.report.name) else None
    with suppress(KeyError, ValueError):
        accuracy, images = float(about["test_accuracy"]), int(about["test_images"])
        if 0 <= accuracy <= 1:
            return Model(name, accuracy, report, images)
    return Model(name, report=report)


def from_file(path: str, config_dirs: Sequence[str] = ()) -> Predictor:
    """Of a checkpoint or of a safetensors file. `config_dirs` have a user's own configs. Raises
    InputError if train.py or export.py did not write it, or its model does not read digits.
    """
    if path.endswith(".safetensors"):
        try:
            return Predictor(from_safetensors(Path(path)))
        except Exception as error:  # safetensors raises its own
            expected = "expected one of digits that export.py wrote"
            raise InputError(f"--ckpt {path}: {expected} ({flat(str(error))[:200]})") from error
    if by_numpy := numpy_network(contents.read(path, archive.floats)):
        return Predictor(by_numpy)
    import torch

    from digits.runs import checkpoint

    net = network_of(path, checkpoint.read(path), config_dirs)

    def network(images_NHW: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            x_BHW = torch.from_numpy(images_NHW).float() / 255
            p_BK: NDArray[np.float32] = net(x_BHW).softmax(1).numpy()
            return p_BK

    return Predictor(network)


def numpy_network(content: contents.Checkpoint) -> Weights | None:
    """The network of a checkpoint of the reference's kind, of MNIST's digits; None for others, and
    for what is wrong with a checkpoint: torch reads these.
    """
    sizes, names = content["hyper_parameters"], contents.class_names(content)
    known = OF_DIGITS | {"hidden_size": sizes.get("hidden_size")}
    if not contents.is_ours(content) or names not in NAMES or known | sizes != known:
        return None
    weights = Weights.of(content["state_dict"])
    return weights if weights and len(weights.bias_H) == sizes.get("hidden_size") else None


def network_of(path: str, content: dict[str, Any], config_dirs: Sequence[str] = ()) -> "nn.Module":
    """The network in a checkpoint, the project's own or one that its run's configs name: float32
    images (B, 28, 28) in [0, 1] to logits (B, 10); it gives a model that wants them as
    (B, 1, 28, 28) this form. Raises InputError for others.
    """

    net = _network_of(path, content, config_dirs)
    names = contents.class_names(content)
    if names not in NAMES:
        raise InputError(
            f"ckpt_path={path}: its classes are {shown(', '.join(names))[:80]}; expected the "
            "digits 0 to 9"
        )
    return net


def _network_of(path: str, content: dict[str, Any], config_dirs: Sequence[str]) -> "nn.Module":
    from digits.runs import checkpoint, configs

    if contents.is_ours(content):
        return checkpoint.digits_network_of(path, content)
    from hydra.utils import instantiate

    config = configs.of_run(RunFolder.of(Path(path)), config_dirs).model
    was, now = content["settings"][contents.TARGET], str(config.get("_target_"))
    if was != now:
        raise InputError(
            f"ckpt_path={path}: its model is {str(was)[:80]}, which no config of its run names; "
            "expected it in configs/model, or in --config-dir's"
        )
    model: nn.Module = instantiate(config)
    checkpoint.check_fits(path, model, content)
    model.load_state_dict(content["state_dict"])
    if _problem(model.eval()):
        model.register_forward_pre_hook(with_channel)
        if problem := _problem(model):
            raise InputError(
                f"ckpt_path={path}: expected images (B, {SIDE}, {SIDE}) or (B, 1, {SIDE}, {SIDE}) "
                f"to logits (B, {CLASSES}); its model {problem}"
            )
    return model


def with_channel(_: object, given: tuple["Tensor"]) -> tuple["Tensor"]:
    """The hook of a model that wants images (B, 1, H, W): it turns (B, H, W) into these."""
    return (given[0].unsqueeze(1),)


def _problem(model: "nn.Module") -> str | None:
    """What keeps `model` from taking images (B, 28, 28) to logits; None if it does."""
    import torch

    try:
        with torch.inference_mode():
            logits_BK = model(torch.zeros(2, SIDE, SIDE))
    except Exception as error:
        return flat(f"says {type(error).__name__}: {error}")[:165]
    if isinstance(logits_BK, torch.Tensor) and logits_BK.shape == (2, CLASSES):
        return None
    given = getattr(logits_BK, "shape", type(logits_BK).__name__)
    form = tuple(given) if isinstance(given, torch.Size) else given
    return f"gives {form} for a batch of 2"
