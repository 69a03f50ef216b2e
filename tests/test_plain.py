"""What hostile.py makes: no code runs, nothing hangs or grows, each file gets one clear line."""

import io
import resource
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import hostile
from digits import checkpoint
from digits.errors import InputError

FILES = hostile.bombs() | hostile.lies()
SMALL = hostile.saved(hostile.content(state_dict={"a": torch.arange(300.0), "b": torch.ones(3)}))


def refusal(path: Path) -> str:
    """The line for a file that is refused; within 2 seconds of computing and 1 GiB."""
    begin, peak_kib = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError) as caught:
        checkpoint.model_from(str(path))
    assert time.process_time() - begin < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kib < 1 << 20
    line = str(caught.value)
    assert line.startswith(f"ckpt_path={path}: ")
    assert len(line.splitlines()) == 1
    assert len(line) < 300 + len(str(path))
    return line


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_checkpoint_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    path.write_bytes(FILES[name]())
    refusal(path)
    assert sorted(tmp_path.iterdir()) == [path]


def test_no_code_in_a_checkpoint_runs(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "x.ckpt"
    for name, data in hostile.running(victim).items():
        path.write_bytes(data)
        assert "not a checkpoint" in refusal(path), name
        assert not victim.exists(), name
    torch.load(io.BytesIO(hostile.running(victim)["legacy"]), weights_only=False)
    assert victim.exists()  # the corpus is live: a careless reader does run it


def test_a_file_that_is_larger_than_any_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    path.write_bytes(SMALL)
    with path.open("r+b") as file:
        file.truncate(5 << 30)  # with a hole: it takes no disk
    refusal(path)


def changed(data: bytes, at: float, kind: str, value: int) -> bytes:
    i = int(at * len(data))
    return {
        "flip": data[:i] + bytes([data[i] ^ (1 << value % 8)]) + data[i + 1 :],
        "cut": data[:i],
        "drop": data[:i] + data[i + 1 + value :],
        "repeat": data[:i] + data[max(0, i - value) :],
        "zero": data[:i] + bytes(value) + data[i + value :],
    }[kind]


kinds = st.sampled_from(["flip", "cut", "drop", "repeat", "zero"])
places = st.floats(0, 1, exclude_max=True)


@settings(derandomize=True, max_examples=1500, deadline=None, database=None)
@given(places, kinds, st.integers(1, 255))
def test_a_damaged_checkpoint_is_refused_or_as_it_was(at: float, kind: str, value: int) -> None:
    path = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / "digits-fuzz.ckpt"
    path.write_bytes(changed(SMALL, at, kind, value))
    try:
        content = checkpoint.read(str(path))
    except InputError:
        return
    finally:
        path.unlink()
    expected = torch.load(io.BytesIO(SMALL), weights_only=True)
    assert same(content, expected)


@settings(derandomize=True, max_examples=500, deadline=None, database=None)
@given(st.binary(max_size=200))
def test_any_pickle_in_a_zip_is_refused(data: bytes) -> None:
    path = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / "digits-fuzz.ckpt"
    path.write_bytes(hostile.archive(b"\x80\x02" + data))
    try:
        with pytest.raises(InputError):
            checkpoint.read(str(path))
    finally:
        path.unlink()


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def test_packed_entries_are_refused_though_they_are_small(tmp_path: Path) -> None:
    packed = hostile.archive(b"\x80\x02}.", zipfile.ZIP_DEFLATED)
    (tmp_path / "x.ckpt").write_bytes(packed)
    refusal(tmp_path / "x.ckpt")


@pytest.mark.parametrize("make", [hostile.two_directories, hostile.two_cases])
def test_torch_reads_a_zip_in_its_own_way(make: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Which is why it gets a copy."""
    data = make(b"\x80\x02cbuiltins\nbytearray\nJ" + bytes([5, 0, 0, 0]) + b"\x85R.")
    assert torch.load(io.BytesIO(data), weights_only=True) == bytearray(5)
    (tmp_path / "x.ckpt").write_bytes(data)
    refusal(tmp_path / "x.ckpt")
