"""What a checkpoint holds, read without torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from digits.errors import InputError

if TYPE_CHECKING:
    from digits.runs.archive import MakeTensor

Checkpoint = dict[str, Any]
OURS = "digits.model.classifier.DigitClassifier"
TARGET, NET = "model._target_", "model.net._target_"


def read(path: str, tensor: "MakeTensor") -> Checkpoint:
    """Return a checkpoint's content, with tensors made by `tensor`. Raises InputError for any other
    file.
    """
    from digits.runs import archive  # it needs numpy, which takes a while

    try:
        content = archive.content(Path(path), tensor)
        _check_is_ours(content)
    except OSError as error:
        raise InputError(f"ckpt_path={path}: {error.strerror}; expected a readable file") from error
    except Exception as error:  # zipfile and pickle raise half a dozen kinds
        line = f"ckpt_path={path}: not a checkpoint written by train.py, or damaged"
        raise InputError(line) from error
    return cast(Checkpoint, content)


def _check_is_ours(content: Any) -> None:
    """Raises ValueError for other content, or whatever looking into it raises."""
    for name in ("hyper_parameters", "best_scores"):  # a model or a callback may have saved none
        content.setdefault(name, {})
    parts = (content[name] for name in ("state_dict", "hyper_parameters", "best_scores"))
    names = [name for part in parts for name in dict.keys(part)]
    are_ours = (
        "pytorch-lightning_version" in content
        and all(isinstance(name, str) for name in names)
        and all(isinstance(score, float) for score in content["best_scores"].values())
        and all(
            hasattr(value, "shape") or name.endswith("_extra_state")  # a module's get_extra_state
            for name, value in content["state_dict"].items()
        )
    )
    if not are_ours:
        raise ValueError("it has other parts")


def is_ours(content: Checkpoint) -> bool:
    """Whether a checkpoint's model is the project's with its own network, which sizes define."""
    settings = content.get("settings", {})
    return settings.get(TARGET, OURS).endswith(".DigitClassifier") and NET not in settings


def class_names(content: Checkpoint) -> list[str]:
    """Return what the data module calls its classes; nothing if it has no names for them."""
    name = str(content.get("settings", {}).get("data._target_")).rpartition(".")[2]
    state = content.get(name)
    names = state.get("class_names") if isinstance(state, dict) else None
    return list(map(str, names)) if isinstance(names, list) else []
