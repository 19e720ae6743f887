"""The pages of the documentation: their code blocks, and a place to run them in.

A fenced block says what it is by its first word: `console`, `sh` and `bash` are commands, `python`
is a program that goes on where the page's last one ended, `python title="FILE"` shows a file. What
is not run is called something else (`text`, `json`, `toml`), or has a comment on the line before:

    <!-- not run: REASON -->    takes minutes, needs the network or a GPU
    <!-- keeps running -->      a server: it is there for the rest of the page
    <!-- printed -->            before a `text` block: lines that the last block has to print
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md", *ROOT.glob("recipes/*/README.md")])
COMMANDS = ("console", "sh", "bash")
PROGRAMS = ("python",)
SHOWN = ("text", "json", "toml")
MARK = re.compile(r"<!-- (not run: \w.*|keeps running|printed) -->\n?")
PARTS = ("src", "docs", "recipes", "examples", "benchmarks", "tests", "pyproject.toml", "README.md")
PORT = re.compile(r"\b8000\b")
TOOLS = {"python": "", "pytest": "-m pytest", "unmask": "-m unmask"}
PATIENCE = 300.0


class Block(NamedTuple):
    """A fenced block. ``line``: of its opening fence, from 1. ``title``: the file it shows.
    ``mark``: what the comment before it says."""

    line: int
    language: str
    title: str
    mark: str
    code: str


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page.

    Raises:
        ValueError: a block is indented, or does not say what it is; the message has its line.
    """
    found, before = [], ""
    for token in MarkdownIt().parse(text):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "code_block":
            raise ValueError(f"line {line}: an indented block; fence it and say what it is")
        if token.type == "fence":
            language, _, rest = token.info.partition(" ")
            if language not in (*COMMANDS, *PROGRAMS, *SHOWN):
                known = ", ".join((*COMMANDS, *PROGRAMS, *SHOWN))
                raise ValueError(f"line {line}: {language!r} is no language of ours: {known}")
            title = re.fullmatch(r'title="(.+)"', rest)
            found.append(Block(line, language, title[1] if title else "", before, token.content))
        mark = MARK.fullmatch(token.content) if token.type == "html_block" else None
        before = mark[1] if mark else ""
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Place:
    """A copy of the repository in which the blocks of one page are run, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = str(free_port())
        self.printed = ""
        self.program = ""
        self.servers: list[subprocess.Popen[bytes]] = []
        for name in PARTS:
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, folder / name)
        tools = folder / ".venv" / "bin"
        tools.mkdir(parents=True)
        for name, module in TOOLS.items():
            tool = tools / name
            tool.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {module} "$@"\n')
            tool.chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "CI"},
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(folder / "src"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }

    def take(self, block: Block) -> None:
        """Run a block, or do what its mark says."""
        code = PORT.sub(self.port, block.code)  # pages are tried side by side
        if block.mark.startswith("not run"):
            return
        if block.title:
            assert (ROOT / block.title).read_text() == block.code, f"{block.title} reads otherwise"
        elif block.mark == "keeps running":
            self._serve(code)
        elif block.mark == "printed":
            missing = [line for line in code.splitlines() if line not in self.printed]
            assert not missing, f"{missing} is not in what was printed:\n{self.printed}"
        elif block.language in COMMANDS:
            if "curl " not in code or shutil.which("curl"):
                self._run(["bash", "-euo", "pipefail", "-c", code])
        elif block.language in PROGRAMS:
            self.program += code
            self._run([sys.executable, "-c", self.program])

    def _run(self, command: list[str]) -> None:
        with self._process(command, self.folder / "printed") as process:
            status = process.wait(PATIENCE)
        self.printed = (self.folder / "printed").read_text()
        assert status == 0, self.printed

    def _serve(self, code: str) -> None:
        log = self.folder / f"server-{len(self.servers)}"
        self.servers.append(self._process(["bash", "-c", f"exec {code}"], log))
        deadline = time.monotonic() + PATIENCE
        while "http://" not in log.read_text():
            gone = self.servers[-1].poll() is not None or time.monotonic() > deadline
            assert not gone, log.read_text()
            time.sleep(0.05)

    def _process(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def close(self) -> None:
        """End the servers and all that they started."""
        for server in self.servers:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """Where to run a page; afterwards nothing runs any more."""
    found = Place(folder)
    try:
        yield found
    finally:
        found.close()
