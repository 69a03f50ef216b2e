"""What comes with an image: types and forms."""

import asyncio
from collections.abc import Callable, Iterator

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from digits.serving import app
from support.serving import MODEL, Reading, Stub, detail

Ask = Callable[[bytes, bytes], httpx.Response]


@pytest.fixture(scope="module")
def asked() -> Iterator[Ask]:
    """Sends a type and a body."""
    served = app.application(Stub(), MODEL, Reading())  # type: ignore[arg-type]
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


@settings(max_examples=30, derandomize=True, database=None, deadline=None)
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
