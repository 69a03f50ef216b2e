"""A file that anyone may have made."""

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits.errors import InputError
from digits.inspection import evidence
from support import findings

WRONG: dict[str, dict[str, Any]] = {
    "a prediction too few": {"predicted_N": np.zeros(7, np.int32)},
    "a class that has no name": {"labels_N": np.full(8, 3, np.int32)},
    "a class below 0": {"predicted_N": np.full(8, -1, np.int32)},
    "classes as fractions": {"labels_N": np.zeros(8)},
    "probabilities of fewer images": {"probabilities_NP": np.zeros((7, 3))},
    "a picture of an image there is not": {"shown_M": np.array([1, 8, 2])},
    "pictures of four colours": {"pictures_MHW": np.zeros((3, 4, 4, 4), np.uint8)},
    "a picture as large as a wall": {"samples_SHW": np.zeros((2, 65, 4), np.uint8)},
    "more classes than can be looked at": {"names_K": np.array(["x"] * 2001)},
    "another stage": {"stage": np.array("<script>")},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    evidence.write(tmp_path / "x.npz", findings.evidence())
    return tmp_path / "x.npz"


def test_it_comes_back_as_it_went(path: Path) -> None:
    again = evidence.read(path)
    assert again is not None
    for name, array in vars(findings.evidence()).items():
        assert getattr(again, name).dtype == array.dtype
        assert np.array_equal(getattr(again, name), array)
    assert (again.count, again.correct) == (8, 5)
    assert evidence.read(path.with_name("none.npz")) is None


def test_one_of_before_has_no_probabilities_of_all_classes(path: Path) -> None:
    whole = vars(findings.evidence()) | {"true_probability_N": np.zeros(8, np.float32)}
    del whole["probabilities_NP"]
    np.savez_compressed(path, **whole)
    again = evidence.read(path)
    assert again is not None
    assert (again.correct, again.probabilities_NP.shape) == (5, (0, 0))


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_arrays_that_do_not_fit_are_refused(path: Path, wrong: dict[str, Any]) -> None:
    evidence.write(path, findings.evidence(**wrong))
    with pytest.raises(InputError, match=r"x\.npz: no run's evidence, or damaged$"):
        evidence.read(path)


def test_nothing_in_it_is_run_and_no_end_unpacked(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hurts:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(path.with_name("hurt")),)

    np.savez(path, **(vars(findings.evidence()) | {"names_K": np.array([Hurts()] * 3)}))
    with pytest.raises(InputError):
        evidence.read(path)
    assert not path.with_name("hurt").exists()
    evidence.write(path, findings.evidence())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("more.npy", bytes(1 << 20))
    assert evidence.read(path) is not None
    monkeypatch.setattr(evidence, "MAX_UNPACKED", 1 << 20)
    with pytest.raises(InputError):
        evidence.read(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"hello" * 100, None])
def test_what_is_no_archive_is_refused(path: Path, content: bytes | None) -> None:
    """A link neither."""
    link = path.with_name("link.npz")
    link.symlink_to(path) if content is None else link.write_bytes(content)
    with pytest.raises(InputError):
        evidence.read(link)
