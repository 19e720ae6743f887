"""`unmask batch`: a file of OpenAI requests to a file of answers, without a server."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from io import BufferedRandom
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.cli import options, prompt_file, workers
from unmask.cli.screen import Screen
from unmask.cluster.spread import Here
from unmask.decode.settings import whole_number
from unmask.errors import InputError, counted
from unmask.files import FAULTS, cut_off, growing, whole_lines
from unmask.models.loading import outline
from unmask.rows import read

if TYPE_CHECKING:
    from unmask.server.offline import Answer

EXAMPLES = """\
examples:
  unmask batch in.jsonl out.jsonl
  unmask batch in.jsonl out.jsonl --model ./checkpoint --preset d3llm --slots 32

A line of the input: {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body":
{...}}, or /v1/completions. Every body is answered as unmask serve would; refused ones get their
error in the output. Give the same command again after an interruption: what the output has is not
asked again. Needs unmask[serve].
"""
URLS = ("/v1/chat/completions", "/v1/completions")
DAY = 86400.0
LARGEST = 2**40  # bytes of a body: a file is not limited


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("input", type=Path, metavar="IN", help="requests, as JSON lines")
    parser.add_argument("output", type=Path, metavar="OUT", help="answers, added to")
    parser.add_argument(
        "--slots", type=int, default=16, metavar="N", help="answers that share a forward"
    )
    options.add_model(parser, "tiny-fast")
    options.add_decoding(parser)
    options.add_sampling(parser)
    workers.add_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Ask what is not answered yet."""
    whole_number("slots", arguments.slots, 1, "a whole number of at least 1")
    requests = requests_of(arguments.input)
    named = [arguments.model, arguments.dtype, options.preset(arguments)]
    shared = json.dumps([named, options.overrides(arguments)], sort_keys=True)
    asked = {request["custom_id"]: _identity(shared, request) for request in requests}
    with growing(arguments.output) as file:
        done = _answered(arguments.output, file, asked)
        left = [request for request in requests if request["custom_id"] not in done]
        if left:
            _ask(arguments, left, asked, file)
        file.seek(0)
        refused = sum(json.loads(line)["response"]["status_code"] != 200 for line in file)
    told = f", {refused} of them refused" if refused else ""
    Screen(stderr=True).print(
        f"{counted(len(asked), 'answer')}{told}: {arguments.output}", soft_wrap=True
    )


def requests_of(path: Path) -> list[dict[str, Any]]:
    """The requests of a file.

    Raises:
        InputError: a line is no request, or stands for the same answer as another.
    """
    found: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(read(path), 1):
        name, body = row.get("custom_id"), row.get("body")
        where = f"{path}, request {number}"
        if not isinstance(name, str) or not name:
            raise InputError(f"{where}: custom_id={name!r} is not allowed; give a text")
        if name in found:
            raise InputError(f"{where}: custom_id={name!r} stands there twice; give each once")
        if row.get("method", "POST") != "POST" or row.get("url") not in URLS:
            raise InputError(
                f"{where}: {row.get('method')} {row.get('url')!r} cannot be asked; "
                f"use POST and {' or '.join(URLS)}"
            )
        if not isinstance(body, dict) or body.get("stream"):
            raise InputError(f"{where}: body has to be an object, without stream")
        found[name] = row
    return list(found.values())


def _identity(shared: str, request: dict[str, Any]) -> str:
    """The id of an answer: a hash of all that it depends on."""
    text = shared + json.dumps([request["url"], request["body"]], sort_keys=True)
    return "batch_req_" + hashlib.sha256(text.encode()).hexdigest()[:24]


def _answered(path: Path, file: BufferedRandom, asked: dict[str, str]) -> set[str]:
    """What the output has already; a half-written last line is cut off."""
    lines, torn = whole_lines(file)
    done = set()
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            name, identity = entry["custom_id"], entry["id"]
        except (*FAULTS, KeyError, TypeError):
            name = identity = None
        if name is None or asked.get(name) != identity:
            raise InputError(
                f"{path}, line {number} is no answer to these requests with these settings; "
                "give another file"
            )
        done.add(name)
    if torn and not lines and not torn.startswith(b'{"id": "batch_req_'):
        raise InputError(f"{path} holds something else; give another file")
    cut_off(file, torn)
    return done


def _ask(
    arguments: argparse.Namespace,
    requests: Sequence[dict[str, Any]],
    asked: dict[str, str],
    file: BufferedRandom,
) -> None:
    """Answers go to ``file`` as they come."""
    named = {request["custom_id"]: request for request in requests}
    with prompt_file.progress_bar() as progress:
        bar = progress.add_task("requests", total=len(asked), completed=len(asked) - len(named))
        for name, (status, body) in _answers(arguments, named):
            response = {"status_code": status, "body": body}
            line = {"id": asked[name], "custom_id": name, "response": response, "error": None}
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            progress.advance(bar)


def _answers(
    arguments: argparse.Namespace, requests: Mapping[str, dict[str, Any]]
) -> Iterator[tuple[str, Answer]]:
    """By name, as they are done."""
    try:
        from unmask.server import offline
        from unmask.server.settings import ServerSettings
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is not installed; type pip install 'unmask[serve]'"
        ) from None
    given = options.preset(arguments), options.overrides(arguments)
    settings = ServerSettings(arguments.model, *given, time_limit=DAY, body_limit=LARGEST)
    slots, kind = arguments.slots, (arguments.device, arguments.dtype)
    if arguments.ray is None:
        workers.alone(arguments, "workers")
        one = offline.opened((arguments.model, *kind), settings, slots)
        with contextlib.closing(one):
            yield from Here(one)(offline.answers, requests)
        return
    name = workers.elsewhere(arguments.model)
    outline(arguments.model)  # a name that is none is told at once
    load = partial(offline.opened, (name, *kind), settings, slots)
    with workers.pool(arguments, load, least=2 * slots) as spread:
        yield from spread(offline.answers, requests)
