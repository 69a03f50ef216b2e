import hashlib

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from digits.data import idx
from digits.data.mnist import TEST, TRAIN
from digits.errors import InputError
from support.commands import EMBEDDED


def test_embedded_files_are_mnist() -> None:
    images, labels = idx.read(EMBEDDED, TRAIN)
    assert images.shape == (60_000, 28, 28)
    assert images.dtype == torch.uint8
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert labels.bincount().tolist()[1] == 6742
    # MD5 of the extracted files, headers left out here and put back
    for pixels, count, md5 in (
        (images, 60_000, "6bbc9ace898e44ae57da46a324031adb"),
        (idx.read(EMBEDDED, TEST)[0], 10_000, "2646ac647ad5339dbf082846283269ea"),
    ):
        header = b"".join(n.to_bytes(4, "big") for n in (2051, count, 28, 28))
        assert hashlib.md5(header + pixels.numpy().tobytes()).hexdigest() == md5


def test_parse_reads_sizes_and_bytes() -> None:
    data = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 10, 11, 12, 13, 14, 15])
    assert idx.parse(data, "x").tolist() == [[10, 11, 12], [13, 14, 15]]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x00\x08",
        b"\x00\x00\x08\x01\x00\x00",  # the size is cut off
        b"\x00\x00\x08\x01\x00\x00\x00\x02\x07",  # one byte of two
        b"\x00\x00\x08\x01\x00\x00\x00\x01\x07\x07",  # one too many
        b"\x00\x00\x08\x02\xff\xff\xff\xff\xff\xff\xff\xff\x07",  # promises 16 EiB
        b"\x00\x00\x0d\x01\x00\x00\x00\x04\x00\x00\x80\x3f",  # floats
        b"\x00\x00\x08\x00",  # no dimensions
        b"PK\x03\x04",
    ],
)
def test_parse_refuses_what_is_not_idx(data: bytes) -> None:
    with pytest.raises(InputError, match=r"file\.gz"):
        idx.parse(data, "file.gz")


@settings(derandomize=True, max_examples=100, deadline=None, database=None)
@given(
    st.sampled_from([b"\x00\x00\x08", b"\x00\x00\x0b", b"\x08\x00\x00", b""]),
    st.lists(st.sampled_from([0, 1, 2, 3, 255, 1 << 31, (1 << 32) - 1]), max_size=9),
    st.binary(max_size=40),
)
@example(b"\x00\x00\x08", [(1 << 32) - 1] * 255, b"")  # 255 dimensions of 4 GiB
@example(b"\x00\x00\x08", [0], b"")
def test_parse_gives_all_bytes_or_refuses(magic: bytes, sizes: list[int], rest: bytes) -> None:
    header = magic + bytes([len(sizes)]) + b"".join(n.to_bytes(4, "big") for n in sizes)
    try:
        values = idx.parse(header + rest, "file.gz")
    except InputError:
        return
    assert list(values.shape) == sizes
    assert bytes(values.flatten().tolist()) == rest
