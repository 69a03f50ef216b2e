from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal, Protocol

import pytest
from lightning.pytorch.profilers import Profiler
from omegaconf import OmegaConf

from digits.commands import settings
from digits.errors import InputError
from support.settings import PLAIN, WITH_ALL, run


class Shape(Protocol):
    sides: int


@dataclass
class Odd:
    anything: Any = None
    shape: Shape | None = None
    text: str = ""
    path: PathLike[str] | None = None
    numbers: tuple[float, ...] = ()
    word: Literal["yes", 1] = "yes"
    inner: Profiler | None = None


ODD = {"_target_": f"{__name__}.Odd"}


def test_the_reference_passes() -> None:
    settings.check_types(PLAIN)
    settings.check_types(WITH_ALL)


OTHER_KINDS: list[tuple[str, Any, str]] = [
    ("trainer.detect_anomaly", "x", "x: expected true or false"),
    ("trainer.profiler", 5, "5: expected settings with a _target_, text, null"),
    ("trainer.fast_dev_run", 1.5, "1.5: expected a whole number, true or false"),
    ("trainer.deterministic", "x", "x: expected true or false, warn, null"),
    ("trainer.devices", 1.5, "1.5: expected a list, text, a whole number"),
    ("callbacks.early_stopping.patience", True, "true: expected a whole number"),
    ("callbacks.early_stopping.min_delta", "x  y", "x  y: expected a number"),
    ("model.optimizer.eps", None, "null: expected a number"),
    ("model.scheduler", "abc", "abc: expected settings with a _target_, null"),
]


def test_another_kind_than_declared_is_named() -> None:
    for key, value, line in OTHER_KINDS:
        with pytest.raises(InputError) as caught:
            settings.check_types(run(WITH_ALL, **{key: value}))
        assert str(caught.value) == f"{key}={line}"


def test_what_is_declared_or_cannot_be_told_passes() -> None:
    for name, value in {
        "anything": [1], "shape": 3, "path": "a/b", "numbers": [1, 2.5], "word": 1, "unknown": 1,
        "inner": {"_target_": "nobody.knows"},
    }.items():  # fmt: skip
        settings.check_types(OmegaConf.create({"a": ODD | {name: value}}))
    for name, value, line in (
        ("path", 5, "5: expected settings with a _target_, null"),
        ("numbers", 5, "5: expected a list"),
        ("word", True, "true: expected yes, 1"),
        ("text", [1, 2], "[1, 2]: expected text"),
    ):
        with pytest.raises(InputError) as caught:
            settings.check_types(OmegaConf.create({"a": {"b": ODD | {name: value}}}))
        assert str(caught.value) == f"a.b.{name}={line}"
    for target in ("nope.Nope", "builtins.dict"):
        settings.check_types(OmegaConf.create({"_target_": target, "x": 1}))
