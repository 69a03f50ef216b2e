import shutil
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from digits.data import download, idx, unpacking
from digits.data.mnist import DATA_MODULE, TEST, TRAIN
from digits.errors import InputError
from support.commands import EMBEDDED


def begin(data_dir: Path, target: str = DATA_MODULE) -> None:
    unpacking.begin(OmegaConf.create({"data": {"_target_": target, "data_dir": str(data_dir)}}))


@pytest.fixture
def raw_dir(tmp_path: Path) -> Path:
    raw_dir = tmp_path / "MNIST" / "raw"
    raw_dir.mkdir(parents=True)
    for name in TRAIN:
        shutil.copy(EMBEDDED / name, raw_dir)
    return raw_dir


def test_what_was_unpacked_ahead_of_time_is_what_is_read(raw_dir: Path, tmp_path: Path) -> None:
    begin(tmp_path)
    unpacking.check(raw_dir / TRAIN[0])
    (raw_dir / TRAIN[0]).unlink()  # it is not read again
    images, labels = idx.read(raw_dir, TRAIN)
    assert images.shape == (60000, 28, 28)
    assert labels[:3].tolist() == [5, 0, 4]


def test_a_damaged_file_is_told_where_it_is_read(raw_dir: Path, tmp_path: Path) -> None:
    path = raw_dir / TRAIN[0]
    path.write_bytes(path.read_bytes()[:-1])
    begin(tmp_path)
    with pytest.raises(InputError, match=f"{path.name}: damaged"):
        idx.read(raw_dir, TRAIN)


def test_other_data_are_left_alone(raw_dir: Path, tmp_path: Path) -> None:
    begin(tmp_path, "theirs.DataModule")
    (raw_dir / TRAIN[0]).unlink()
    with pytest.raises(InputError, match="cannot read"):
        unpacking.check(raw_dir / TRAIN[0])


def test_each_file_is_read_once(raw_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TEST:
        shutil.copy(EMBEDDED / name, raw_dir)
    read, is_intact = [], unpacking.is_intact

    def counted(name: str, *packed: Any) -> bool:
        read.append(name)
        return is_intact(name, *packed)

    monkeypatch.setattr(unpacking, "is_intact", counted)
    download.ensure(raw_dir)
    for names in (TRAIN, TEST):
        idx.read(raw_dir, names)
    assert sorted(read) == sorted((*TRAIN, *TEST))
