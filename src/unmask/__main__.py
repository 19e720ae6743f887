"""`python -m unmask`, and the command `unmask`."""

from __future__ import annotations

import sys


def run() -> int:
    """The command line. A command's imports take a second, in which Ctrl-C is no error either."""
    try:
        from unmask.cli.main import main

        return main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(run())
