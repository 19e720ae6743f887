"""What does the server say about itself? Its model, its health, its metrics."""

from __future__ import annotations

import contextlib
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from unmask.decode import policy
from unmask.decode.presets import PRESETS
from unmask.errors import ClosingError, InputError
from unmask.server import examples
from unmask.server.errors import json_response
from unmask.server.service import Service


def router(service: Service) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["server"])
    _add_models(routes, service)

    @routes.head("/health", include_in_schema=False)
    @routes.get("/health", responses=examples.answers("It lives.", {"status": "ok"}))
    async def health() -> dict[str, str]:
        """Whether the process answers and its engine lives; 503 if it should be started anew."""
        if service.engine.broken:
            raise ClosingError("the engine has failed; start the server anew")
        return {"status": "ok"}

    @routes.head("/ready", include_in_schema=False)
    @routes.get("/ready", responses=examples.answers("It takes requests.", {"status": "ready"}))
    async def ready() -> dict[str, str]:
        """Whether new requests are taken; 503 while the server closes."""
        if not service.engine.accepting:
            raise ClosingError("the server is closing; ask another one or come back later")
        return {"status": "ready"}

    @routes.head("/metrics", include_in_schema=False)
    @routes.get(
        "/metrics",
        response_class=Response,
        responses=examples.answers("Metrics.", "unmask_running 3.0\n", "text/plain"),
    )
    def metrics() -> Response:
        """Counts and distributions, in Prometheus' format."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return routes


def _presets(service: Service) -> list[str]:
    model, found = service.engine.model, []
    for name in PRESETS:
        with contextlib.suppress(InputError):
            policy.make(model.card, name, {}, model.defaults)
            found.append(name)
    usual = service.settings.preset or policy.default_preset(model.card)
    return sorted(found, key=lambda name: name != usual)


def _add_models(routes: APIRouter, service: Service) -> None:
    card, engine = service.engine.model.card, service.engine
    model: dict[str, Any] = {
        "id": service.settings.name,
        "object": "model",
        "created": service.created,
        "owned_by": "unmask",
        "family": card.family,
        "parameters": card.parameters,
        "max_model_len": engine.length,
        "presets": _presets(service),
    }

    @routes.head("/v1/models", include_in_schema=False)
    @routes.get("/v1/models", responses=examples.answers("One model.", {"data": [model]}))
    async def models() -> Response:
        """The model that is served. `max_model_len`: positions of prompt and answer together;
        `presets`: those that fit it, the one that is used unasked first."""
        return json_response({"object": "list", "data": [model]})

    @routes.head("/v1/models/{name:path}", include_in_schema=False)
    @routes.get("/v1/models/{name:path}", responses=examples.answers("The model.", model))
    async def one_model(name: str) -> Response:
        """The model, if that is its name."""
        service.check_model(name)
        return json_response(model)
