"""uvicorn, with an end to what a client may keep open.

uvicorn waits for a request's headers for ever, and counts connections only once they have asked. A
few hundred that never do would take every file the process may open.
"""

import asyncio
import json
import socket
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from digits.serving.http_parser import BODY_BYTES, Parser
from digits.serving.limits import LIMITS, Limits
from digits.serving.middleware import HEADERS
from digits.serving.worker import brief

ACCEPTED_AT_ONCE = 8  # before any of them has a turn: more would end each other
WAITING_TO_BE = 512


class Connection(H11Protocol, asyncio.BufferedProtocol):
    """One above the limit ends one that was refused, or else the one that has kept the server
    waiting the longest.
    """

    limits: ClassVar[Limits]
    refused: ClassVar[dict["Connection", None]]  # sets with an order, of one server's connections
    longest_first: ClassVar[dict["Connection", None]]
    since = 0.0  # when it was made, or last answered

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.conn: Parser = Parser()
        self.buffer = bytearray(BODY_BYTES)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_client()
        if len(self.connections) > self.limits.connections:
            waited_for = (other for other in self.longest_first if other.client_is_next())
            next(iter(self.refused), next(waited_for, self)).end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self.buffer)[: self.conn.read_bytes]

    def buffer_updated(self, nbytes: int) -> None:
        if self not in self.refused:
            self.data_received(bytes(self.buffer[:nbytes]))

    def on_response_complete(self) -> None:
        if self.conn.their_state is h11.DONE and self.conn.trailing_data[0]:
            self._refuse()  # it sends on without reading, thousands of times if it may
        else:
            self._wait_for_client()
            super().on_response_complete()

    def client_is_next(self) -> bool:
        """Whether headers or a body are still to come, or an answer is still to be taken."""
        is_to_say = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        return is_to_say or self.transport.get_write_buffer_size() > 0

    def _wait_for_client(self) -> None:
        self._forget()
        self.since = self.loop.time()
        self.longest_first[self] = None

    def _refuse(self) -> None:
        """Closed now, a client that still sends would lose its answer, and soon be back."""
        self._forget()
        self.refused[self] = None
        self.transport.pause_reading()
        self.transport.write_eof()
        if self.cycle is not None:  # the application is not to answer, nor to wait for more
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _forget(self) -> None:
        self.longest_first.pop(self, None)
        self.refused.pop(self, None)

    def shutdown(self) -> None:
        if self in self.refused:
            self.end()
        else:
            super().shutdown()

    def end(self) -> None:
        self._forget()
        self.connections.discard(self)  # the transport says so only in the loop's next round
        self.transport.abort()

    def end_if_late(self) -> None:
        is_asked = self.cycle is not None and not self.cycle.response_complete
        is_at_work = is_asked and self not in self.refused
        seconds = self.limits.request_s if is_at_work else self.limits.headers_s
        if self.loop.time() - self.since > seconds:
            self.end()

    def send_400_response(self, msg: str) -> None:
        """uvicorn's own lacks HEADERS, and fails if an answer has begun."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            status, detail = self.conn.refusal
            body = json.dumps({"detail": detail}).encode()
            headers = HEADERS | {
                "content-type": "application/json",
                "content-length": str(len(body)),
                "connection": "close",
            }
            lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{''.join(lines)}\r\n"
            self.transport.write(head.encode() + body)
        self._refuse()


class Server(uvicorn.Server):
    """Calls `ready` once it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(_say_briefly)
        await super().startup(sockets)
        for each in sockets or []:
            each.listen(WAITING_TO_BE)  # asyncio takes one number, the smaller one, for both
        self.ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # each second
            for connection in self._connections():
                connection.end_if_late()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        for connection in self._connections():
            connection.end()

    def _connections(self) -> list[Connection]:
        return [each for each in self.server_state.connections if isinstance(each, Connection)]


def _say_briefly(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """asyncio's own handler shows tracebacks and the client's address."""
    error = context.get("exception")
    if error is not None and not isinstance(error, OSError):  # that's a connection that broke
        print(f"error: {brief(error)}", file=sys.stderr, flush=True)


def server(
    app: Any, limits: Limits = LIMITS, ready: Callable[[], None] = lambda: None
) -> uvicorn.Server:
    its_own = {"limits": limits, "refused": {}, "longest_first": {}}
    config = uvicorn.Config(
        app,
        http=type("Connection", (Connection,), its_own),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=ACCEPTED_AT_ONCE,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=limits.stop_s,
    )
    return Server(config, ready)
