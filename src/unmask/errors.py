"""What can go wrong, in one tree.

UnmaskError
├── InputError        a setting, prompt or file that the user can mend
│   ├── CheckpointError   a checkpoint folder that cannot become a model
│   └── PromptError       a prompt that the model cannot take
├── DecodeError       the model misbehaved while decoding (NaN logits, say)
├── BusyError         the engine's queue is full; come back later
├── ClosingError      the engine takes no more requests, or ended before this one was done
├── ClusterError      a cluster lost worker after worker, or did not take what it was given
└── TrainError        training came to nothing (a loss that is no number)

Every message says what was given, what is allowed and what to type instead. The command line prints
it as one line and exits with 2; the server answers 400 to bad input, 429 when it is busy, 503 when
it closes and 500 to the rest.
"""

from __future__ import annotations


class UnmaskError(Exception):
    """Anything that this package raises on purpose."""


class InputError(UnmaskError, ValueError):
    """A setting, prompt or file that the user can mend.

    ``field``: what is to blame, where that is one setting or one part of a prompt; ``given``: its
    value; ``hint``: what to type instead. The message ends with the hint.
    """

    def __init__(
        self, message: str, *, field: str | None = None, given: object = None, hint: str = ""
    ) -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.field, self.given, self.hint = field, given, hint


class CheckpointError(InputError):
    """A checkpoint folder that cannot become a model."""


class PromptError(InputError):
    """A prompt that the model cannot take."""


class DecodeError(UnmaskError, RuntimeError):
    """The model misbehaved while decoding."""


class BusyError(UnmaskError, RuntimeError):
    """The queue is full. ``retry_after``: seconds until there may be room."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ClosingError(UnmaskError, RuntimeError):
    """The engine takes no more requests, or ended before this one was done."""


class ClusterError(UnmaskError, RuntimeError):
    """A cluster came to nothing: its workers are lost, or do not start."""


class TrainError(UnmaskError, RuntimeError):
    """Training came to nothing."""


def counted(number: int, noun: str) -> str:
    """How messages count: 1 forward, 1,200 forwards."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
