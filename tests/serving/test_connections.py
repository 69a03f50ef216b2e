"""What clients may keep open, and what becomes of those that only take."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from socket import socket
from typing import Any

import h11
import pytest

from digits.serving.http_parser import Parser
from digits.serving.limits import Limits
from support.serving import Here, Stub, ask, drawn, ended, exchange, here, listening, wait_for

POST = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST_GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
LARGE = b"a" * (16 << 20)  # more than the system keeps for a client that doesn't read


async def large(scope: Any, receive: Any, send: Any) -> None:
    """An application whose answer is LARGE."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": LARGE, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def is_open(at: Here, connection: socket) -> bool:
    port = connection.getsockname()[1]
    clients = [other.client for other in list(at.server.server_state.connections)]
    return any(client is not None and client[1] == port for client in clients)


def opened(at: Here, stack: ExitStack, data: bytes) -> socket:
    """A connection that has sent `data`, and that the server knows."""
    connection = stack.enter_context(closing(at.connect()))
    connection.sendall(data)
    wait_for(lambda: is_open(at, connection))
    return connection


def test_chunks_of_a_byte_are_refused() -> None:
    with here(Stub()) as at:
        said = exchange(at, CHUNKED + b"1\r\na\r\n" * 1000)
        assert said.startswith("HTTP/1.1 400 Bad Request\r\n")
        assert said.endswith('\r\n\r\n{"detail": "chunks of under 256 bytes"}')
        assert "\r\nx-content-type-options: nosniff\r\n" in said
        assert exchange(at, GET + b"nonsense\r\n\r\n").count("HTTP/1.1 ") == 1
        sent = b"".join(b"%x\r\n%s\r\n" % (300, b"a" * 300) for _ in range(100))
        said = exchange(
            at, CHUNKED.replace(b"Host", b"Connection: close\r\nHost") + sent + b"0\r\n\r\n"
        )
        assert said.startswith("HTTP/1.1 415 ")  # read whole, and no image


def test_who_was_refused_is_over_for_the_application(capfd: pytest.CaptureFixture[str]) -> None:
    """It neither answers once more nor waits for the rest of the body, and says nothing."""
    flood = b"1\r\na\r\n" * 100
    with here(Stub(), Limits(body_s=3600, headers_s=3600)) as at, ExitStack() as stack:
        for data in (CHUNKED, CHUNKED.replace(b"image/png", b"text/plain")):
            with opened(at, stack, data + flood) as refused:
                assert refused.recv(9999).startswith(b"HTTP/1.1 400 ")
                assert refused.recv(9999) == b""
            wait_for(lambda: not at.server.server_state.tasks)
    assert "error" not in capfd.readouterr().err


def test_who_asks_on_before_the_answer_gets_one() -> None:
    with here(Stub()) as at:
        said = exchange(at, GET * 1000)
        assert said.count("HTTP/1.1 ") == said.count("HTTP/1.1 200 OK") == 1
        with at.connect() as connection:  # one that waits for each is served on
            for _ in range(3):
                connection.sendall(GET)
                said = b""
                while not said.endswith(b"}"):
                    said += connection.recv(9999)
                assert said.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("first", ["does not ask", "does not read"])
def test_who_has_kept_us_waiting_the_longest_goes(first: str) -> None:
    with listening(large, Limits(connections=2)) as at, ExitStack() as stack:
        both = []
        for data in [POST, GET] if first == "does not ask" else [GET, POST]:
            both.append(opened(at, stack, data))
            if data == GET:
                assert both[-1].recv(1) == b"H"  # and no more
        newcomer = opened(at, stack, GET)
        assert newcomer.recv(15) == b"HTTP/1.1 200 OK"
        assert [is_open(at, each) for each in both] == [False, True]


def test_who_was_refused_goes_before_who_waits() -> None:
    with here(Stub(), Limits(connections=2)) as at, ExitStack() as stack:
        slow = opened(at, stack, POST)
        refused = opened(at, stack, GET * 2)
        while refused.recv(9999):
            pass
        assert is_open(at, refused)
        assert exchange(at, LAST_GET).startswith("HTTP/1.1 200 OK")
        assert [is_open(at, each) for each in (slow, refused)] == [True, False]


def test_who_was_refused_is_let_go() -> None:
    with here(Stub(), Limits(headers_s=0.1)) as at, ExitStack() as stack:
        both = [opened(at, stack, data + b"1\r\na\r\n" * 99) for data in (CHUNKED, GET)]
        wait_for(lambda: not any(is_open(at, each) for each in both))


def test_the_201st_connection_ends_the_first() -> None:
    with here(Stub()) as at, ExitStack() as stack:
        all_201 = [opened(at, stack, POST) for _ in range(201)]
        assert ended(all_201[0])
        assert sum(is_open(at, each) for each in all_201) == 200
        assert is_open(at, all_201[1])


def test_a_crowd_that_comes_at_once_is_served() -> None:
    with here(Stub(), Limits(connections=60)) as at, ExitStack() as stack:
        is_there = threading.Event()
        at.loop.call_soon_threadsafe(is_there.wait)
        crowd = [stack.enter_context(at.connect()) for _ in range(150)]
        for each in crowd:
            each.sendall(LAST_GET)
        is_there.set()
        assert [each.recv(15) for each in crowd] == [b"HTTP/1.1 200 OK"] * 150


def test_who_was_refused_does_not_keep_it_from_stopping() -> None:
    with ExitStack() as stack, here(Stub(), Limits(stop_s=3600)) as at:
        for data in (GET * 100, CHUNKED + b"1\r\na\r\n" * 100):
            refused = opened(at, stack, data)
            while refused.recv(9999):
                pass


def attack(at: Here, start: bytes, more: bytes, is_over: threading.Event) -> None:
    """Sends and never reads, and is back when it has been ended."""
    while not is_over.is_set():
        with suppress(OSError), at.connect() as connection:
            connection.sendall(start)
            while True:
                connection.sendall(more)


def test_newcomers_are_served_under_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty that ask and never read, four that send chunks of a byte, and twenty places."""
    chunks: Counter[Parser] = Counter()
    next_event = Parser.next_event

    def counted(self: Parser) -> Any:
        event = next_event(self)
        chunks[self] += isinstance(event, h11.Data)
        return event

    monkeypatch.setattr(Parser, "next_event", counted)
    is_over = threading.Event()
    with (
        ThreadPoolExecutor(24) as clients,
        here(Stub(), Limits(connections=20)) as at,
        ExitStack() as stack,
    ):
        stack.callback(is_over.set)
        for _ in range(4):
            clients.submit(attack, at, CHUNKED, b"1\r\na\r\n" * 10_000, is_over)
        for _ in range(20):
            clients.submit(attack, at, b"", GET * 1000, is_over)
        wait_for(lambda: len(chunks) > 24)  # some are back
        for _ in range(20):
            assert exchange(at, LAST_GET).startswith("HTTP/1.1 200 OK")
        for _ in range(5):
            assert ask(at.url, drawn()).json()["digit"] == 7
        assert len(at.server.server_state.connections) <= 21  # one is just being let in
    assert max(chunks.values()) == 16
