"""The application: routes, layers around them, and how errors are told."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from unmask import __version__
from unmask.engine.engine import Engine
from unmask.errors import UnmaskError
from unmask.server import about, canvas, chat, completions
from unmask.server.errors import ApiError, as_api_error
from unmask.server.limits import BodyLimit, KeyCheck
from unmask.server.page_routes import add_page
from unmask.server.requests import CanvasRequest, ChatRequest, CompletionRequest
from unmask.server.service import Service, service_of
from unmask.server.settings import ServerSettings

ABOUT = """\
A server for diffusion language models that speaks OpenAI's API.

Unlike elsewhere, `temperature` is 0 unless given, and fields that cannot be honoured are errors.
"""


def create_app(engine: Engine, settings: ServerSettings) -> FastAPI:
    """The application around a started ``engine``.

    Raises:
        InputError: the model has no tokenizer.
    """
    service = service_of(engine, settings)
    app = FastAPI(title="unmask", version=__version__, description=ABOUT, redoc_url=None)
    for part in (chat, completions, canvas, about):
        app.include_router(part.router(service))
    add_page(app)
    _add_errors(app, service)
    _add_layers(app, service)
    app.openapi = lambda: _schema(app, settings)  # type: ignore[method-assign]  # FastAPI's own way
    return app


def _add_layers(app: FastAPI, service: Service) -> None:
    """From the inside out."""
    settings = service.settings

    def refused(error: ApiError) -> None:
        service.metrics.refused(error.status)

    seconds = settings.time_limit
    app.add_middleware(BodyLimit, limit=settings.body_limit, seconds=seconds, refused=refused)
    if settings.api_key is not None:
        app.add_middleware(KeyCheck, key=settings.api_key, refused=refused)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["*"],  # what a page asks for is echoed; SDKs send headers of their own
            expose_headers=["Retry-After"],
        )


def _add_errors(app: FastAPI, service: Service) -> None:
    """Whatever is raised reaches the client in one shape, and is counted."""

    def tell(request: Request, error: ApiError) -> Response:
        if request.method == "POST" and not error.counted:
            service.metrics.refused(error.status)
        return error.response()

    async def known(request: Request, error: Exception) -> Response:
        return tell(request, as_api_error(error))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = f"{request.method} {request.url.path}: {error.detail}"
        headers = error.headers or {}
        return tell(request, ApiError(error.status_code, message, headers=headers))

    app.add_exception_handler(HTTPException, http)
    for kind in (ApiError, UnmaskError, Exception):  # the last is logged as well, by uvicorn
        app.add_exception_handler(kind, known)


def _schema(app: FastAPI, settings: ServerSettings) -> dict[str, Any]:
    """The OpenAPI document. Bodies are read by `unmask.server.bodies`, so they are added here."""
    if app.openapi_schema is None:
        found = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        for operations in found["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)  # FastAPI assumes it; ours is a 400
        _, bodies = models_json_schema(
            [(kind, "validation") for kind in (ChatRequest, CompletionRequest, CanvasRequest)],
            ref_template="#/components/schemas/{model}",
        )
        parts = found.setdefault("components", {})
        parts.setdefault("schemas", {}).update(bodies["$defs"])
        if settings.api_key is not None:
            parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            found["security"] = [{"key": []}]
        app.openapi_schema = found
    return app.openapi_schema
