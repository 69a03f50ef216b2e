"""Data sets in MNIST's format: tiny ones, in the forms in which the real ones come."""

import gzip
import hashlib
import io
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from digits.data import sets
from digits.data.datamodule import MNISTDataModule
from digits.errors import InputError
from support.commands import UNSEEN, command, tool

NAMES = ("train-images", "train-labels", "t10k-images", "t10k-labels")
COUNTS = (6, 6, 4, 4)  # images to train on and to test with, of labels 0 1 2 ...
QUIET = ("logger=none", *UNSEEN[:2])


def images(count: int) -> bytes:
    """One pixel each is lit: in row 1, column 2."""
    one = bytes(28 + 2) + b"\xff" + bytes(784 - 31)
    header = b"\x00\x00\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (count, 28, 28))
    return header + one * count


def labels(count: int, first: int = 0) -> bytes:
    return b"\x00\x00\x08\x01" + count.to_bytes(4, "big") + bytes(range(first, first + count))


def eight_columns(count: int) -> bytes:
    header = b"\x00\x00\x0c\x02" + count.to_bytes(4, "big") + (8).to_bytes(4, "big")
    return header + b"".join(n.to_bytes(4, "big") for k in range(count) for n in (k, *[70_000] * 7))


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def known(monkeypatch: pytest.MonkeyPatch, name: str, **facts: Any) -> sets.ImageSet:
    """The data set `name` with facts of tiny files, for this test."""
    tiny = replace(sets.SETS[name], **facts)
    monkeypatch.setitem(sets.SETS, name, tiny)
    return tiny


def pair(count: int, first: int = 0) -> list[bytes]:
    return [images(count), labels(count, first)]


def write(folder: Path, files: tuple[str, ...], contents: list[bytes], level: int = 9) -> list[str]:
    """Write them packed; return the sums of that."""
    folder.mkdir(parents=True)
    packed = [gzip.compress(content, level, mtime=0) for content in contents]
    for name, data in zip(files, packed, strict=True):
        (folder / name).write_bytes(data)
    return [md5(data) for data in packed]


def both(data: MNISTDataModule) -> tuple[Any, Any]:
    data.prepare_data()
    for stage in ("fit", "test"):
        data.setup(stage)
    return data.train, data.test


def test_where_files_come_from_and_their_sums_are_torchvisions() -> None:
    from torchvision import datasets

    for name, theirs in (("mnist", datasets.MNIST), ("kmnist", datasets.KMNIST)):
        assert [*sets.SETS[name].mirrors] == theirs.mirrors
        assert [*sets.SETS[name].sums.items()] == theirs.resources
    (mirror,) = sets.SETS["qmnist"].mirrors
    sums = [(mirror + name, md5) for name, md5 in sets.SETS["qmnist"].sums.items()]
    assert sums == [*datasets.QMNIST.resources["train"], *datasets.QMNIST.resources["test"]]
    for split in ("digits", "letters"):
        emnist = sets.SETS[f"emnist_{split}"]
        assert emnist.mirrors[0] + "gzip.zip" == datasets.EMNIST.url
        assert emnist.sums == {"gzip.zip": datasets.EMNIST.md5}
    assert sets.SETS["emnist_letters"].class_names[0::25] == ("a", "z")
    fashion = sets.SETS["fashion_mnist"]
    assert [*fashion.mirrors] == datasets.FashionMNIST.mirrors
    assert [*fashion.class_names] == datasets.FashionMNIST.classes
    assert [*sets.SETS["kmnist"].class_names] == datasets.KMNIST.classes


def test_fashion_mnist_is_known_by_its_content_and_found_where_debian_puts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [*pair(6), *pair(4)]
    here, there = tmp_path / "FashionMNIST" / "raw", tmp_path / "share" / "fashion-mnist"
    sums = tuple(map(md5, contents))
    tiny = known(monkeypatch, "fashion_mnist", md5=sums, debian=there, mirrors=("http://[",))
    with pytest.raises(InputError) as caught:
        both(MNISTDataModule(str(tmp_path), name="fashion_mnist"))
    said = f"-ubyte.gz into {here}, or install Debian's dataset-fashion-mnist"
    assert str(caught.value).endswith(said)
    write(there, tiny.files, contents, level=1)
    data = MNISTDataModule(str(tmp_path), batch_size=2, name="fashion_mnist")
    train, test = both(data)
    assert (len(train[1]), test[1].tolist()) == (6, [0, 1, 2, 3])
    assert train[0][0].nonzero().tolist() == [[1, 2]]
    assert (data.classes, data.class_names[9]) == (10, "Ankle boot")
    here.rmdir()
    write(
        here, tiny.files, [pair(6)[0], *contents[:0:-1]], level=9
    )  # of other sums: labels swapped
    with pytest.raises(InputError, match=f"^cannot download train-labels.* into {here}, or inst"):
        both(MNISTDataModule(str(tmp_path), name="fashion_mnist"))


def test_letters_are_turned_upright_and_counted_from_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sets.SETS["emnist_letters"].files
    assert files[0] == "emnist-letters-train-images-idx3-ubyte.gz"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in zip(files, [*pair(6, 1), *pair(4, 1)], strict=True):
            archive.writestr(f"gzip/{name}", gzip.compress(content))
    (tmp_path / "EMNIST" / "raw").mkdir(parents=True)
    path = tmp_path / "EMNIST" / "raw" / "gzip.zip"
    path.write_bytes(file.getvalue())
    known(monkeypatch, "emnist_letters", md5=(md5(file.getvalue()),), mirrors=())
    data = MNISTDataModule(str(tmp_path), batch_size=2, name="emnist_letters")
    train, test = both(data)
    assert train[0][5].nonzero().tolist() == [[2, 1]]
    assert test[1].tolist() == [0, 1, 2, 3]
    assert (data.classes, "".join(data.class_names)) == (26, "abcdefghijklmnopqrstuvwxyz")
    path.write_bytes(file.getvalue()[:-9])
    line = r"^cannot download gzip\.zip \(no mirrors given\); put the files gzip\.zip into .*raw$"
    with pytest.raises(InputError, match=line):
        both(MNISTDataModule(str(tmp_path), name="emnist_letters"))
    with pytest.raises(InputError, match=r"gzip\.zip: damaged, or without gzip/emnist-letters-tr"):
        data.read("fit")


def test_the_first_of_qmnists_columns_is_the_digit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [images(6), eight_columns(6), images(4), eight_columns(4)]
    files = sets.SETS["qmnist"].files
    sums = write(tmp_path / "QMNIST" / "raw", files, contents)
    known(monkeypatch, "qmnist", md5=tuple(sums), mirrors=())
    train, test = both(MNISTDataModule(str(tmp_path), batch_size=2, name="qmnist"))
    assert (train[1].dtype, train[1].tolist()) == (torch.int64, [0, 1, 2, 3, 4, 5])
    assert test[1].tolist() == [0, 1, 2, 3]


def test_names_reach_what_is_seen_and_no_command_takes_them_for_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = write(tmp_path / "KMNIST" / "raw", sets.SETS["kmnist"].files, [*pair(6), *pair(4)])
    known(monkeypatch, "kmnist", md5=tuple(sums), mirrors=())
    words = ("data=kmnist", f"paths.data_dir={tmp_path}", "data.batch_size=6", *QUIET)
    outcome = command("train", *words, "trainer.max_epochs=1", outputs=tmp_path / "outputs")
    assert (outcome.code, outcome.err) == (0, "")
    assert {"class/o/recall", "class/tsu/recall"} < outcome.metrics.keys()
    page = (outcome.folder / "report.html").read_text()
    assert re.search(r"<td>tsu</td>\s*<td>1</td>", page)
    ckpt = f"--ckpt={outcome.folder / 'checkpoints' / 'last.ckpt'}"
    line = "its classes are o, ki, su, tsu, na, ha, ma, ya, re, wo; expected the digits 0 to 9\n"
    for script, *given in (
        ("predict", "x.png"),
        ("export", "--format=torch"),
        ("serve", "--port=0"),
    ):
        code, _, err = tool(script, *given, ckpt)
        assert (code, err.endswith(line), err.count("\n")) == (2, True, 1), words
