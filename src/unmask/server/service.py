"""What do all routes need? The engine, the settings and the metrics, in one value."""

from __future__ import annotations

import time
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

from unmask.engine.engine import Engine
from unmask.errors import InputError
from unmask.server.errors import ApiError
from unmask.server.metrics import Metrics
from unmask.server.settings import ServerSettings
from unmask.text.tokenizer import TextCodec


@dataclass(frozen=True)
class Service:
    """``created``: seconds since 1970 at which the server began. ``reader``: reads bodies, one at a
    time, for several would keep the event loop from its turn."""

    engine: Engine
    settings: ServerSettings
    metrics: Metrics
    codec: TextCodec
    created: int = field(default_factory=lambda: int(time.time()))
    reader: Executor = field(default_factory=lambda: ThreadPoolExecutor(1, "unmask-reader"))

    def check_model(self, name: str | None) -> None:
        """Whether a request means the model that is here; null does.

        Raises:
            ApiError: it names another one.
        """
        if name not in (None, self.settings.name):
            raise ApiError(
                404,
                f"model={name[:80]!r} is not served here; use {self.settings.name!r}",
                param="model",
                code="model_not_found",
            )


def service_of(engine: Engine, settings: ServerSettings) -> Service:
    """The service of an engine.

    Raises:
        InputError: the model has no tokenizer, so it could not speak.
    """
    codec = engine.model.codec
    if codec is None:
        raise InputError(
            f"{engine.model.card.name} has no tokenizer files, so it cannot be served; put "
            "tokenizer.json (or vocab.json and merges.txt) into its folder"
        )
    return Service(engine, settings, Metrics(engine), codec)
