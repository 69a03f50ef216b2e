"""The application, which is a page and a JSON API around a Predictor, and uvicorn to serve it."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from digits.errors import InputError
from digits.prediction.predictor import Prediction, Predictor
from digits.prediction.readers import Readers
from digits.serving import uploads
from digits.serving.limits import LIMITS, Limits
from digits.serving.middleware import HEADERS, Guard, Metrics
from digits.serving.schema import BODY, Answer, Health, answer, problems

WEB = Path(__file__).with_name("web")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PAGES = {"index.html": "/", "docs.html": "/docs"}  # other files have their own names


def server(app: Guard, limits: Limits = LIMITS) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        headers=list(HEADERS.items()),
        limit_concurrency=limits.connections + 1,  # uvicorn refuses the connection that reaches it
        h11_max_incomplete_event_size=limits.head_bytes,
        timeout_keep_alive=limits.idle_s,
        timeout_graceful_shutdown=limits.stop_s,
    )
    return uvicorn.Server(config)


def application(
    predictor: Predictor,
    model: str,
    readers: Readers,
    only_local: bool = True,
    limits: Limits = LIMITS,
    ready: Callable[[], None] = lambda: None,
) -> Guard:
    """Make the application. `model` is the model's name in /healthz, `only_local` refuses hosts
    other than loopback addresses, `ready` is called when everything is ready.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        readers.start()
        ready()
        yield
        readers.close()

    app = FastAPI(
        title="Digits",
        version="1",
        description="Which digit is drawn in an image.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        responses=problems(400, 500),
        exception_handlers={Exception: _our_fault},
    )

    _add_predict(app, predictor, readers, limits)

    @app.get("/healthz")
    async def healthz() -> Health:
        return Health(status="ok", model=model)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics_text() -> Response:
        """For Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    paths = {"/predict", "/healthz", "/metrics", "/openapi.json"}
    for file in sorted(WEB.iterdir()):
        path = PAGES.get(file.name, f"/{file.name}")
        app.add_route(path, _static(file), include_in_schema=False)
        paths.add(path)
    return Guard(app, metrics, paths, only_local)


def _add_predict(app: FastAPI, predictor: Predictor, readers: Readers, limits: Limits) -> None:
    places = asyncio.Semaphore(limits.under_way)
    one_at_a_time = threading.Lock()

    def recognise(data: bytes) -> Prediction:
        drawing = readers.read(data)
        with one_at_a_time:
            return predictor.predict([drawing])[0]

    @app.post(
        "/predict",
        response_model=Answer,
        responses=problems(403, 408, 413, 415, 422, 503),
        openapi_extra={"requestBody": BODY},
    )
    async def predict(request: Request) -> Response:
        """Which digit an image shows."""
        too_much = HTTPException(503, "too much to do", {"Retry-After": "1"})
        if places.locked():
            raise too_much
        async with places:
            data = await uploads.image(request, limits)
            try:
                async with asyncio.timeout(limits.answer_s):
                    prediction = await asyncio.to_thread(recognise, data)
            except InputError as error:
                raise HTTPException(422, str(error)) from error
            except TimeoutError as error:
                raise too_much from error
        return Response(answer(prediction).model_dump_json(), media_type="application/json")


def _static(file: Path) -> Callable[[Request], Awaitable[Response]]:
    content = file.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}

    async def static(request: Request) -> Response:
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=TYPES[file.suffix], headers=headers)

    return static


async def _our_fault(_: Request, __: Exception) -> Response:
    return JSONResponse({"detail": "our fault, not the image's"}, 500)
