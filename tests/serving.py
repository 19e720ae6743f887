"""A server as a process, for tests that talk to it over a socket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

PATIENCE = 300.0
"""Seconds after which a test gives up on something that has to happen."""
QUESTION = "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?"
# Many forwards, one token each: work that is still under way when a test looks.
LONG = {"preset": "vanilla", "max_tokens": 900}


class Served(NamedTuple):
    """A running server and where it listens."""

    process: subprocess.Popen[str]
    url: str

    def metric(self, name: str, **labels: str) -> float:
        """One sample of /metrics; 0 if there is none."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=PATIENCE) as answer:
            text = answer.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return 0.0

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer; ``body`` may be bytes."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(f"{self.url}{path}", content, kind)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()


@contextmanager
def serving(
    log: Path, *options: Any, model: str = "tiny-fast", descriptors: int | None = None
) -> Iterator[Served]:
    """A server of its own, on a free port; what it says on stderr goes to ``log``.

    ``descriptors``: how many it may have open, None for the usual number."""
    limit = [] if descriptors is None else ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh"]
    command = [
        *limit,
        sys.executable,
        "-m",
        "unmask",
        "serve",
        model,
        "--port",
        "0",
        "--device",
        "cpu",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [*command, *map(str, options)],
            stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment,
        ) as process,
    ):  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "http://" in line, log.read_text()
            url = next(word for word in line.split() if word.startswith("http://"))
            yield Served(process, url)
        finally:
            process.kill()


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that has to happen."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
