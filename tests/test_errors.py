import pytest
from hydra.errors import HydraException, InstantiationException
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from digits import text
from digits.errors import InputError, blaming, exit_code, one_line, where


def test_who_is_to_blame() -> None:
    input_is_wrong = (
        InputError("x"), FileNotFoundError(2, "No such file", "x"), OSError(28, "No space left"),
        HydraException("x"), MisconfigurationException("x"),
    )  # fmt: skip
    assert [exit_code(error) for error in input_is_wrong] == [2] * 5
    assert exit_code(ValueError("x")) == 1


def test_one_line() -> None:
    assert one_line(InputError("a\n  b\x1b[31m\x00c")) == "a b[31mc"
    assert one_line(AssertionError()) == "AssertionError"
    assert one_line(OSError(28, "No space left on device", "/x/last.ckpt")) == (
        "cannot write /x/last.ckpt: No space left on device; "
        "paths.outputs_dir=FOLDER writes elsewhere"
    )
    assert one_line(OSError("Primary config directory not found.\nCheck it")) == (
        "Primary config directory not found. Check it"
    )
    assert one_line(OSError(13, "Permission denied", "a\nb")).startswith("cannot write a b: Perm")
    wrapped = InstantiationException("Error in call to target 'T':\nE('no')\nfull_key: trainer")
    wrapped.__cause__ = TypeError("no such argument")
    assert one_line(wrapped) == "trainer: no such argument"
    alone = InstantiationException("Target 'x' is\nblocklisted.\nfull_key: trainer")
    assert one_line(alone) == "trainer: Target 'x' is blocklisted."


def test_blame() -> None:
    with pytest.raises(InputError, match=r"^trainer: no such thing$"), blaming("trainer"):
        raise TypeError("no\n  such thing")
    with pytest.raises(InputError, match=r"^seed: "), blaming("trainer"):
        raise InputError("seed: ")  # says more
    with pytest.raises(ValueError, match="ours"), blaming("trainer", "lightning"):
        raise ValueError("ours")


def raised(code: str) -> Exception:
    """What the first line of somebody's net.py raises."""
    try:
        exec(compile(code, "/home/me/net.py", "exec"))
    except Exception as error:
        return error
    raise AssertionError


def test_somebodys_own_code_is_named_by_its_line() -> None:
    error = raised("a, b, c = 1, 2")
    assert exit_code(error) == 2
    assert one_line(error) == (
        "/home/me/net.py:1: ValueError: not enough values to unpack (expected 3, got 2); "
        "HYDRA_FULL_ERROR=1 shows the traceback"
    )
    below = raised("import json; json.loads('x')")  # the library that it calls is not named
    assert one_line(below).startswith("/home/me/net.py:1: JSONDecodeError: Expecting value")
    below = raised("import PIL.Image; PIL.Image.open('/nowhere')")
    assert one_line(below).startswith("/home/me/net.py:1: FileNotFoundError: [Errno 2] No such")
    theirs = raised("open('/nowhere/images')")
    assert one_line(theirs).startswith("/home/me/net.py:1: FileNotFoundError: [Errno 2] No such")
    full = raised("raise OSError(28, 'No space left on device', '/x')")
    assert one_line(full).startswith("cannot write /x: No space left on device; paths.outputs_dir=")


def test_a_bug_of_ours_is_not_somebody_elses() -> None:
    with pytest.raises(TypeError) as caught:
        text.aligned(5)  # type: ignore[arg-type]
    assert caught.value.__traceback__ is not None
    ours = caught.value.with_traceback(caught.value.__traceback__.tb_next)  # less this file's line
    assert (where(ours), exit_code(ours)) == (None, 1)


def test_a_loaders_worker_tells_the_line() -> None:
    text = (
        "Caught KeyError in DataLoader worker process 0.\nOriginal Traceback (most recent call "
        'last):\n  File "/home/me/data.py", line 31, in __getitem__\n    {}[0]\nKeyError: 0\n'
    )
    said = one_line(RuntimeError(text))
    assert said.startswith("/home/me/data.py:31: RuntimeError: KeyError: 0")


@pytest.mark.parametrize(
    "code",
    ["raise MemoryError", 'raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory")'],
    ids=["python", "torch"],
)
def test_too_little_memory_names_what_needs_less(code: str) -> None:
    error = raised(code)
    assert exit_code(error) == 2
    assert one_line(error).startswith("out of memory at /home/me/net.py:1: a smaller data.batch_")
