"""`unmask serve`: many people, one model, over HTTP."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from unmask.cli import options, workers
from unmask.decode import policy
from unmask.decode.settings import in_range, whole_number
from unmask.engine.engine import Engine
from unmask.errors import InputError, UnmaskError
from unmask.models.loading import Model, outline
from unmask.server.settings import BODY_LIMIT, TIME_LIMIT, ServerSettings

if TYPE_CHECKING:
    from socket import socket

EXAMPLES = """\
examples:
  unmask serve                                  tiny-fast at http://127.0.0.1:8000
  unmask serve GSAI-ML/LLaDA-8B-Instruct --slots 32 --host 0.0.0.0 --api-key SECRET
  unmask serve tiny --preset fast-dllm --threshold 0.8      defaults of requests
  unmask serve ./checkpoint --ray --replicas 4              docs/cluster.md
  curl http://127.0.0.1:8000/v1/chat/completions -H "Content-Type: application/json" \\
    -d '{"messages": [{"role": "user", "content": "Mia has 12 apples. ..."}]}'

Open the address in a browser to watch answers unmask; /docs describes the API, /metrics is for
Prometheus. Ctrl-C or SIGTERM lets answers finish first, a second one ends the server at once.
"""
KEY_VARIABLE = "UNMASK_API_KEY"
ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/?#@\sA-Z]+")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "model", nargs="?", default="tiny-fast", metavar="MODEL",
        help="built-in name, checkpoint folder or hub id (default: tiny-fast)",
    )  # fmt: skip
    options.add_place(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=int, default=8000, metavar="N", help="0 takes a free one (default: 8000)"
    )
    parser.add_argument("--served-name", metavar="NAME", help="what requests call the model")
    parser.add_argument(
        "--api-key", metavar="KEY", help=f"ask for it (default: ${KEY_VARIABLE}, if that is set)"
    )
    parser.add_argument(
        "--cors", action="append", metavar="ORIGIN",
        help="pages of this origin may call, say https://example.org (* for any); may be repeated",
    )  # fmt: skip
    _add_limits(parser)
    options.add_decoding(parser)
    options.add_sampling(parser)
    workers.add_ray(parser, "--replicas", "copies of the server (default: all that fit)")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits")
    group.add_argument(
        "--slots", type=int, default=16, metavar="N", help="answers per forward (default: 16)"
    )
    group.add_argument(
        "--queue", type=int, default=256, metavar="N", help="answers that may wait (default: 256)"
    )
    group.add_argument(
        "--max-length", type=int, metavar="N",
        help="positions of prompt and answer; less needs less memory (default: the model's)",
    )  # fmt: skip
    group.add_argument(
        "--time-limit", type=float, default=TIME_LIMIT, metavar="S",
        help=f"seconds for a request, waiting included (default: {TIME_LIMIT:.0f})",
    )  # fmt: skip
    group.add_argument(
        "--body-limit", type=int, default=BODY_LIMIT, metavar="BYTES",
        help=f"longest request (default: {BODY_LIMIT})",
    )  # fmt: skip
    group.add_argument(
        "--drain", type=float, default=30.0, metavar="S",
        help="seconds to finish answers in when told to end (default: 30)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Serve until a signal comes."""
    try:
        from unmask.server.run import bind
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("unmask"):
            raise
        raise InputError(f"serving needs {error.name}; type pip install 'unmask[serve]'") from None
    _check(arguments)
    if arguments.ray is None:
        workers.alone(arguments, "replicas")
    preset, overrides = options.preset(arguments), _finite(options.overrides(arguments))
    with bind(arguments.host, arguments.port) as bound:
        _open(arguments, bound, preset, overrides)


def _open(
    arguments: argparse.Namespace,
    bound: socket,
    preset: str | None,
    overrides: dict[str, Any],
) -> None:
    """Load the model and serve at the address of ``bound``."""
    from unmask.cli import replicas
    from unmask.server.replicas import Plan

    far = arguments.ray is not None
    model = outline(arguments.model) if far else options.load_model(arguments)
    policy.make(model.card, preset, overrides, model.defaults)  # a bad default is told now
    settings = _settings(arguments, model, preset, overrides)
    if settings.api_key is None and not ip_address(bound.getsockname()[0]).is_loopback:
        print(
            "unmask: whoever reaches this address may ask; --api-key KEY keeps others out",
            file=sys.stderr,
        )
    host, port = bound.getsockname()[:2]
    where = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    greet = partial(_greet, settings.name, where)
    if not far:
        _serve(arguments, model, settings, bound, greet)
        return
    bound.close()  # Ray Serve takes the same address
    files = workers.elsewhere(arguments.model), arguments.device, arguments.dtype
    plan = Plan(files, settings, arguments.slots, arguments.max_length, arguments.queue)
    replicas.run(arguments, plan, (host, port), greet)


def _settings(
    arguments: argparse.Namespace, model: Model, preset: str | None, overrides: dict[str, Any]
) -> ServerSettings:
    return ServerSettings(
        name=arguments.served_name or model.card.name,
        preset=preset,
        overrides=overrides,
        api_key=_key(arguments),
        cors=_origins(arguments.cors or ()),
        time_limit=arguments.time_limit,
        body_limit=arguments.body_limit,
    )


def _serve(
    arguments: argparse.Namespace,
    model: Model,
    settings: ServerSettings,
    bound: socket,
    greet: Callable[[], None],
) -> None:
    """In this process."""
    from unmask.server.app import create_app
    from unmask.server.run import Server

    engine = _engine(arguments, model)
    app = create_app(engine, settings)
    engine.start()
    try:
        Server(app, engine, arguments.drain, settings.time_limit, greet).run([bound])
    finally:
        engine.drain(0)


def _greet(name: str, where: str) -> None:
    print(f"unmask: {name} listens at {where} (API under /v1, described at /docs)", flush=True)


def _engine(arguments: argparse.Namespace, model: Model) -> Engine:
    length = arguments.max_length
    try:
        return Engine(model, slots=arguments.slots, length=length, waiting=arguments.queue)
    except RuntimeError as error:  # torch raises it where memory cannot be had, on any device
        if isinstance(error, UnmaskError):
            raise
        raise InputError(
            f"the cache of {arguments.slots} slots of {length or model.card.max_length} positions "
            f"cannot be had ({str(error).splitlines()[0]}); lower --slots or --max-length"
        ) from None


def _key(arguments: argparse.Namespace) -> str | None:
    key: str | None = arguments.api_key
    if key is None:
        key = os.environ.get(KEY_VARIABLE) or None
    if key is None:
        return None
    key = key.strip()  # a variable filled from a file ends in a newline, a header cannot
    if not key:
        raise InputError("--api-key is empty; give a key or leave it out")
    if not (key.isascii() and key.isprintable()):
        raise InputError(
            f"--api-key (or ${KEY_VARIABLE}) has a character that no client can send in a header; "
            "use ASCII letters, digits and signs"
        )
    return key


def _finite(overrides: dict[str, Any]) -> dict[str, Any]:
    """``overrides``, all of which JSON can tell: the events of /v1/canvas do."""
    for name, value in overrides.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{name}={value} is not allowed; give a number with an end")
    return overrides


def _origins(given: Sequence[str]) -> tuple[str, ...]:
    """Origins as browsers send them."""
    for origin in given:
        if not ORIGIN.fullmatch(origin):
            raise InputError(
                f"--cors={origin!r} is no origin, so no page has it; give https://example.org "
                "(in lower case, perhaps with a port, nothing behind), or * for any page"
            )
    return tuple(given)


def _check(arguments: argparse.Namespace) -> None:
    whole: dict[str, tuple[Any, int]] = {
        "slots": (arguments.slots, 1),
        "queue": (arguments.queue, 0),
        "max_length": (arguments.max_length, 2),
        "body_limit": (arguments.body_limit, 1),
    }
    for name, (value, least) in whole.items():
        if value is not None:
            whole_number(name, value, least, f"a whole number of at least {least}")
    whole_number("port", arguments.port, 0, "a port from 0 to 65535", high=65535)
    day = 86400.0
    hint = "a number of seconds, up to a day"
    in_range("time_limit", arguments.time_limit, 0, day, hint, above=True)
    in_range("drain", arguments.drain, 0, day, hint)
