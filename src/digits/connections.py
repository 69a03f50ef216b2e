"""uvicorn, with an end to what a client may keep open. No torch.

uvicorn waits for a request's headers for ever, and counts connections only once they have asked. A
few hundred that never do would take every file the process may open.
"""

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from digits.guard import HEADERS
from digits.limits import LIMITS, Limits
from digits.reader import brief

NOT_HTTP = b'{"detail":"not an HTTP request"}'


class Connection(H11Protocol):
    """One more than allowed ends the one that has kept us waiting the longest."""

    limits = LIMITS
    since = 0.0  # when it was made, or last answered

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.since = self.loop.time()
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            mine = [other for other in self.connections if isinstance(other, Connection)]
            waited_for = [other for other in mine if other.client_is_next()]
            min(waited_for, key=lambda other: other.since, default=self).end()

    def on_response_complete(self) -> None:
        self.since = self.loop.time()
        super().on_response_complete()

    def client_is_next(self) -> bool:
        """Whether headers or a body are still to come."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def end(self) -> None:
        self.connections.discard(self)  # the transport says so only in the loop's next round
        self.transport.abort()

    def end_if_late(self) -> None:
        is_asked = self.cycle is not None and not self.cycle.response_complete
        seconds = self.limits.request_s if is_asked else self.limits.headers_s
        if self.loop.time() - self.since > seconds:
            self.end()

    def send_400_response(self, msg: str) -> None:
        """uvicorn's own has no headers of ours, and fails where an answer has begun."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = HEADERS | {
                "content-type": "application/json",
                "content-length": str(len(NOT_HTTP)),
                "connection": "close",
            }
            lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
            head = f"HTTP/1.1 400 Bad Request\r\n{''.join(lines)}\r\n"
            self.transport.write(head.encode() + NOT_HTTP)
        self.transport.close()


class Server(uvicorn.Server):
    """Calls `ready` once it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(_say_briefly)
        await super().startup(sockets)
        self.ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # each second
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.end_if_late()
        return await super().on_tick(counter)


def _say_briefly(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """asyncio's own handler shows tracebacks and the client's address."""
    error = context.get("exception")
    if error is not None and not isinstance(error, OSError):  # that's a connection that broke
        print(f"error: {brief(error)}", file=sys.stderr, flush=True)


def server(
    app: Any, limits: Limits = LIMITS, ready: Callable[[], None] = lambda: None
) -> uvicorn.Server:
    protocol = type("Connection", (Connection,), {"limits": limits})
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=limits.stop_s,
    )
    return Server(config, ready)
