"""What hostile.py makes: no code runs, nothing hangs or grows, each file gets one clear line."""

import io
import resource
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.errors import InputError
from digits.runs import checkpoint
from support import hostile

FILES = hostile.bombs() | hostile.lies()
SMALL = hostile.saved(hostile.content(state_dict={"a": torch.arange(300.0), "b": torch.ones(3)}))


@contextmanager
def at_most(more_bytes: int) -> Iterator[None]:
    """MemoryError for whatever takes this process beyond what it has, and so much more."""
    if not Path("/proc/self/statm").exists():  # no Linux, and no such limit
        yield
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def refusal(path: Path) -> str:
    """The line for a file that is refused; within 2 seconds of computing and 1 GiB."""
    begin = time.process_time()
    with pytest.raises(InputError) as caught, at_most(1 << 30):
        checkpoint.model_of(str(path), checkpoint.read(str(path)))
    reason = caught.value.__cause__
    assert not isinstance(reason, MemoryError)
    assert "alloc" not in str(reason)  # torch's word for it
    assert time.process_time() - begin < 2
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


def changed(data: bytes, at: float, kind: str, value: int) -> bytes:
    i = int(at * len(data))
    return {
        "flip": data[:i] + bytes([data[i] ^ (1 << value % 8)]) + data[i + 1 :],
        "cut": data[:i],
        "drop": data[:i] + data[i + 1 + value :],
        "repeat": data[:i] + data[max(0, i - value) :],
        "zero": data[:i] + bytes(value) + data[i + value :],
    }[kind]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzzed") / "x.ckpt"


kinds = st.sampled_from(["flip", "cut", "drop", "repeat", "zero"])
places = st.floats(0, 1, exclude_max=True)


@settings(derandomize=True, max_examples=300, deadline=None, database=None)
@given(places, kinds, st.integers(1, 255))
def test_a_damaged_checkpoint_is_refused_or_as_it_was(
    fuzzed: Path, at: float, kind: str, value: int
) -> None:
    fuzzed.write_bytes(changed(SMALL, at, kind, value))
    try:
        content = checkpoint.read(str(fuzzed))
    except InputError:
        return
    expected = torch.load(io.BytesIO(SMALL), weights_only=True)
    assert same(content, expected)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def repacked(data: bytes, compression: int, **changes: bytes) -> bytes:
    """The zip `data` once more, with other parts."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        parts = {name.partition("/")[2]: file.read(name) for name in file.namelist()}
    return hostile.archive(parts.pop("data.pkl"), compression, **parts | changes)


def test_packed_entries_are_refused_though_all_else_is_right(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    noise = torch.randint(256, (10_000,), generator=torch.Generator().manual_seed(0))
    data = hostile.saved(hostile.content(state_dict={"a": noise.byte()}))  # packed, no smaller
    path.write_bytes(repacked(data, zipfile.ZIP_STORED))
    assert same(checkpoint.read(str(path)), torch.load(io.BytesIO(data), weights_only=True))
    path.write_bytes(repacked(data, zipfile.ZIP_DEFLATED))
    assert "not a checkpoint" in refusal(path)


def test_too_much_besides_tensors_and_too_much_altogether_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    path.write_bytes(hostile.saved(hostile.content(note="x" * 250_000)))
    assert checkpoint.read(str(path))["note"] == "x" * 250_000
    with path.open("r+b") as file:
        file.truncate(5 << 30)  # with a hole: it takes no disk
    refusal(path)
    path.write_bytes(hostile.saved(hostile.content(note="x" * (1 << 21))))
    refusal(path)


def test_values_of_other_kinds_are_refused(tmp_path: Path) -> None:
    view = torch.zeros(2).expand(1 << 20, 2)
    for value in (10**400, {1, 2}, "\ud800", {(1,): 2}, view):
        (tmp_path / "x.ckpt").write_bytes(hostile.saved(hostile.content(x=value)))
        refusal(tmp_path / "x.ckpt")
