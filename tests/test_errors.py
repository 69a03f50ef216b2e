import pytest
from hydra.errors import HydraException, InstantiationException
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from digits.errors import InputError, exit_code, one_line


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 2),
        (FileNotFoundError(2, "No such file or directory", "x"), 2),
        (OSError(28, "No space left on device"), 2),
        (HydraException("x"), 2),
        (MisconfigurationException("x"), 2),
        (ValueError("x"), 1),
        (RuntimeError("x"), 1),
        (AssertionError(), 1),
    ],
)
def test_who_is_to_blame(error: Exception, code: int) -> None:
    assert exit_code(error) == code


def test_one_line() -> None:
    assert one_line(InputError("a\n  b\x1b[31m\x00c")) == "a b[31mc"
    assert one_line(AssertionError()) == "AssertionError"
    assert one_line(OSError(28, "No space left on device", "/x/last.ckpt")) == (
        "cannot write /x/last.ckpt: No space left on device; "
        "paths.outputs_dir=FOLDER writes elsewhere"
    )
    wrapped = InstantiationException("Error in call to target 'T':\nE('no')\nfull_key: trainer")
    wrapped.__cause__ = TypeError("no such argument")
    assert one_line(wrapped) == "trainer: no such argument"
