"""The application: a page and a JSON API around a Predictor."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from digits.errors import InputError
from digits.prediction.predictor import Predictor
from digits.serving.batching import Batcher, OverloadedError
from digits.serving.limits import LIMITS, Limits
from digits.serving.middleware import Guard, Metrics
from digits.serving.schema import BODY, Answer, Health, answer, problems
from digits.serving.uploads import Bodies
from digits.serving.workers import Readers

WEB = Path(__file__).with_name("web")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PAGES = {"index.html": "/", "docs.html": "/docs"}  # the others under their own names


def application(
    predictor: Predictor,
    model: str,
    readers: Readers,
    only_local: bool = True,
    limits: Limits = LIMITS,
) -> Guard:
    """`model` is its name in /healthz; `only_local` refuses hosts other than loopback addresses."""
    metrics = Metrics()
    bodies = Bodies(limits)
    batcher = Batcher(predictor, readers, limits, metrics.batches.observe)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        readers.start()
        try:
            yield
        finally:
            batcher.close()

    app = FastAPI(
        title="Digits",
        version="1",
        description="Which digit is drawn in an image.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        responses=problems(400, 431, 500),
        exception_handlers={Exception: _our_fault},
    )

    _add_predict(app, bodies, batcher)

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


def _add_predict(app: FastAPI, bodies: Bodies, batcher: Batcher) -> None:
    @app.post(
        "/predict",
        response_model=Answer,
        responses=problems(403, 408, 413, 415, 422, 503),
        openapi_extra={"requestBody": BODY},
    )
    async def predict(request: Request) -> Response:
        """Which digit an image shows."""
        try:
            async with bodies.image(request) as data:
                prediction = await batcher.predict(data)
        except InputError as error:
            raise HTTPException(422, str(error)) from error
        except OverloadedError as error:
            raise HTTPException(503, "too much to do", {"Retry-After": "1"}) from error
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
