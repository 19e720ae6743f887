"""unmask's command line: in this process, or as one of its own where the process is what is tried.

Starting Python and importing torch takes two to four seconds, which a test of options, messages and
files can do without.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

from unmask.cli.main import main

PATIENCE = 300.0


class Done(NamedTuple):
    """What came of a command, named as subprocess names it."""

    returncode: int
    stdout: str
    stderr: str


def unmask(*arguments: object) -> Done:
    """A command in this process. What it prints goes through bytes, as to a pipe."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main([str(one) for one in arguments])
        except SystemExit as left:  # argparse ends so, after --help or at a wrong option
            status = left.code
    return Done(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))


def as_process(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own; ``options``: of `subprocess.run`."""
    return subprocess.run(
        line(*arguments), check=False, capture_output=True, text=True, timeout=PATIENCE, **options
    )


def started(*arguments: object) -> subprocess.Popen[str]:
    """A command that is under way, to be interrupted. With one thread, as this process has: records
    tell how many there were."""
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(line(*arguments), stderr=subprocess.PIPE, text=True, env=alone)


def line(*arguments: object) -> list[str]:
    """The command as a process wants it."""
    return [sys.executable, "-m", "unmask", *map(str, arguments)]
