"""Tell systemd how the daemon is, by its own protocol: one unix datagram per message (sd_notify(3)).

Without ``$NOTIFY_SOCKET`` (a run by hand, a test) every function does nothing.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress


def ready(status: str = "") -> None:
    """Say that start-up, or the reload announced last, is complete."""
    _send("READY=1", *_status(status))


def reloading() -> None:
    """Say that a reload began; ``ready`` ends it. systemd asks for the monotonic time of its begin."""
    _send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> None:
    """Say that the daemon is draining and about to exit."""
    _send("STOPPING=1")


def status(text: str) -> None:
    """Set the line that ``systemctl status`` shows."""
    _send(*_status(text))


def watchdog() -> None:
    """Say that the daemon is alive."""
    _send("WATCHDOG=1")


def watchdog_seconds() -> float | None:
    """Return within how many seconds systemd wants each ``watchdog``, or None when it does not watch.

    Call it at least twice as often (sd_watchdog_enabled(3)).
    """
    microseconds, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 1_000_000


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={' '.join(text.split())}",) if text else ()


def _send(*assignments: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or not assignments:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    # A supervisor that went away must not take the daemon down, nor may a full queue block the event loop.
    with (
        suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifier,
    ):
        notifier.setblocking(False)
        notifier.sendto("\n".join(assignments).encode(), address)
