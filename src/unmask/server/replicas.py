"""The server as replicas of a Ray cluster: the same application in every replica, one address.

Ray Serve's proxies take the requests. Of two replicas picked at random the one with fewer requests
under way gets the next one, and none gets more than its engine has slots and places to wait; the
margin above that is there so that the engine says "busy" itself, in the API's words.
"""

from __future__ import annotations

import http.client
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import FastAPI

from unmask.engine.engine import Engine
from unmask.errors import ClusterError
from unmask.models.loading import load
from unmask.server.app import create_app
from unmask.server.run import FLUSH, KEPT
from unmask.server.settings import ServerSettings

APPLICATION = "unmask"
MARGIN = 64
"""Requests above slots and queue that reach a replica: those it refuses, the page, the metrics."""
LOOK = 0.5
"""Seconds between two looks of a closing replica at what is still under way."""
PATIENCE = 30.0
"""Seconds that the first answer may take."""


@dataclass(frozen=True)
class Plan:
    """What a replica is. ``model``: name, device and dtype; ``length``: positions of a slot, None
    for what the model takes; ``waiting``: answers that may queue."""

    model: tuple[str, str, str]
    settings: ServerSettings
    slots: int = 16
    length: int | None = None
    waiting: int = 256


class Replica:
    """A model, its engine and the application around it, in a process of the cluster."""

    def __init__(self, plan: Plan) -> None:
        model = load(*plan.model)
        self._engine = Engine(model, slots=plan.slots, length=plan.length, waiting=plan.waiting)
        self._app = create_app(self._engine, plan.settings)
        self._engine.start()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Asked by Ray Serve for what answers requests."""
        return self._app

    def check_health(self) -> None:
        """Asked by Ray Serve now and then; one that raises is replaced."""
        if self._engine.broken:
            raise ClusterError("the engine of this replica has failed")

    def __del__(self) -> None:
        """Called by Ray Serve once nothing is under way any more."""
        if hasattr(self, "_engine"):  # the model may not have been there
            self._engine.drain(0)


def start(host: str, port: int) -> None:
    """Ray Serve, listening at this address of every machine that has a replica, and of the head.

    Does nothing where it runs already; then `listening` tells whether it listens there.
    """
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(
        proxy_location="EveryNode",
        http_options={"host": host, "port": port, "keep_alive_timeout_s": KEPT},
        logging_config={"log_level": "WARNING", "enable_access_log": False},
    )


def deploy(plan: Plan, replicas: int, needs: Mapping[str, float], drain: float) -> None:
    """So many replicas of ``plan``; returns when they are there.

    Where there are some already they are replaced a few at a time: each stops taking requests, has
    ``drain`` seconds to answer those it has, and the next one goes when its heir is ready.
    ``needs``: Ray's options for an actor.

    Raises:
        ClusterError: they do not start.
    """
    from ray import serve

    deployment = serve.deployment(
        serve.ingress()(Replica),
        name="replica",
        num_replicas=replicas,
        max_ongoing_requests=plan.slots + plan.waiting + MARGIN,
        graceful_shutdown_timeout_s=drain + FLUSH,
        graceful_shutdown_wait_loop_s=LOOK,
        ray_actor_options=dict(needs),
    )
    try:
        serve.run(deployment.bind(plan), name=APPLICATION, route_prefix="/")
    except RuntimeError as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ClusterError(f"the replicas do not start: {said[-1]}") from None


def withdraw(*, shared: bool) -> None:
    """Take the replicas away, each once it has answered what it has. In a ``shared`` cluster Ray
    Serve ends as well, unless others use it; a cluster of our own ends as a whole."""
    from ray import serve

    serve.delete(APPLICATION)
    if shared and not serve.status().applications:
        serve.shutdown()


def listening(host: str, port: int) -> bool:
    """Whether a replica answers at this address."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
