"""What a link is doing."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """The states of a link, by the names that its status and its metrics show."""

    STARTING = "starting"  # Set by the supervisor before each run connects.
    STREAMING = "streaming"  # Set by the link once it holds its claim and reads.
    RECONNECTING = "reconnecting"  # Set when either side is lost; the run will be tried again.
    DRAINING = "draining"  # Set on SIGTERM; nothing new is read.
    STOPPED = "stopped"  # Set when drained: everything accepted is applied and durable.
    FAILED = "failed"  # Set on an error that needs a human; the daemon exits 1 in the end.
