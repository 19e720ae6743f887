"""A server under load: is anything lost or wrong, and what does company cost?

    python benchmarks/serve_load.py --out docs/results/serve_load.json

Starts `unmask serve` as a process and asks it over loopback. Four parts: one client and eight, each
asking again as soon as it is answered; requests that arrive at random, whoever is still waiting (an
open loop), from up to 64 clients; the same short request alone and in that crowd; and the memory of
the process over 2,000 requests. Every answer is compared with that of `unmask.generate`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from unmask.decode.generate import generate
from unmask.evaluate.tasks import stories
from unmask.models.loading import load

SHORT = "Solve this sudoku: 0 2 1 0 1 0 4 0 3 1 0 0 2 4 0 0"
SHORT_TOKENS = 32
PATIENCE = 600.0


@dataclass
class Tally:
    """What came back. ``seconds``: per request, from asking to the whole answer."""

    asked: int = 0
    right: int = 0
    wrong: int = 0
    lost: int = 0
    tokens: int = 0
    seconds: list[float] = field(default_factory=list)
    short: list[float] = field(default_factory=list)
    wall: float = 0.0

    def about(self) -> dict[str, Any]:
        """For the record."""
        return {
            "asked": self.asked,
            "lost": self.lost,
            "wrong": self.wrong,
            "requests_per_second": round(len(self.seconds) / self.wall, 2),
            "tokens_per_second": round(self.tokens / self.wall, 1),
            **{f"p{share}": round(percentile(self.seconds, share), 4) for share in (50, 99)},
        }


def percentile(values: Sequence[float], share: int) -> float:
    """Of values that are there; 0 if there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)] if ordered else 0.0


@dataclass(frozen=True)
class Question:
    """A request and the answer that `unmask.generate` gives."""

    text: str
    tokens: int
    answer: str


class Crowd:
    """Asks one server."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def ask(self, question: Question, tally: Tally) -> float:
        """One request; its seconds."""
        body = {
            "model": "tiny-fast",
            "messages": [{"role": "user", "content": question.text}],
            "max_tokens": question.tokens,
            "temperature": 0,
        }
        tally.asked += 1
        started = time.perf_counter()
        try:
            answer = await self.client.post("/v1/chat/completions", json=body)
            answer.raise_for_status()
            found = answer.json()
        except httpx.HTTPError as error:
            tally.lost += 1
            print(f"lost: {error!r}", file=sys.stderr)
            return 0.0
        seconds = time.perf_counter() - started
        same = found["choices"][0]["message"]["content"] == question.answer
        tally.right += same
        tally.wrong += not same
        tally.tokens += found["usage"]["completion_tokens"]
        tally.seconds.append(seconds)
        return seconds

    async def closed(self, questions: Sequence[Question], clients: int) -> Tally:
        """``clients`` ask one after the other until all questions are asked."""
        tally, left = Tally(), iter(questions)

        async def client() -> None:
            for question in left:
                await self.ask(question, tally)

        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        tally.wall = time.perf_counter() - started
        return tally

    async def open(
        self, questions: Sequence[Question], short: Question, rate: float, clients: int
    ) -> Tally:
        """Requests arrive at ``rate`` a second, at random; every tenth is the short one."""
        tally, draw, room = Tally(), random.Random(0), asyncio.Semaphore(clients)

        async def one(number: int, question: Question) -> None:
            async with room:
                seconds = await self.ask(short if number % 10 == 0 else question, tally)
                if number % 10 == 0:
                    tally.short.append(seconds)

        started, tasks = time.perf_counter(), []
        for number, question in enumerate(questions):
            tasks.append(asyncio.create_task(one(number, question)))
            await asyncio.sleep(draw.expovariate(rate))
        await asyncio.gather(*tasks)
        tally.wall = time.perf_counter() - started
        return tally


@contextmanager
def server(slots: int) -> Iterator[tuple[str, int]]:
    """Address and process number of a server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "unmask", "serve", "tiny-fast", "--port", str(port),
               "--slots", str(slots), "--queue", "1000"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                if httpx.get(f"{url}/ready").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(60)


def memory(process: int) -> float:
    """Resident MiB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return round(int(line.split()[1]) / 1024, 1)
    raise RuntimeError("no VmRSS")


def questions_of(count: int) -> tuple[list[Question], Question]:
    """Held-out stories and the short one, with their answers."""
    model = load("tiny-fast")
    texts = [one.prompt for one in itertools.islice(stories.examples("test"), count)]
    found = generate(model, texts, max_new_tokens=stories.CANVAS, batch_size=32)
    [short] = generate(model, SHORT, max_new_tokens=SHORT_TOKENS)
    pairs = zip(texts, found, strict=True)
    asked = [Question(text, stories.CANVAS, one.text or "") for text, one in pairs]
    return asked, Question(SHORT, SHORT_TOKENS, short.text or "")


async def measure(arguments: argparse.Namespace, url: str, process: int) -> dict[str, Any]:
    """All parts."""
    questions, short = questions_of(arguments.requests)
    limits = httpx.Limits(max_connections=arguments.clients, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=limits) as client:
        crowd = Crowd(client)
        await crowd.closed(questions[:16], 4)  # warm
        alone = await crowd.closed([short] * 40, 1)
        one = await crowd.closed(questions[:100], 1)
        eight = await crowd.closed(questions[:400], 8)
        rate = 0.8 * len(eight.seconds) / eight.wall  # busy, but not more than it can take
        crowded = await crowd.open(questions, short, rate, arguments.clients)
        burst = await crowd.closed(questions, arguments.clients)
        used = [memory(process)]
        for _ in range(4):
            await crowd.closed((questions * 4)[:500], 16)
            used.append(memory(process))
        metrics = (await client.get("/metrics")).text
    return {
        "one client": one.about(),
        "eight clients": eight.about(),
        "eight to one": round((eight.tokens / eight.wall) / (one.tokens / one.wall), 2),
        f"open loop, {rate:.1f} a second, up to {arguments.clients} clients": crowded.about(),
        f"{arguments.clients} clients at once": burst.about(),
        "short request alone, median and p99 s": [
            round(statistics.median(alone.seconds), 4), round(percentile(alone.seconds, 99), 4),
        ],
        "short request in the open loop, median and p99 s": [
            round(statistics.median(crowded.short), 4), round(percentile(crowded.short, 99), 4),
        ],
        "MiB after each 500 of 2,000 requests": used,
        "metrics": [line for line in metrics.splitlines() if "queue" in line and "#" not in line],
    }  # fmt: skip


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with server(arguments.slots) as (url, process):
        found = asyncio.run(measure(arguments, url, process))
    text = json.dumps({"slots": arguments.slots, **found}, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
