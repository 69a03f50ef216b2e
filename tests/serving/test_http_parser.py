"""How much work a client's bytes may cause."""

import h11
import pytest

from digits.serving.http_parser import Parser

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def events(parser: Parser, data: bytes) -> list[str]:
    """Of what all of `data` is, in one read."""
    parser.receive_data(data)
    found = []
    while (event := parser.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
        found.append(type(event).__name__)
    return found


def chunks(number: int, size: int) -> bytes:
    return (b"%x\r\n" % size + b"a" * size + b"\r\n") * number


def test_chunks_of_a_byte_end_at_the_seventeenth() -> None:
    parser = Parser()
    parser.receive_data(CHUNKED + chunks(40_000, 1))
    for _ in range(1 + 16):  # the request, too
        parser.next_event()
    with pytest.raises(h11.RemoteProtocolError):
        parser.next_event()
    assert parser.refusal == (400, "chunks of under 256 bytes")


@pytest.mark.parametrize(
    "body", [chunks(1000, 256), chunks(16, 1), chunks(1, 10_000) + chunks(50, 1)]
)
def test_usual_chunks_are_taken(body: bytes) -> None:
    assert events(Parser(), CHUNKED + body + b"0\r\n\r\n")[-1] == "EndOfMessage"


def test_chunks_are_counted_by_request() -> None:
    parser = Parser()
    for _ in range(2):
        assert events(parser, CHUNKED + chunks(16, 1) + b"0\r\n\r\n")[-1] == "EndOfMessage"
        parser.send(h11.Response(status_code=204, headers=[]))
        parser.send(h11.EndOfMessage())
        parser.start_next_cycle()


@pytest.mark.parametrize(
    ("head", "refusal"),
    [
        (b"a: b\r\n" * 100 + b"\r\n", (431, "over 100 headers")),  # and Host
        (b"a: " + b"b" * 8192, (431, "over 8 KiB of headers")),
        (b": b\r\n\r\n", (400, "not an HTTP request")),
    ],
)
def test_a_head_has_an_end(head: bytes, refusal: tuple[int, str]) -> None:
    parser = Parser()
    with pytest.raises(h11.RemoteProtocolError):
        events(parser, b"GET / HTTP/1.1\r\nHost: a\r\n" + head)
    assert parser.refusal == refusal


def test_usual_heads_are_taken() -> None:
    cookies = b"a: " + b"b" * 7000 + b"\r\n" + b"a: b\r\n" * 98
    assert events(Parser(), b"GET / HTTP/1.1\r\nHost: a\r\n" + cookies + b"\r\n") == [
        "Request",
        "EndOfMessage",
    ]


def test_only_a_body_of_known_length_is_read_in_large_pieces() -> None:
    parser = Parser()
    assert parser.read_bytes == 8192
    events(parser, CHUNKED)
    assert parser.read_bytes == 8192
    parser = Parser()
    events(parser, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
    assert parser.read_bytes == 65536
    events(parser, b"123456789")
    assert parser.read_bytes == 8192
