"""The application, which is a page and a JSON API around a Predictor, and uvicorn to serve it."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from digits.errors import InputError
from digits.files import DRAWINGS, read_at_most
from digits.images.drawn import Drawing
from digits.prediction import confidence, network
from digits.prediction.loading import Model
from digits.prediction.predictor import Prediction, Predictor
from digits.prediction.readers import Readers
from digits.serving import uploads
from digits.serving.limits import LIMITS, Limits
from digits.serving.middleware import FOREIGN, HEADERS, Guard, Metrics
from digits.serving.schema import BODY, Answer, Health, answer, problems

WEB = Path(__file__).with_name("web")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}
BINARY = "application/octet-stream"
PAGES = {"index.html": "/", "docs.html": "/docs"}  # other files have their own names
MAX_REPORT_BYTES = 32 << 20


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
    model: Model,
    readers: Readers,
    only_local: bool = True,
    limits: Limits = LIMITS,
    ready: Callable[[], None] = lambda: None,
) -> Guard:
    """Make the application. `only_local` refuses hosts other than loopback addresses, `ready` is
    called when everything is ready.
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
        exception_handlers={Exception: _our_fault, RequestValidationError: _wrong_query},
    )

    _add_network(app, predictor)
    _add_predict(app, predictor, readers, limits)
    _add_model(app, model, model.report if only_local else None)  # it names this machine's folders

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics_text() -> Response:
        """For Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    paths = {"/predict", "/healthz", "/metrics", "/openapi.json", "/report"}
    files = {PAGES.get(file.name, f"/{file.name}"): file for file in WEB.iterdir()}
    files |= {f"/examples/{file.name}": file for file in DRAWINGS.iterdir()}
    for path, file in files.items():
        app.add_route(path, _static(file), include_in_schema=False)
        paths.add(path)
    return Guard(app, metrics, paths | {"/network"}, only_local)


def _add_network(app: FastAPI, predictor: Predictor) -> None:
    weights, temperature = predictor.weights, confidence.measured().temperature
    content = network.packed(weights, {"temperature": f"{temperature:g}"}) if weights else b""
    handler = _sent(content, BINARY)

    @app.get(
        "/network",
        response_class=Response,
        responses=problems(404) | {200: {"content": {BINARY: {}}}, 304: {}},
    )
    async def weights_of_network(request: Request) -> Response:
        """The network, as safetensors of int8 weights; one with a hidden layer of ReLUs."""
        if not content:
            raise HTTPException(404, "not a network of one hidden layer of ReLUs, so not shown")
        return await handler(request)


def _add_predict(app: FastAPI, predictor: Predictor, readers: Readers, limits: Limits) -> None:
    places = asyncio.Semaphore(limits.under_way)
    one_at_a_time = threading.Lock()

    def recognise(data: bytes, layers: bool) -> tuple[Prediction, Drawing]:
        drawing = readers.read(data, layers)
        with one_at_a_time:
            return predictor.predict([drawing])[0], drawing

    @app.post(
        "/predict",
        response_model=Answer,
        responses=problems(403, 408, 413, 415, 422, 503),
        openapi_extra={"requestBody": BODY},
    )
    async def predict(
        request: Request,
        why: bool = False,
        instead_of: Annotated[int | None, Query(ge=0, le=9)] = None,
        steps: bool = False,
    ) -> Response:
        """Which digit an image shows; and why, rather than `instead_of` or the next likeliest; and
        by which steps its pixels were found.
        """
        too_much = HTTPException(503, "too much to do", {"Retry-After": "1"})
        if places.locked():
            raise too_much
        async with places:
            data = await uploads.image(request, limits)
            try:
                async with asyncio.timeout(limits.answer_s):
                    prediction, drawing = await asyncio.to_thread(recognise, data, steps)
            except InputError as error:
                raise HTTPException(422, str(error)) from error
            except TimeoutError as error:
                raise too_much from error
        is_asked = why or instead_of is not None
        weights = predictor.weights if is_asked else None
        told = answer(prediction, weights, instead_of, drawing.layers)
        return Response(told.model_dump_json(), media_type="application/json")


def _add_model(app: FastAPI, model: Model, report: Path | None) -> None:
    told = Health(
        status="ok",
        model=model.name,
        test_accuracy=model.test_accuracy,
        test_images=model.test_images,
        report=report is not None,
    )

    @app.get("/healthz")
    async def healthz() -> Health:
        return told

    if report is None:
        return

    @app.get("/report", include_in_schema=False)
    def read() -> Response:
        try:
            content = read_at_most(report, MAX_REPORT_BYTES)
        except (OSError, ValueError) as error:
            raise HTTPException(404, "the report can't be read") from error
        return Response(content, media_type=TYPES[".html"], headers=FOREIGN)


def _static(file: Path) -> Callable[[Request], Awaitable[Response]]:
    return _sent(file.read_bytes(), TYPES[file.suffix])


def _sent(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}

    async def static(request: Request) -> Response:
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    return static


async def _our_fault(_: Request, __: Exception) -> Response:
    return JSONResponse({"detail": "our fault, not the image's"}, 500)


async def _wrong_query(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return JSONResponse({"detail": f"{first['loc'][-1]}: {first['msg']}"}, 422)
