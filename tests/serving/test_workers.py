"""Processes that read images: what they may not do, and what becomes of those that fail."""

import asyncio
import base64
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from digits.errors import InputError
from digits.serving import worker
from digits.serving.limits import Limits
from digits.serving.worker import LENGTH_BYTES, READY, TAKEN, FaultError, NonsenseError
from digits.serving.workers import Reader, Readers
from support.commands import ROOT
from support.serving import PATIENCE_S, drawn


def reading(use: Callable[[Reader], Any], **limits: Any) -> Any:
    async def run() -> Any:
        one = Reader(Limits(**limits))
        try:
            return await use(one)
        finally:
            one.stop()
            await asyncio.sleep(0)  # asyncio closes the socket in its next round

    return asyncio.run(run())


def test_it_reads_one_after_another() -> None:
    async def use(one: Reader) -> None:
        for side in (50, 280, 2000):
            drawing = await one.read(drawn(side=side))
            assert drawing.whole is not None
            assert drawing.whole.pixels_HW.shape == (28, 28)
        with pytest.raises(InputError):
            await one.read(b"no image")
        assert (await one.read(drawn())).whole is not None
        with pytest.raises(InputError, match="2100x2100 pixels"):
            await one.read(drawn(side=2100))

    reading(use, pixels=2000 * 2000)


ODD = """
import os, time
from digits.images import drawing
from digits.serving import worker
sound = drawing.read
def read(data, *rest):
    if data == b"die":
        os.abort()
    if data == b"hang":
        time.sleep(600)
    return sound(data, *rest)
drawing.read = read
worker.main({})
"""


def test_one_that_dies_or_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "CODE", ODD)

    async def use(one: Reader) -> None:
        await one.read(drawn())
        first = one.started[0]  # type: ignore[index]
        with pytest.raises(InputError, match="more than its decoder copes with"):
            await one.read(b"die")
        assert first.returncode == -signal.SIGABRT
        with pytest.raises(InputError, match=r"takes over 1 s to read"):
            await one.read(b"hang")
        assert (await one.read(drawn())).whole is not None

    reading(use, read_s=1)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "stopped"])
def test_one_that_died_while_it_was_idle_costs_nobody_an_image(number: int) -> None:
    async def use(one: Reader) -> None:
        await one.read(drawn())
        first = one.started[0]  # type: ignore[index]
        first.send_signal(number)
        assert (await one.read(drawn())).whole is not None
        assert first.returncode == -signal.SIGKILL

    reading(use, take_s=1)


def test_one_that_never_takes_an_image_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = "import os; print({}); os.write(0, b'!'); os.read(0, 1)"  # and ends
    monkeypatch.setattr(worker, "CODE", starts)
    with pytest.raises(FaultError, match="does not take them"):
        reading(lambda one: one.read(drawn()))


def test_an_answer_nobody_waited_for_is_nobody_elses() -> None:
    async def use(one: Reader) -> None:
        await one.read(drawn(side=50))  # it has started
        given_up = asyncio.create_task(one.read(drawn(side=3000)))
        await asyncio.sleep(0.02)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        drawing = await one.read(drawn(side=50))
        assert drawing.whole is not None
        assert max(drawing.whole.box) <= 50

    reading(use)


def test_one_that_does_not_start_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "CODE", "exit({})")
    with pytest.raises(FaultError, match="does not start"):
        reading(lambda one: one.read(drawn()))


def test_idle_ones_take_turns() -> None:
    async def run() -> None:
        several = Readers(Limits())
        try:
            drawings = await asyncio.gather(*(several.read(drawn()) for _ in range(8)))
            assert all(drawing.whole for drawing in drawings)
            assert several.idle.qsize() == len(several.all)
        finally:
            several.close()
            await asyncio.sleep(0)

    asyncio.run(run())


def child(code: str) -> bytes:
    """What a process answers whose `drawing.read` is `code`, given b"secret"."""
    asked = (6).to_bytes(LENGTH_BYTES) + b"secret"
    script = f"""
import os, socket
from digits.images import drawing
from digits.serving import worker
ours, theirs = socket.socketpair()
os.dup2(theirs.fileno(), 0)
def read(data, max_pixels, formats):
    {code}
drawing.read = read
worker._png = lambda: b""
if os.fork() == 0:
    theirs.close(); ours.close()
    worker.main(1)
    os._exit(0)
theirs.close(); os.close(0)
ours.sendall({asked!r}); ours.shutdown(socket.SHUT_WR)
while data := ours.recv(9999): os.write(1, data)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT / "src", capture_output=True, check=True
    )
    assert done.stdout[: len(READY)] == READY
    return done.stdout[len(READY + TAKEN) + LENGTH_BYTES :]


def test_it_can_not_write_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    answer = child(f"if data: open({str(path)!r}, 'wb', buffering=0).write(data)")
    with pytest.raises(FaultError, match=r"^OSError at <string>:8$"):
        worker.heard(answer)
    assert path.read_bytes() == b""


def test_its_errors_do_not_quote_the_image() -> None:
    assert json.loads(child("if data: raise KeyError(data)")) == ["fault", "KeyError at <string>:8"]
    with pytest.raises(FaultError, match=r"^MemoryError at <string>:8$"):
        worker.heard(child("if data: raise MemoryError"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's addresses")
@pytest.mark.parametrize(("gib", "error"), [(1, "KeyError"), (3, "OSError")])
def test_its_memory_has_an_end(gib: int, error: str) -> None:
    """16 megapixels take a GiB. Pages that are only read cost nothing."""
    mapped = f"mmap.mmap(-1, {gib} << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ)"
    told = json.loads(child(f"import mmap; data and ({mapped}, {{}}['mapped'])"))
    assert told == ["fault", f"{error} at <string>:8"]


def glyphs(box: Any = (1, 2, 3, 4), pixels: str = base64.b64encode(bytes(784)).decode()) -> bytes:
    return json.dumps(["glyphs", [{"box": box, "pixels": pixels}]]).encode()


def test_an_answer_is_what_was_drawn() -> None:
    drawing = worker.heard(glyphs())
    assert drawing.whole is not None
    assert (drawing.whole.box, drawing.whole.pixels_HW.shape) == ((1, 2, 3, 4), (28, 28))
    assert worker.heard(b'["glyphs", []]').whole is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"cos\nsystem\n(S'false'\ntR.",
        b"\xff",
        b"[" * 100_000,
        *(b"3", b"null", b"{}", b"[]", b'["glyphs"]', b'["other", "x"]', b'[{}, "x"]'),
        *(b'["input", 3]', b'["fault", null]'),
        *(b'["glyphs", ""]', b'["glyphs", {}]', b'["glyphs", [[]]]', b'["glyphs", [{}]]'),
        *(glyphs([1, 2, 3]), glyphs("1234"), glyphs([1, 2, 3, True]), glyphs([1, 2, 3, -4])),
        *(glyphs([1, 2, 3, 1e308]), glyphs([1, 2, 3, 10**300]), glyphs([1, 2, 3, float("inf")])),
        *(glyphs(pixels="AAAA"), glyphs(pixels="?" * 1048), glyphs(pixels="")),
        *(glyphs(pixels=base64.b64encode(bytes(28 * width)).decode()) for width in (1, 27, 29, 56)),
    ],
)
def test_what_it_says_may_be_nonsense(answer: bytes) -> None:
    with pytest.raises(NonsenseError, match="makes no sense"):
        worker.heard(answer)


@pytest.mark.parametrize(("kind", "error"), [("input", InputError), ("fault", FaultError)])
def test_its_errors_are_one_short_line(kind: str, error: type[Exception]) -> None:
    said = "\x1b[2J\nerror:\ud800 " + "x" * 1000
    with pytest.raises(error) as raised:
        worker.heard(json.dumps([kind, said]).encode())
    assert str(raised.value) == ("[2J error: " + "x" * 1000)[:200]


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ((2).to_bytes(LENGTH_BYTES) + b"[]", "makes no sense"),
        (b"\xff" * LENGTH_BYTES, "says too much"),
    ],
)
def test_one_that_talks_nonsense_is_replaced(answer: bytes, complaint: str) -> None:
    async def use(one: Reader) -> None:
        ours, theirs = socket.socketpair()
        process = subprocess.Popen([sys.executable, "-c", ""])
        one.started = process, ours
        with theirs:
            theirs.sendall(READY + TAKEN + answer)
            with pytest.raises(NonsenseError, match=complaint):
                await one.read(b"image")
        assert one.started is None
        assert (await one.read(drawn())).whole is not None

    reading(use)


def test_it_ends_with_the_server() -> None:
    process, ours = worker.start(1)
    with ours:
        assert ours.recv(1) == READY
        process.send_signal(signal.SIGINT)  # a terminal's Ctrl+C: what is under way is finished
        ours.sendall((1).to_bytes(LENGTH_BYTES) + b"a")
        assert ours.recv(1) == TAKEN
        assert ours.recv(9999).endswith(b'["input", "not an image that Pillow reads, or damaged"]')
    assert process.wait(PATIENCE_S) == 0
