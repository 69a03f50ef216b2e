"""h11, with a limit to the work that a client's bytes cause.

It parses all that one read has brought before anybody else has a turn, and uvicorn reads 256 KiB:
as chunks of one byte they take half a second.
"""

from http import HTTPStatus
from typing import NoReturn

import h11

HEAD_BYTES = 8 << 10  # of each read, and of headers not yet ended: 7 ms at the worst
BODY_BYTES = 64 << 10  # of each read of a body whose length is known: nothing is looked for in it
MOST_HEADERS = 100
FREE_CHUNKS = 16  # of any size
MEAN_CHUNK = 256  # bytes; each chunk takes 10 µs


class Parser(h11.Connection):
    """`refusal` is the answer to give if `next_event` raises RemoteProtocolError."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, HEAD_BYTES)
        self.refusal = HTTPStatus.BAD_REQUEST, "not an HTTP request"
        self.read_bytes = HEAD_BYTES  # as many as may be received at once
        self.chunks = self.body_bytes = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
                self._refuse(error.error_status_hint, f"over {HEAD_BYTES >> 10} KiB of headers")
            raise
        if isinstance(event, h11.Request):
            self._begin(event)
        elif isinstance(event, h11.Data):
            self._count(event)
        elif isinstance(event, h11.EndOfMessage):
            self.read_bytes = HEAD_BYTES
        return event

    def _begin(self, request: h11.Request) -> None:
        if len(request.headers) > MOST_HEADERS:
            too_many = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self._refuse(too_many, f"over {MOST_HEADERS} headers")
        is_chunked = any(name == b"transfer-encoding" for name, _ in request.headers)
        self.read_bytes = HEAD_BYTES if is_chunked else BODY_BYTES
        self.chunks = self.body_bytes = 0

    def _count(self, data: h11.Data) -> None:
        self.chunks += data.chunk_start
        self.body_bytes += len(data.data)
        if self.chunks > FREE_CHUNKS + self.body_bytes // MEAN_CHUNK:
            self._refuse(HTTPStatus.BAD_REQUEST, f"chunks of under {MEAN_CHUNK} bytes")

    def _refuse(self, status: int, detail: str) -> NoReturn:
        self.refusal = HTTPStatus(status), detail
        raise h11.RemoteProtocolError(detail, status)
