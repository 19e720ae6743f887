r"""Do two mathematical answers mean the same?

Equal texts, spelling aside, are the same; all others are shown to math-verify, a symbolic checker.
It runs in a process of its own, because its own time limit works in the main thread only and cannot
stop one long multiplication at all. Here an answer that is not decided in time is not the same, the
process is ended, and the next answer gets a new one. A hostile answer neither stalls an evaluation
nor fills its memory.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

from unmask.errors import InputError
from unmask.verify.boxes import last_box
from unmask.verify.numbers import SAYS

WORKER = Path(__file__).with_name("maths_worker.py")
SECONDS = 20.0  # math-verify's own limits are 5 s for each of two readings and the comparison
START_SECONDS = 120.0  # importing sympy takes one second on a quiet machine
LONGEST = 2000  # characters; longest answer of MATH-500: 53
WRAPPED = re.compile(r"\\(?:text|mbox|mathrm|textbf|textrm)\s*\{([^{}]*)\}")
FILL = re.compile(r"\\(?:left|right|displaystyle|[,!;: ])|(?<!\d) | (?!\d)|[$~]")


def final_expression(text: str) -> str:
    r"""What ``text`` gives as its answer: its last ``\boxed{...}``, else what follows the last
    "answer is" or "answer:" on its line, else its last line that is not empty."""
    box = last_box(text)
    if box is not None:
        return box.strip()
    said = [found.end() for found in SAYS.finditer(text)]
    part = text[said[-1] :] if said else text
    lines = [line.strip(" \t*") for line in part.splitlines() if line.strip(" \t*:")]
    line = (lines[0 if said else -1] if lines else "").lstrip(": ")
    return line.removesuffix(".").strip()


def same(answer: str, truth: str) -> bool:
    """Whether both expressions mean the same.

    Raises:
        InputError: the texts differ, and math-verify is not installed.
    """
    left, right = _plain(answer), _plain(truth)
    if not left or not right or left == right:
        return left == right != ""
    if max(len(answer), len(truth)) > LONGEST:
        return False
    return _judge(os.getpid()).same(answer, truth)


class Judge:
    """The process that compares, started when first asked; safe to ask from any thread."""

    def __init__(self, worker: Path = WORKER, seconds: float = SECONDS) -> None:
        self._worker = worker
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def same(self, answer: str, truth: str) -> bool:
        """What math-verify says; False if it takes too long or breaks.

        Raises:
            InputError: it cannot be started.
        """
        with self._lock:
            if self._process is None:
                self._process = self._started()
            line = ""
            try:
                line = _exchange(self._process, json.dumps([answer, truth]), self._seconds)
            finally:  # also after Ctrl-C, or the next question would get this one's answer
                if not line:
                    self._end()
            return line == "true\n"

    def close(self) -> None:
        """End the process; the next question starts another."""
        with self._lock:
            self._end()

    def _started(self) -> subprocess.Popen[str]:
        # -P: the folder of the worker has a numbers.py, which must not stand in for Python's own.
        process = subprocess.Popen(
            [sys.executable, "-P", str(self._worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        if _exchange(process, "[]", START_SECONDS) != "ready\n":
            _end(process)
            raise InputError(
                "mathematical answers are compared by math-verify, which cannot be imported; "
                "pip install 'unmask[eval]'"
            )
        return process

    def _end(self) -> None:
        if self._process is not None:
            _end(self._process)
        self._process = None


def _exchange(process: subprocess.Popen[str], question: str, seconds: float) -> str:
    """The line that answers; "" if the process died, if need be because time was up."""
    assert process.stdin is not None
    assert process.stdout is not None
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    try:
        process.stdin.write(question + "\n")
        process.stdin.flush()
        return process.stdout.readline()
    except OSError:  # it has gone away
        return ""
    finally:
        timer.cancel()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    try:
        process.communicate()
    except OSError:  # what was never delivered is still to be flushed
        process.wait()


@functools.cache
def _judge(process_id: int) -> Judge:
    """One for this process; a forked child starts its own instead of sharing the pipes."""
    del process_id
    judge = Judge()
    atexit.register(judge.close)
    return judge


def _plain(text: str) -> str:
    """Without what changes the look of an expression only; "1 2" is not 12."""
    text = WRAPPED.sub(r"\1", text).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    return FILL.sub("", " ".join(text.split())).removesuffix(".")
