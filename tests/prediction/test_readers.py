"""Processes that read images: what they may not do, and what becomes of those that fail."""

import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from digits.errors import InputError
from digits.prediction import readers, reading
from digits.prediction.readers import FaultError, Limits, Readers
from support.drawn import large
from support.image_files import encoded
from support.serving import PATIENCE_S, drawn

LIMITS = Limits(pixels=2000 * 2000, seconds=5, memory=3 << 30, formats=("PNG",))
ODD = """
import mmap, os, time
from digits.prediction import reading
from digits.prediction.readers import Limits, main
sound = reading.read
def read(data, *rest):
    if data.startswith(b"do "):
        exec(data[3:])
    return sound(data, *rest)
reading.read = read
main({})
"""


@pytest.fixture
def one() -> Iterator[Readers]:
    with closing(Readers(LIMITS, 1)) as one:
        yield one


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Readers]:
    """One that does what it is told, within a second."""
    monkeypatch.setattr(readers, "CODE", ODD)
    with closing(Readers(Limits(1 << 24, 1, 3 << 30), 1)) as one:
        yield one


def test_one_reads_image_after_image(one: Readers) -> None:
    for side in (50, 280, 2000):
        whole = one.read(drawn(side=side)).whole
        assert whole is not None
        assert whole.pixels_HW.shape == (28, 28)
        left, upper, right, lower = whole.box
        assert 0 <= left < right <= side
        assert 0 <= upper < lower <= side
    page = drawn(side=120)
    for seen, expected in zip(
        one.read(page, layers=True).layers, reading.read(page, layers=True).layers, strict=True
    ):
        assert seen.shape == (120, 120)
        assert np.allclose(seen, expected, atol=0.6 / 255)
    assert one.read(page).layers == ()
    for data, said in (
        (b"no image", "not an image that Pillow reads, or damaged"),
        (b"", "not an image that Pillow reads, or damaged"),
        (drawn("JPEG"), "not an image that Pillow reads, or damaged"),
        (drawn(side=2100), "2100x2100 pixels; expected at most 4000000 in all"),
    ):
        with pytest.raises(InputError) as raised:
            one.read(data)
        assert str(raised.value) == said
    data = encoded(np.hstack([255 - large(number, 200, (20, 20)) for number in (1, 2, 3)]))
    expected, found = reading.read(data), one.read(data)
    assert len(found.parts) == 3
    for here, there in zip(
        (expected.whole, *expected.parts), (found.whole, *found.parts), strict=True
    ):
        assert here is not None
        assert there is not None
        assert here.box == there.box
        assert here.pixels_HW.tolist() == there.pixels_HW.tolist()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("os.abort()", "more than its decoder copes with"),
        ("while True: pass", "takes over 1 s to read"),
    ],
)
def test_a_bomb_ends_in_a_process_that_is_replaced(odd: Readers, code: str, said: str) -> None:
    odd.read(drawn())
    with pytest.raises(InputError, match=f"^{said}$"):
        odd.read(b"do " + code.encode())
    assert odd.read(drawn()).whole is not None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's addresses")
def test_memory_and_files_have_an_end_and_errors_do_not_quote_the_image(
    odd: Readers, tmp_path: Path
) -> None:
    """16 megapixels take a GiB. Pages that are only read cost nothing."""
    kinds = "mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ"
    path = tmp_path / "x"
    for code, kind, said in (
        (f"mmap.mmap(-1, 1 << 30, {kinds})", InputError, "not an image.*"),
        (f"mmap.mmap(-1, 3 << 30, {kinds})", FaultError, "OSError at <string>:1"),
        (f"open({str(path)!r}, 'wb', buffering=0).write(b'secret')", FaultError, "OSError at .*:1"),
        ("raise MemoryError", InputError, "takes too much memory to read"),
        ("os.write(1, b'secret'); raise KeyError(data)", FaultError, "KeyError at <string>:1"),
    ):
        with pytest.raises(kind, match=f"^{said}$"):
            odd.read(f"do {code}".encode())
    assert path.read_bytes() == b""
    assert odd.read(drawn()).whole is not None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "Ctrl+C"])
def test_a_signal_while_it_is_idle_costs_nobody_an_image(one: Readers, number: int) -> None:
    one.read(drawn())
    process = one.all[0].process
    assert process
    process.send_signal(number)
    deadline = time.monotonic() + PATIENCE_S
    while number == signal.SIGKILL and process.poll() is None:
        assert time.monotonic() < deadline
    assert one.read(drawn()).whole is not None
    assert (one.all[0].process is process) == (number == signal.SIGINT)  # a terminal's goes to all


@pytest.mark.parametrize("code", ["exit()", "print(12345)"])
def test_one_that_does_not_start_is_our_fault(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(readers, "CODE", code)
    with closing(Readers(LIMITS, 1)) as one, pytest.raises(FaultError, match="does not start"):
        one.read(drawn())


def test_idle_ones_take_turns_and_end() -> None:
    with closing(Readers(LIMITS, 2)) as several, ThreadPoolExecutor(8) as clients:
        drawings = list(clients.map(several.read, [drawn()] * 8))
        assert all(drawing.whole for drawing in drawings)
        processes = [each.process for each in several.all if each.process]
        assert processes
    assert [process.returncode for process in processes] == [-signal.SIGKILL] * len(processes)
    with pytest.raises(FaultError, match="have ended"):
        several.read(drawn())


def test_it_ends_with_the_process_that_started_it(one: Readers) -> None:
    process = one.all[0].start()
    assert process.stdin
    process.stdin.close()
    assert process.wait(PATIENCE_S) == 0
