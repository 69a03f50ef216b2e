"""The layer around the application: it decides who may ask, adds headers, and counts requests.

Nothing that a client sends reaches a log, a label of a metric, or a file.
"""

import json
import re
import sys
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digits.prediction.readers import brief

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {  # of every answer
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
OWN = {"content-security-policy": CSP, "cross-origin-opener-policy": "same-origin"}
FOREIGN = {  # instead of these, for a page that anyone may have written: no script, form or refresh
    "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "unsafe-none",  # browsers may refuse any other with a sandbox
}
LOCAL = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "digits_requests", "Requests answered", ["path", "code"], registry=self.registry
        )
        self.seconds = Histogram(
            "digits_predict_seconds",
            "From a request's headers to its answer",
            buckets=(0.005, 0.01, 0.02, 0.03, 0.06, 0.1, 0.2, 0.4, 0.8, 2, 5, 10),
            registry=self.registry,
        )
        self.in_flight = Gauge("digits_in_flight", "Requests under way", registry=self.registry)


class Guard:
    """Refuses requests of other sites' pages. Any page that the user has open may send requests
    here and, under a host name of its own that leads to 127.0.0.1, could read the answers.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: set[str], only_local: bool) -> None:
        self.app = app
        self.metrics = metrics
        self.paths = paths
        self.only_local = only_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, code = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal code
            code = message.get("status", code)
            if "status" in message:
                headers = MutableHeaders(scope=message)
                for name, value in OWN.items():
                    headers.setdefault(name, value)
            await send(message)

        path = scope["path"] if scope["path"] in self.paths else "other"
        with self.metrics.in_flight.track_inprogress():
            refused = self._refused(scope)
            if refused:
                await _say(watched, *refused)
            else:
                await self._ask(scope, receive, watched)
        self.metrics.requests.labels(path, str(code)).inc()
        if path == "/predict":
            self.metrics.seconds.observe(time.perf_counter() - begin)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception as error:  # the client has got a 500
            print(f"error: {brief(error)}", file=sys.stderr, flush=True)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if self.only_local and not LOCAL.fullmatch(host):
            return 400, "Host: expected localhost or a loopback address"
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and not _is_own(headers, host):
            return 403, "sent by another site's page"
        return None


def _is_own(headers: dict[bytes, str], host: str) -> bool:
    """Whether the request comes from this server's own page, or from no page at all."""
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get(b"origin")  # browsers send only this to a host without TLS
    return origin is None or origin.partition("://")[2].lower() == host.lower()


async def _say(send: Send, code: int, detail: str) -> None:
    body = json.dumps({"detail": detail}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body})
