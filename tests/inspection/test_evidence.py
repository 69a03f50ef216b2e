"""A file that anyone may have made."""

import os
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits.errors import InputError
from digits.inspection import evidence
from digits.inspection.evidence import Evidence
from support import findings

WRONG: dict[str, dict[str, Any]] = {
    "a prediction too few": {"predicted_N": np.zeros(7, np.int32)},
    "a class that has no name": {"labels_N": np.full(8, 3, np.int32)},
    "a class below 0": {"predicted_N": np.full(8, -1, np.int32)},
    "classes as fractions": {"labels_N": np.zeros(8)},
    "a probability above 1": {"confidence_N": np.full(8, 1.5)},
    "a probability that is none": {"probabilities_NP": np.full((8, 3), np.nan)},
    "probabilities of fewer images": {"probabilities_NP": np.zeros((7, 3))},
    "probabilities of more classes": {"probabilities_NP": np.zeros((8, 4))},
    "a picture of an image there is not": {"shown_M": np.array([1, 8, 2])},
    "a picture too few": {"pictures_MHW": np.zeros((2, 4, 4), np.uint8)},
    "pictures of four colours": {"pictures_MHW": np.zeros((3, 4, 4, 4), np.uint8)},
    "a picture as large as a wall": {"samples_SHW": np.zeros((2, 65, 4), np.uint8)},
    "more units than are shown": {"weights_UHW": np.zeros((501, 1, 1))},
    "more classes than can be looked at": {"names_K": np.array(["x"] * 2001)},
    "wide pixels": {"samples_SHW": np.zeros((2, 4, 4), np.uint64)},
    "another stage": {"stage": np.array("<script>")},
    "infinite weights": {"weights_UHW": np.full((1, 2, 2), np.inf)},
    "a name as long as a page": {"names_K": np.array(["x", "y", "z" * 41])},
    "no images": {name: getattr(findings.evidence(), name)[:0] for name in (
        "labels_N", "predicted_N", "confidence_N", "probabilities_NP", "shown_M",
        "pictures_MHW")},
}  # fmt: skip


def test_it_comes_back_as_it_went(tmp_path: Path) -> None:
    whole = findings.evidence()
    evidence.write(tmp_path / "evidence.npz", whole)
    again = evidence.read(tmp_path / "evidence.npz")
    assert again is not None
    for field in fields(Evidence):
        one, other = getattr(whole, field.name), getattr(again, field.name)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    assert (again.count, again.correct) == (8, 5)


def test_one_of_before_has_no_probabilities_of_all_classes(tmp_path: Path) -> None:
    whole = vars(findings.evidence()) | {"true_probability_N": np.zeros(8, np.float32)}
    del whole["probabilities_NP"]
    np.savez_compressed(tmp_path / "evidence.npz", **whole)
    again = evidence.read(tmp_path / "evidence.npz")
    assert again is not None
    assert (again.count, again.correct, again.probabilities_NP.shape) == (8, 5, (0, 0))


@pytest.mark.filterwarnings("ignore")  # numpy's, of a header
def test_a_flipped_bit_is_noticed_or_changes_nothing_that_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "evidence.npz"
    evidence.write(path, findings.evidence())
    packed = path.read_bytes()
    refused = 0
    for bit in range(0, 8 * len(packed), 11):
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            again = evidence.read(path)
        except InputError:
            refused += 1
        else:
            assert again is not None
            assert (again.count, again.correct) == (8, 5)
    assert refused > len(packed) / 3


def test_no_file_is_no_evidence(tmp_path: Path) -> None:
    assert evidence.read(tmp_path / "evidence.npz") is None


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    evidence.write(tmp_path / "x.npz", findings.evidence(**wrong))
    with pytest.raises(InputError, match=r"x\.npz: no run's evidence, or damaged$"):
        evidence.read(tmp_path / "x.npz")


def test_nothing_in_it_is_run(tmp_path: Path) -> None:
    class Hurts:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "hurt"),)

    arrays = {f.name: getattr(findings.evidence(), f.name) for f in fields(Evidence)}
    np.savez(tmp_path / "x.npz", **(arrays | {"names_K": np.array([Hurts()] * 3)}))
    with pytest.raises(InputError):
        evidence.read(tmp_path / "x.npz")
    assert not (tmp_path / "hurt").exists()


def test_a_file_that_unpacks_without_end_is_not_unpacked(tmp_path: Path) -> None:
    """One that is right but for what else is in it."""
    evidence.write(tmp_path / "x.npz", findings.evidence())
    packed = zipfile.ZipFile(tmp_path / "x.npz", "a", zipfile.ZIP_DEFLATED)
    with packed, packed.open("more.npy", "w") as member:
        for _ in range(300):
            member.write(bytes(1 << 20))
    with pytest.raises(InputError):
        evidence.read(tmp_path / "x.npz")


@pytest.mark.parametrize("content", [b"", b"PK", b"hello" * 100], ids=["empty", "cut", "text"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(InputError):
        evidence.read(tmp_path / "x.npz")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    evidence.write(tmp_path / "there.npz", findings.evidence())
    (tmp_path / "x.npz").symlink_to(tmp_path / "there.npz")
    with pytest.raises(InputError):
        evidence.read(tmp_path / "x.npz")
