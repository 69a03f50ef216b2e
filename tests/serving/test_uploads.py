"""What comes with an image: types, forms, and the memory for all that is on its way."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from digits.serving import app
from digits.serving.limits import LIMITS, Limits
from digits.serving.uploads import parameter
from digits.serving.workers import Readers
from support.serving import Stub, ask, detail, drawn, here, wait_for

Ask = Callable[[bytes, bytes], httpx.Response]


@pytest.fixture(scope="module")
def asked() -> Iterator[Ask]:
    """Sends a type and a body to an application that has no readers to start."""
    served = app.application(Stub(), "a.ckpt", Readers(LIMITS))  # type: ignore[arg-type]
    with asyncio.Runner() as runner:
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(served), base_url="http://localhost", trust_env=False
        )

        def ask(kind: bytes, body: bytes) -> httpx.Response:
            return runner.run(
                client.post("/predict", content=body, headers={b"Content-Type": kind})
            )

        yield ask
        runner.run(client.aclose())


def form(disposition: bytes, content: bytes = b"a") -> bytes:
    return b"--x\r\nContent-Disposition: %s\r\n\r\n%s\r\n--x--" % (disposition, content)


BITS = [b"multipart/form-data", b"form-data", b"image/png", b"; boundary", b"; name", b"=", b"x"]
BITS += [b'"', b"\\", b"*", b"*0", b"*1*", b"''", b"idna''%ff", b"utf-16''%ff", b"a", b"\xff"]
BITS += [b"\r\n", b"--", b"--x", b"image", b";", b" ", b"Content-Disposition: ", b":", b"/"]
odd = st.lists(st.sampled_from(BITS), max_size=12).map(b"".join)
SOUND = b"multipart/form-data; boundary=x"


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(kind=odd.map(lambda kind: kind.replace(b"\r\n", b"")), head=odd)
@example(b"multipart/form-data; boundary*=a; boundary*0=b", b"")
@example(b"multipart/form-data; boundary*=idna''%ff", b"")
@example(b'multipart/form-data; boundary="\\', b"")
@example(SOUND, b"form-data; name*=idna''%ff")
@example(SOUND, b"form-data; name*=a; name*0=b")
@example(SOUND, b"form-data; name*1=b; name*0*=\xff")
def test_no_header_is_our_fault(asked: Ask, kind: bytes, head: bytes) -> None:
    for given_kind, body in ((kind, form(b"form-data; name=image")), (SOUND, form(head))):
        assert asked(given_kind, body).status_code in (415, 422)


@pytest.mark.parametrize(
    ("disposition", "said"),
    [
        (b'form-data; name="image"; filename="a.png"', "415 expected a PNG"),  # it's found
        (b'FORM-DATA;NAME=image;filename="; name=other"', "415 expected a PNG"),
        (
            b'form-data; filename="; name=image"; name="x"',
            "422 multipart/form-data: expected image",
        ),
        (b'form-data; filename="\\"; name=image"', "422 multipart/form-data: expected image"),
        (b"form-data", "422 multipart/form-data: expected image"),
    ],
)
def test_a_field_is_known_by_its_name(asked: Ask, disposition: bytes, said: str) -> None:
    assert detail(asked(SOUND, form(disposition))).startswith(said)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("a/b; boundary=xyz", "xyz"),
        ('a/b; charset=utf-8 ;Boundary="x y;z"; boundary=b', "x y;z"),
        (r'a/b; boundary="x\"y\\z"', r'x"y\z'),
        ("a/b; boundary=", None),
        ("a/b; xboundary=b", None),
        ("a/b; boundary*=b; boundary*0=b", None),
        ("boundary=b", None),
    ],
)
def test_a_parameter_is_what_it_says(header: str, value: str | None) -> None:
    assert parameter(header, "boundary") == value


def test_what_is_answered_is_not_held() -> None:
    """Ten of a third of the memory, one after another."""
    with here(Stub(), Limits(held_bytes=90_000)) as at:
        data = drawn("BMP", 160)
        assert 25_000 < len(data) < 30_000
        for body in (data, b"no image" * 3500) * 5:
            assert ask(at.url, body).status_code == (200 if body == data else 415)


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


def test_seven_that_hold_all_memory_keep_nobody_out() -> None:
    """By default, as docs/serve.md has it: bodies of up to 10 MiB, 64 MiB for all."""
    with here(Stub()) as at, ExitStack() as stack:
        slow = [stack.enter_context(at.connect()) for _ in range(7)]
        for each in slow:
            each.sendall(HEAD + b"Content-Length: 9600000\r\n\r\n" + bytes(9_586_980))  # 64 MiB
        for _ in range(3):
            assert ask(at.url, drawn()).status_code == 200
        # the first has held as much as any for the longest
        said = b"".join(iter(lambda: slow[0].recv(9999), b""))
        assert said.startswith(b"HTTP/1.1 503 ")
        assert said.endswith(b'{"detail":"too many images at once"}')
        slow[1].sendall(bytes(9_600_000 - 9_586_980))
        assert slow[1].recv(15) == b"HTTP/1.1 415 Un"


def test_what_is_being_answered_is_never_given_up() -> None:
    stub = Stub()
    stub.may_go.clear()
    with here(stub, Limits(held_bytes=60_000)) as at, ExitStack() as stack:
        data = drawn("BMP", 160)
        both = [stack.enter_context(at.connect()) for _ in range(2)]
        for each in both:
            each.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(data) + data)
        wait_for(lambda: at.readers.finished == 2)
        assert detail(ask(at.url, data)) == "503 too many images at once"
        stub.may_go.set()
        assert [each.recv(15) for each in both] == [b"HTTP/1.1 200 OK"] * 2
