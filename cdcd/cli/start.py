"""The process's first moments: ``cdcd run`` can be stopped before it is there.

Until the event loop has its own handlers, importing modules, reading the file and building the links take a while,
and a disk may hang in each. Nothing has been accepted by then, so a stop ends the process on the spot, with 0. A
reload is held back by the kernel until the daemon takes it. This module imports nothing that takes time itself.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

STOPS = (signal.SIGTERM, signal.SIGINT)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (the process's own unless given) and return the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] == ["run"]:
        for number in STOPS:
            signal.signal(number, _stop)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    from cdcd.cli.main import main as command_line

    return command_line(arguments)


def _stop(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)
