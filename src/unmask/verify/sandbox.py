"""Does a program that nobody has read pass its tests? It runs in a process that can only compute.

`runner` is the child. On Linux (x86-64, arm64) it needs no root, no container and no namespace:

    what                                        stopped by
    sockets, processes, threads, signals,       seccomp: only the system calls that computing takes
    files written, links, shared memory         are allowed (see `seccomp`)
    files read, libraries and Python aside      Landlock (Linux 5.13), where the kernel has it
    memory, processor time                      limits that the kernel keeps
    sleeping, waiting                           killed from here when the time is up
    environment, standard input, output         empty; thrown away
    a caller that dies                          takes the child with it

As there is never a second process, ending the child ends all. A program that needs threads, files
of its own or a network fails; so do asyncio and subprocess.

Passed is what the child says at the very end, with a password drawn here for this run. To leave
early, to print, to close what is open or to replace builtins does not get there. A program written
against this very file still could: it shares an interpreter with its tests, so it can walk the
frames of `runner`, find the pipes and speak for it, or answer with an object that equals
everything. Nothing it does leaves the child, though: what such a program gains is a point.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Literal

from unmask.errors import InputError
from unmask.verify import seccomp

RUNNER = Path(__file__).with_name("runner.py")
START = 60.0  # seconds that a busy machine may take to start Python; not part of the limits
WAKE = 0.1  # seconds; another process may hold the pipe open, so its end is not waited for blindly
LONGEST = 4096  # bytes of a report
READABLE = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store", "/etc/ld.so.cache",
    "/etc/localtime", "/usr/share/zoneinfo", "/etc/ssl/openssl.cnf", "/dev/null", "/dev/urandom",
)  # fmt: skip
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
Outcome = Literal["passed", "failed", "timed out", "crashed"]


@dataclass(frozen=True)
class Limits:
    """What a program may use.

    ``processor``: whole seconds of computing, the limit that decides; ``seconds``: by the clock,
    more generous, for programs that sleep, because a busy machine must not change a score.
    ``memory``: MiB of address space. ``trusted``: run all the same where the system can confine
    nothing (macOS); then only time is kept.

    Raises:
        InputError: a limit that is no limit.
    """

    processor: int = 10  # the slowest reference solution (MBPP 123) took 4.7 on a slow machine
    seconds: float = 30.0
    memory: int = 1024
    trusted: bool = False

    def __post_init__(self) -> None:
        for name, least in (("processor", 1), ("memory", 64)):
            given = getattr(self, name)
            if type(given) is not int or not least <= given < 2**31:
                raise InputError(f"{name}={given!r} is no limit; give a whole number from {least}")
        if not 0 < self.seconds < float("inf"):
            raise InputError(f"seconds={self.seconds!r} is no limit; give a number above 0")


@dataclass(frozen=True)
class Verdict:
    """What became of a program; ``reason`` is one line, empty if it passed."""

    outcome: Outcome
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether the program and all its tests ran to their end."""
        return self.outcome == "passed"


DEFAULT = Limits()


def run(
    program: str, limits: Limits = DEFAULT, *, tests: str = "", shown: Sequence[str] = ()
) -> Verdict:
    """Run ``program``, then ``tests`` with the names it defines; from any thread.

    Args:
        program: untrusted source text; whatever it is, the answer is a verdict.
        limits: what it may use.
        tests: source text with asserts. Builtins are as new for it, also those that the program
            hides behind names of its own, but for ``shown``.
        shown: names of builtins that the program is meant to define (``sum``, say).

    Raises:
        InputError: this system cannot confine a program, and the limits do not trust it.
    """
    password = secrets.token_hex(16).encode()
    job = _job(program, tests, shown, limits)
    with contextlib.ExitStack() as stack:
        hear, report = _pipe(stack)
        keep, give = _pipe(stack)
        give.write(password)
        file = stack.enter_context(tempfile.TemporaryFile())
        file.write(json.dumps(job).encode())
        file.seek(0)
        ends = (report.fileno(), keep.fileno())
        child = subprocess.Popen(
            # -I -S: no environment, no user's folder, no site; it starts in some milliseconds
            [sys.executable, "-I", "-S", "-B", str(RUNNER), *map(str, ends)],
            stdin=file, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=ends, env=ENVIRONMENT, cwd="/", start_new_session=True,
        )  # fmt: skip
        try:
            report.close()  # else the child's end would not end it
            heard, late = _hear(child, hear, limits)
        finally:
            _end(child, alone=job["filter"] is not None)
    return _verdict(heard, late, child.returncode, password, limits)


def _job(program: str, tests: str, shown: Sequence[str], limits: Limits) -> dict[str, Any]:
    return {
        "program": program,
        "tests": tests,
        "shown": list(shown),
        "processor": limits.processor,
        "memory": limits.memory * 2**20,
        "trusted": limits.trusted,
        "parent": os.getpid(),
        "packages": _packages(),
        "readable": _readable(),
        "filter": _filter(limits),
    }


def _filter(limits: Limits) -> str | None:
    try:
        if sys.platform != "linux":
            raise InputError(
                f"programs can be confined on Linux only, and this is {sys.platform}; "
                "go there, or set Limits(trusted=True) for programs that you trust"
            )
        return seccomp.program(os.uname().machine).hex()
    except InputError:
        if limits.trusted:
            return None
        raise


@functools.cache
def _packages() -> list[str]:
    """Programs may import what is installed here, numpy say."""
    return sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})


@functools.cache
def _readable() -> list[str]:
    python = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    return sorted({*READABLE, *python, *_packages(), str(Path(sys.base_prefix) / "lib")})


def _pipe(stack: contextlib.ExitStack) -> tuple[FileIO, FileIO]:
    read, write = os.pipe()
    return stack.enter_context(FileIO(read, "r")), stack.enter_context(FileIO(write, "w"))


def _hear(child: subprocess.Popen[bytes], hear: FileIO, limits: Limits) -> tuple[bytes, bool]:
    """What the child said, and whether its time was up.

    Raises:
        InputError: it could not confine itself.
    """
    heard, late = _lines(child, hear, 1, START)
    if not heard.startswith(b"ready\n"):
        if late:
            reason = f"Python did not start within {START:.0f} seconds"
        elif heard:
            reason = heard.decode(errors="replace").strip().removeprefix("refused ")
        else:
            reason = f"the child ended with {child.wait()}"
        raise InputError(
            f"programs cannot be confined here: {reason}; take Linux with seccomp and enough "
            "memory, or set Limits(trusted=True) for programs that you trust"
        )
    heard = heard.removeprefix(b"ready\n")
    if b"\n" not in heard:
        more, late = _lines(child, hear, 1, limits.seconds)
        heard += more
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(0 if late else 1)  # its status says what ended it
    return heard, late


def _lines(
    child: subprocess.Popen[bytes], hear: FileIO, count: int, seconds: float
) -> tuple[bytes, bool]:
    """Bytes up to the end of ``count`` lines, of the child or of the time, and whether it was that.

    The end of the pipe alone does not do: a process forked elsewhere may hold its other end.
    """
    heard, end = b"", time.monotonic() + seconds
    poll = select.poll()
    poll.register(hear, select.POLLIN)
    while heard.count(b"\n") < count and len(heard) < LONGEST:
        left = end - time.monotonic()
        if left <= 0:
            return heard, True
        over = child.poll() is not None
        if poll.poll(0 if over else 1000 * min(WAKE, left)):
            more = hear.read(LONGEST)
            if not more:
                break
            heard += more
        elif over:
            break
    return heard, False


def _end(child: subprocess.Popen[bytes], alone: bool) -> None:
    if not alone:  # what is trusted may have children, which stay in its session if they are kind
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.wait()


def _verdict(heard: bytes, late: bool, status: int, password: bytes, limits: Limits) -> Verdict:
    if heard == b"passed " + password + b"\n":
        return Verdict("passed")
    if late:
        return Verdict("timed out", f"not done after {limits.seconds:g} seconds")
    if heard.startswith(b"failed ") and heard.endswith(b"\n"):
        return Verdict("failed", heard.decode(errors="replace").strip().removeprefix("failed "))
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return Verdict("timed out", f"not done after {limits.processor} seconds of computing")
    if status < 0:
        return Verdict("crashed", f"ended by {signal.Signals(-status).name}")
    return Verdict("failed", "it left before its tests were over")
